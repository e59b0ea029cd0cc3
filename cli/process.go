package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/supervisor"
)

// A process is what runjobs is by itself: one of several that a supervisor keeps, or the only one.
type process struct {
	group, pidPath, releasePath string

	index, parts int // of what several processes do together; 0 parts: it does all
	siblings     int // processes that share the machine's memory
	softBytes    int64
	softShare    float64

	link     *supervisor.Link
	memory   *runner.SoftMemory
	released atomic.Bool   // a newer release is there
	finish   chan struct{} // closed when nothing more is to be claimed
	finished sync.Once
}

// add adds the flags of a process.
func (p *process) add(e *env, fs *pflag.FlagSet) {
	p.finish = make(chan struct{})
	fs.Var(name(&p.group, "group"), "group", "run only the types of this `group` of the farm file")
	fs.Var(softMemory(&p.softBytes, &p.softShare), "soft-memory", "end, with status 0, when the process uses more memory than this, such as 512M, or more than 90% of the limit of its cgroup or process")
	fs.Var(given(&p.pidPath, "file"), "pid-file", "write the number of the process to this `file`, and end at once if another one has it")
	fs.Var(given(&p.releasePath, "file"), "release-file", "finish what runs and end when this `file` changes, or appears, as a newer release has been installed")
	fs.Var(oneOfParts(&p.index, &p.parts), "part", "be the I-th of N processes that share the workers")
	fs.Var(whole(&p.siblings, 1, 10000), "siblings", "so many processes share the limit of memory")
	fs.Var(whole(&e.handed, 3, 3), "handed", "read the last good farm file from this inherited file")
	for _, name := range []string{"part", "siblings", "handed"} {
		fs.Lookup(name).Hidden = true // The supervisor sets them.
	}
}

// softMemory is a flag for a number of bytes, or a share of what there may be.
func softMemory(bytes *int64, share *float64) *flag {
	return &flag{kind: "size|N%", read: func(s string) error {
		var n int
		if err := whole(&n, 1, 100).Set(strings.TrimSuffix(s, "%")); strings.HasSuffix(s, "%") && err == nil {
			*bytes, *share = 0, float64(n)/100
			return nil
		}
		if err := size(bytes).Set(s); err != nil {
			return fmt.Errorf("it must be a number of bytes such as 512M, or a part of the limit such as 90%%")
		}
		return nil
	}}
}

// oneOfParts is a flag for one of several parts.
func oneOfParts(index, parts *int) *flag {
	return &flag{kind: "I/N", read: func(s string) error {
		i, n := 0, 0
		if k, err := fmt.Sscanf(s, "%d/%d", &i, &n); k < 2 || err != nil || i < 1 || n < i || fmt.Sprintf("%d/%d", i, n) != s {
			return fmt.Errorf("it must be two numbers such as 1/2")
		}
		*index, *parts = i-1, n
		return nil
	}}
}

// around does what goes before and after everything else.
func (p *process) around(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		if p.link = supervisor.Parent(); p.link != nil {
			beNamed(filepath.Base(os.Args[0]))
			defer func() { err = p.refused(err) }()
		}
		go func() {
			if gone := p.link.Gone(); gone != nil {
				<-gone
				time.Sleep(orphanTime)
				endAll()
			}
		}()
		if p.pidPath != "" {
			unlock, err := lockPID(p.pidPath)
			if err != nil {
				return err
			}
			defer unlock()
		}
		if p.releasePath != "" {
			stop, err := watchRelease(p.releasePath, func() {
				p.released.Store(true)
				p.end()
			})
			if err != nil {
				return err
			}
			defer stop()
		}
		if p.softBytes > 0 || p.softShare > 0 {
			var err error
			if p.memory, err = runner.SoftMemoryOf(p.softBytes, p.softShare, p.siblings); err != nil {
				return usagef("--soft-memory: %w", err)
			}
			if err := p.memory.Check(); err != nil {
				return &statusError{supervisor.ExitStop, fmt.Errorf("--soft-memory: %w", err)}
			}
		}
		return run(c, args)
	}
}

