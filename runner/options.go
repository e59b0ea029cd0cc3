package runner

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Options say what to run and when to stop. The zero Options runs every
// type the registry has, on every domain, until none is ready.
type Options struct {
	// Types are the only types to run, also such as [jobqueue.Routes].Exclude
	// names. Nil means all that the registry has and that are not excluded.
	// A type that the registry lacks ends the run with [NonePossible].
	Types []string

	// Domains returns the only domains to serve. It is called before each look at what
	// is ready, and before a claim without one if that was a tenth of a second ago or more, so it should be quick. Without it all are served; if it returns none, none are.
	// Of those that it does not return any more what waits in hand is given back; what runs goes on.
	Domains func() []string

	// Only says of types on which domains alone to run them; types that it lacks run on all. The jobs of the others wait.
	Only map[string][]string

	// Workers is how many jobs run at once. Default all that Groups have together or,
	// without any, four for each CPU that Go may use.
	Workers int

	// Plan says how classes of types and domains share the workers. The zero Plan
	// treats them all alike.
	Plan schedule.Plan

	// Groups are types with workers of their own. A type runs with those of the first group that covers
	// it and, if none does, only if Types names it. What a group lists as low is in a class of its own, the
	// least urgent one; the others get nine tenths of the group's workers if they need them. One without
	// workers is run by others.
	Groups []schedule.Group

	// Taken returns how many workers others in this process have for jobs of a group or, with the name "", for such as no
	// group covers, which without Groups are all: so many fewer jobs are in hand. It is called before each claim, so it should be
	// quick. What is in hand when it rises is kept. While it is not 0 nothing is claimed ahead.
	Taken func(group string) int

	// Reserved says how many workers are kept for jobs of each class, the most urgent first. More urgent
	// ones may have them too. At least one worker is for all.
	Reserved []int

	// Caps bound how many jobs of some types and domains run at once in the whole farm.
	Caps Caps

	// MaxJobs is after how many runs to stop. 0 means no limit.
	MaxJobs int

	// MaxTime is after how long to stop, working or idle. Jobs that run by then
	// finish. 0 means no limit.
	MaxTime time.Duration

	// MemoryLimit stops the run, between two batches, when the Go runtime holds more
	// bytes of memory than this even after a garbage collection: its heap, stacks and all
	// else that is not returned to the system, but nothing that C code takes. 0 means no limit.
	MemoryLimit int64

	// SoftMemory stops the run when the process has little memory left, and interrupts its jobs when it has next
	// to none. Nil means no limit.
	SoftMemory *SoftMemory

	// NoThrottle ignores [jobqueue.Policy.Rate]. Rates hold for all runners together if the
	// default backend is a [jobqueue.Limiter], else for each call of Run by itself.
	NoThrottle bool

	// Wait goes on when none is ready, and when the store cannot be reached or is read-only.
	Wait bool

	// Grace is how long running jobs get to finish after the context of Run has
	// ended; then theirs end too. Default 30 s; negative means none at all.
	// It also bounds how long results are offered, at the end, to a store that is away.
	Grace time.Duration

	// Abort ends the contexts of running jobs at once when it is closed or receives, and
	// the run as in a graceful stop. It is for a second signal.
	Abort <-chan struct{}

	// Drain ends the run when it is closed or receives: nothing more is claimed, what has not started
	// is given back, and running jobs finish, however long they take.
	Drain <-chan struct{}

	// Middleware is called for every run in place of the job's Run, which it is given as next.
	// The claim is in ctx, see [jobqueue.FromContext]. Its error counts as the job's.
	Middleware func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error

	// OnStart is called before a job runs and OnEnd after it ran and before it is settled,
	// from many goroutines at once. They must return soon. A panic of OnStart fails the job,
	// one of OnEnd is logged.
	OnStart func(c *jobqueue.Claim)
	OnEnd   func(e Ended)

	// Alive is called each time the loop that claims comes round: every few seconds, or when a store that is
	// asked has answered or a call of it has run out, which is within a minute. It is for watchdogs.
	Alive func()

	// Unlogged keeps out of the log how jobs end, which OnEnd may tell somebody.
	Unlogged bool

	// Logger gets failures, lost claims and trouble with stores, and each job at
	// debug level. Text that comes from outside is escaped. Default [slog.Default].
	Logger *slog.Logger

	// Label returns what the log, and this runner's [Presence], call the ID of a job. It is for groups of
	// several backends, each of which has IDs of its own. Default Claim.ID.
	Label func(c *jobqueue.Claim) string

	// Owner names this process to people who look at claims and runners; nothing depends
	// on it. Default host name and process id.
	Owner string

	// Process, Generation and Config are for the runner's [Presence]: under which id the process answers commands, how many
	// times it has read its configuration, and what tells that configuration from others, in a few letters.
	Process    string
	Generation int
	Config     string

	// Poll is the longest time between two looks at what is ready while
	// there is nothing to do. Default 1 s.
	Poll time.Duration
}

// An Ended is a run of a job that has ended.
type Ended struct {
	Claim  *jobqueue.Claim
	Err    error           // what failed it; nil if it went well
	Action jobqueue.Action // what becomes of the job; 0 if its claim was lost
	Began  time.Time
	Took   time.Duration
}

const (
	defaultGrace = 30 * time.Second
	defaultPoll  = time.Second
)

// withDefaults returns a copy of o with its zero fields set.
func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	for _, g := range c.Groups {
		if o.Workers <= 0 {
			c.Workers += max(g.Workers, 0)
		}
	}
	if c.Workers <= 0 {
		c.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	c.Grace = max(c.Grace, 0)
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Label == nil {
		c.Label = func(c *jobqueue.Claim) string { return c.ID }
	}
	if c.Owner == "" {
		host, _ := os.Hostname()
		c.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if len(c.Owner) > 255 {
		c.Owner = c.Owner[:255]
	}
	return c
}
