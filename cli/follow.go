package cli

import (
	"context"
	"os"
	"sync/atomic"

	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// follow runs jobs until it is told to end, as the farm file says at the time.
func (e *env) follow(ctx context.Context, f *runFlags, first *session, r *reported, reload <-chan os.Signal) (*runner.Result, daemon.Order) {
	o := daemon.Options{Reload: reload, Level: first.level, Logger: first.log}
	o.Part, o.Finish = f.process.divide, f.process.finish
	if e.config != "" {
		o.Files = []string{e.config}
	}
	var newest atomic.Pointer[session] // in force
	newest.Store(first)
	defer e.serve(ctx, f, newest.Load)()
	next := first
	o.Reloaded = func(err error) {
		if err == nil {
			newest.Store(next)
		}
		if m := e.exports.metrics; m != nil {
			m.Reloaded(err)
		}
	}
	begun := false
	o.Next = func(ctx context.Context) (_ *daemon.Generation, err error) {
		s := first
		if begun {
			if s, err = e.openBeside(ctx, newest.Load(), true); err != nil {
				return nil, err
			}
		}
		o, err := f.options(s, r)
		if err != nil {
			s.Close()
			return nil, err
		}
		e.exports.watch(s, o)
		next, begun = s, true
		return &daemon.Generation{Group: s.Group, Registry: s.reg, Options: *o, Knows: s.farm.Has, Close: s.Close}, nil
	}
	return daemon.Run(ctx, o)
}
