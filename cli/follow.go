package cli

import (
	"context"
	"errors"
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
	var next *session
	var bad error // why the first one is not of the file as it is
	o.Reloaded = func(err error) {
		if err == nil {
			newest.Store(next)
		}
		if m := e.exports.metrics; m != nil {
			m.Reloaded(errors.Join(err, bad))
		}
		bad = nil
	}
	o.Next = func(ctx context.Context) (_ *daemon.Generation, err error) {
		var s *session
		if next == nil {
			s, bad = e.begin(ctx, first)
		} else if s, err = e.openBeside(ctx, newest.Load(), true); err != nil {
			return nil, err
		}
		o, err := f.options(s, r)
		if err != nil {
			s.Close()
			return nil, err
		}
		e.exports.watch(s, o)
		next = s
		return &daemon.Generation{Group: s.Group, Registry: s.reg, Options: *o, Knows: s.farm.Has, Close: s.Close}, nil
	}
	return daemon.Run(ctx, o)
}

// begin returns the session to begin with: first, unless the farm file has changed since that was opened, which nobody
// would notice; and why the file cannot be used.
func (e *env) begin(ctx context.Context, first *session) (*session, error) {
	farm, err := e.farm(true)
	if err != nil || farm.Digest() == first.farm.Digest() {
		return first, err
	}
	s, err := e.openBeside(ctx, first, true)
	if err != nil {
		return first, err
	}
	return s, nil
}
