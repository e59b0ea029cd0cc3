package supervisor

import (
	"log/slog"
	"os"
	"os/exec"
	"time"
)

// A Child is a process that is to run.
type Child struct {
	// Name tells it from others, and one plan from the next: a child whose name is in both goes on.
	Name string

	// Command makes the command that starts it, anew for each start. The child is the leader of a process group
	// of its own. Variables of the environment for the supervisor alone, those of a service
	// manager, it does not get. What the command has as ExtraFiles is closed here once it has been started.
	Command func() *exec.Cmd

	// Beats says that the child calls [Link.Alive]: it counts as working only once it did, and no longer when it
	// has been silent for half a minute.
	Beats bool
}

// Options say what to keep running.
type Options struct {
	// Plan returns the children. It is called at the start, where its error ends Run, and at each reload and for Replan, where that is
	// logged and changes nothing. Children that are new start once those that are not in the plan any more have
	// ended, which they do as when Run ends.
	Plan func() ([]Child, error)

	// Replan has Plan called again whenever it receives, and leaves children that are in the new plan alone.
	Replan <-chan struct{}

	// Reload passes a signal on to the children, behind a new plan.
	Reload <-chan os.Signal

	// Grace is how long children have to end after a SIGTERM before they are killed. Default 30 s.
	Grace time.Duration

	// Abort gives children a SIGINT when it is closed or receives, after the SIGTERM, and then
	// at most AbortGrace. Default 30 s.
	Abort      <-chan struct{}
	AbortGrace time.Duration

	// Finish is the signal that has a child end once all it does is done, however long that takes, when
	// another one asks for a restart. Nil is SIGTERM, without a limit.
	Finish os.Signal

	// Watch is told about once a second, and at every change, how things are. It must return soon.
	Watch func(State)

	// Logger is told of starts and ends. Default [slog.Default].
	Logger *slog.Logger
}

// A State is how the children are.
type State struct {
	Children int  // that are to run
	Running  int  // processes
	Working  int  // of these, such as have begun their work and are alive
	Looping  int  // children in a crash loop
	Deaths   int  // ends of children that were started again, since the start
	Begun    bool // all children have been working once
	Reload   bool // a reload begins
	Ending   bool // Run is about to end
	Order    Order
}

// InOrder reports whether a child works. Where one does it should be left alone, whatever becomes of others.
func (s State) InOrder() bool { return s.Working > 0 || s.Ending }
