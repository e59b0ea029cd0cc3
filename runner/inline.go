package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Inline returns what runs jobs where they are pushed, for [jobqueue.Routes.Inline]: with the constructors in reg, the
// time limit of the group's policy and, of the options, Middleware, OnStart, OnEnd, Logger, Unlogged and Only. A job whose time is up
// but that goes on holds up whoever pushes it. OnEnd says ActionAbandon of a job that failed. Nil options are zero options.
//
// The registry may get its types later: jobs that push others need the group first.
func Inline(reg *jobqueue.Registry, o *Options) func(*jobqueue.Group, *jobqueue.Claim) (func(context.Context) error, error) {
	in := &inliner{reg: reg, o: o.withDefaults()}
	in.only = only(in.o.Only)
	return in.prepare
}

// An inliner runs jobs where they are pushed.
type inliner struct {
	reg  *jobqueue.Registry
	o    Options
	only map[string]map[string]bool

	mu     sync.Mutex
	told   time.Time // when the log was told last of jobs that could not be stored
	untold int
}

func (in *inliner) prepare(g *jobqueue.Group, c *jobqueue.Claim) (func(context.Context) error, error) {
	if !serves(in.only, c.Name) {
		return nil, nil
	}
	var job jobqueue.Job
	err := guard(func() (err error) {
		job, err = in.reg.Job(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	policy := in.reg.Policy
	if g.Routes.Policy != nil {
		policy = g.Routes.Policy
	}
	limit := policy(c.Type).WithDefaults().Timeout
	return func(ctx context.Context) error { return in.run(ctx, c, job, limit) }, nil
}

func (in *inliner) run(ctx context.Context, c *jobqueue.Claim, job jobqueue.Job, limit time.Duration) error {
	if c.Inline == jobqueue.PushFailed {
		in.outage(c)
	}
	begin, own := time.Now(), ctx
	if limit > 0 {
		var cancel context.CancelFunc
		own, cancel = context.WithTimeoutCause(ctx, limit, ErrTimeout)
		defer cancel()
	}
	var err error
	if in.o.OnStart != nil {
		err = guard(func() error {
			in.o.OnStart(c)
			return nil
		})
	}
	if err == nil {
		err = Call(own, job, in.o.Middleware)
	}
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(own), ErrTimeout) {
		err = fmt.Errorf("%w: %v: %v", ErrTimeout, limit, err)
	}
	in.ended(ctx, c, err, begin, max(time.Since(begin), 1))
	return err
}

// ended tells the caller and the log of a job that has ended.
func (in *inliner) ended(ctx context.Context, c *jobqueue.Claim, err error, began time.Time, took time.Duration) {
	if in.o.OnEnd != nil {
		e := Ended{Claim: c, Err: err, Action: jobqueue.ActionDone, Began: began, Took: took}
		if err != nil {
			e.Action = jobqueue.ActionAbandon
		}
		bad := guard(func() error {
			in.o.OnEnd(e)
			return nil
		})
		if bad != nil {
			in.o.Logger.Error("OnEnd panics", "queue", c.Name.String(), "id", c.ID, "error", printable(bad.Error()))
		}
	}
	if in.o.Unlogged {
		return
	}
	if err == nil {
		in.o.Logger.Debug("inline job done", "queue", c.Name.String(), "id", c.ID, "why", c.Inline, "took", took)
		return
	}
	in.o.Logger.Log(ctx, slog.LevelError, "inline job failed and is not tried again",
		"queue", c.Name.String(), "id", c.ID, "why", c.Inline, "took", took, "error", printable(err.Error()))
}

// outageTime is the least time between two lines of the log about jobs that cannot be stored.
const outageTime = 10 * time.Second

// outage tells the log that jobs run here since they cannot be stored, not once for each of them.
func (in *inliner) outage(c *jobqueue.Claim) {
	in.mu.Lock()
	in.untold++
	n := in.untold
	if !in.told.IsZero() && time.Since(in.told) < outageTime {
		in.mu.Unlock()
		return
	}
	in.told, in.untold = time.Now(), 0
	in.mu.Unlock()
	in.o.Logger.Warn("jobs cannot be stored and run where they are pushed", "jobs", n, "queue", c.Name.String())
}
