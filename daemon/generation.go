package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A generation is a Generation that runs.
type generation struct {
	*Generation
	d      *daemon
	drain  chan struct{}
	result *runner.Result // once it has ended
	over   bool           // the newest one has ended by itself; guarded by the daemon
	ears   *ears          // of its store; nil: none
	types  sync.Map       // of running jobs, with how many there are as *atomic.Int64
}

func (g *Generation) close() error {
	if g.Close == nil {
		return nil
	}
	return g.Close()
}

// prepare makes a generation of what was read and of numbers of workers; the daemon is locked.
func (d *daemon) prepare(next *Generation, workers map[string]int) (*generation, error) {
	g := &generation{Generation: next, d: d, drain: make(chan struct{})}
	o := &g.Options
	for _, t := range o.Types {
		if !g.Registry.Has(t) {
			return nil, fmt.Errorf("%w %q", jobqueue.ErrUnknownType, t)
		}
	}
	setWorkers(o, workers)
	if d.Part != nil {
		d.Part(o)
	}
	if o.MaxJobs > 0 {
		o.MaxJobs = max(1, o.MaxJobs-int(d.started.Load()))
	}
	if o.MaxTime > 0 {
		o.MaxTime = max(time.Nanosecond, o.MaxTime-time.Since(d.begun))
	}
	o.Wait, o.Drain, o.Owner = true, g.drain, d.Owner
	o.Process, o.Generation = d.process, d.number+1
	o.Taken = g.taken
	inner := o.Middleware
	o.Middleware = func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
		defer g.count(ctx)()
		if inner != nil {
			return inner(ctx, job, next)
		}
		return next(ctx)
	}
	return g, nil
}

// setWorkers has as many workers as commands said.
func setWorkers(o *runner.Options, workers map[string]int) {
	if n, ok := workers[""]; ok && len(o.Groups) == 0 {
		o.Workers = n
	}
	o.Groups = slices.Clone(o.Groups)
	for i := range o.Groups {
		g := &o.Groups[i]
		if n, ok := workers[g.Name]; ok && g.Workers > 0 {
			g.Workers = n
			o.Workers = 0
		}
	}
}

// count notes that a job runs, until what it returns is called.
func (g *generation) count(ctx context.Context) func() {
	g.d.started.Add(1)
	typ := jobqueue.FromContext(ctx).Type
	n, ok := g.types.Load(typ)
	if !ok {
		n, _ = g.types.LoadOrStore(typ, new(atomic.Int64))
	}
	running := n.(*atomic.Int64)
	running.Add(1)
	return func() { running.Add(-1) }
}

// taken returns how many workers jobs of a group, or with "" of none, have in older generations.
func (g *generation) taken(group string) (n int) {
	g.d.olderMu.Lock()
	defer g.d.olderMu.Unlock()
	for _, old := range g.d.older {
		old.types.Range(func(typ, running any) bool {
			if g.groupOf(typ.(string)) == group {
				n += int(running.(*atomic.Int64).Load())
			}
			return true
		})
	}
	return n
}

// groupOf returns the group that runs a type, "" for none.
func (g *generation) groupOf(typ string) string {
	for i := range g.Options.Groups {
		if g.Options.Groups[i].Covers(typ) {
			return g.Options.Groups[i].Name
		}
	}
	return ""
}

func (g *generation) run() {
	g.result, _ = runner.Run(g.d.life, g.Group, g.Registry, &g.Options)
	g.d.ended <- g
}