// refused has the supervisor say what is wrong with the flags or the farm file, once for all processes.
func (p *process) refused(err error) error {
	if err == nil || status(err) != exitUsage {
		return err
	}
	p.link.Refuse(strings.Join(lines(err), "\n"))
	return &statusError{status: exitUsage}
}

// orphanTime is how long a process has to give back what it has when its supervisor is gone.
const orphanTime = 500 * time.Millisecond

// end has nothing more claimed.
func (p *process) end() { p.finished.Do(func() { close(p.finish) }) }

// tie interrupts the jobs when the supervisor is gone, and has the process finish when it is asked to. What is given back is called at the end.
func (p *process) tie(parent context.Context, abort <-chan struct{}) (ctx context.Context, either <-chan struct{}, untie func()) {
	ctx, cancel := context.WithCancel(parent)
	now, done := make(chan struct{}), make(chan struct{})
	asked := make(chan os.Signal, 1)
	if finishSignal != nil {
		signal.Notify(asked, finishSignal)
	}
	go func() {
		for finish := asked; ; {
			select {
			case <-finish:
				finish = nil
				p.end()
				continue
			case <-p.link.Gone():
			case <-abort:
			case <-done:
				return
			}
			close(now)
			cancel()
			return
		}
	}()
	return ctx, now, func() {
		signal.Stop(asked)
		close(done)
		cancel()
	}
}

// share leaves to others what is not this process's, sets how much memory it may use, and has the supervisor told when it has begun its work.
func (p *process) share(farm *config.Farm, o *runner.Options) {
	o.SoftMemory, o.Drain, o.Alive = p.memory, p.finish, p.link.Alive
	o.Groups = slices.Clone(o.Groups)
	for i := range o.Groups {
		g := &o.Groups[i]
		other := p.group != "" && g.Name != p.group
		if other || p.group == "" && p.parts > 0 && farm.Processes(g.Name) > 0 {
			g.Workers = 0
		}
	}
	if !o.Wait {
		p.divide(o)
	}
}

// checkGroup returns an error if the farm has not the group that was asked for.
func (p *process) checkGroup(farm *config.Farm) error {
	var names []string
	for _, g := range farm.Groups() {
		names = append(names, g.Name)
	}
	switch {
	case p.group == "" || slices.Contains(names, p.group):
		return nil
	case len(names) == 0:
		return usagef("--group %s: the farm file has no groups", p.group)
	}
	return usagef("--group %s: the groups of the farm file are %s", p.group, enumerate(names))
}

// divide leaves this process its part of the workers: those of each group, or all, are divided among the processes
// that have it. Where that does not come out even the first ones have one more.
func (p *process) divide(o *runner.Options) {
	if p.parts == 0 {
		return
	}
	for i := range o.Groups {
		o.Groups[i].Workers = p.of(o.Groups[i].Workers)
	}
	if o.Workers == 0 && len(o.Groups) == 0 {
		o.Workers = 4 * runtime.GOMAXPROCS(0)
	}
	if o.Workers > 0 {
		o.Workers = max(1, p.of(o.Workers))
	}
	o.Reserved = slices.Clone(o.Reserved)
	for i := range o.Reserved {
		o.Reserved[i] = p.of(o.Reserved[i])
	}
}

func (p *process) of(n int) int {
	if p.index < n%p.parts {
		return n/p.parts + 1
	}
	return n / p.parts
}

// verdict tells the supervisor why the process ends, if that is no failure, and returns what ends it with a
// status of its own.
func (p *process) verdict(res *runner.Result) error {
	if p.released.Load() && p.link != nil {
		return &statusError{status: supervisor.ExitRestart}
	}
	switch res.Reached {
	case runner.TimeLimit:
		p.link.Recycle(string(res.Reached))
	case runner.JobLimit, runner.MemoryLimit, runner.LowMemory:
		// One that reaches its limit without having done anything would do so again.
		if res.Counts.Runs() > 0 {
			p.link.Recycle(string(res.Reached))
		}
	}
	return nil
}

// endAll ends this process and what its jobs have started.
func endAll() {
	killGroup()
	syscall.Exit(exitFailed)
}
