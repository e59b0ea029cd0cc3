package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

func (e *env) runOne() *cobra.Command {
	var id, typ, params, domain string
	c := &cobra.Command{
		Use:   "run-one",
		Short: "Run one job, now and here",
		Long: `Run one job: the ready or delayed one of --id, which is then settled like any other;
or one of --type and --params, which is in no queue and is only run.

Exit status 1 means that the job failed, or asked to be run later.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(given(&id, "id"), "id", "the `id` of the job, as list shows it")
	fs.Var(name(&typ, "type"), "type", "the `type` of a job that is in no queue")
	fs.StringVar(&params, "params", "{}", "its parameters, a `JSON` object")
	fs.Var(name(&domain, "domain"), "domain", "its `domain`, also spelled --wiki; without it the farm's only one")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch loose := typ != "" || domain != "" || fs.Changed("params"); {
		case id == "" && typ == "":
			return usagef("give --id, or --type and --params")
		case id != "" && loose:
			return usagef("give either --id, or --type and --params")
		}
		return e.run(id == "", func(ctx context.Context, s *session) error {
			ctx, _, stop := onSignals(ctx, endSignals...)
			defer stop()
			o := &single{s: s, cmd: c, around: e.middleware()}
			if id != "" {
				return o.queued(ctx, id)
			}
			spec := jobqueue.Spec{Type: typ, Params: json.RawMessage(params), Domain: domain}
			return o.loose(ctx, spec)
		})(c, args)
	}
	return c
}

// middleware returns that of the program, nil if it has none.
func (e *env) middleware() func(context.Context, jobqueue.Job, func(context.Context) error) error {
	var o runner.Options
	if e.app.Options != nil {
		e.app.Options(&o)
	}
	return o.Middleware
}

// single runs one job.
type single struct {
	s      *session
	cmd    *cobra.Command
	around func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error
	told   bool // how the job ended is printed
}

// loose runs a job that is in no queue.
func (o *single) loose(ctx context.Context, spec jobqueue.Spec) error {
	var err error
	if spec.Domain, err = o.s.home(spec.Domain); err != nil {
		return err
	}
	if err := o.s.check(spec); err != nil {
		return err
	}
	if err := unique(spec.Params); err != nil {
		return usagef("--params: %w", err)
	}
	c := &jobqueue.Claim{
		Record:   jobqueue.Record{Name: jobqueue.Name{Domain: spec.Domain, Type: spec.Type}, Params: spec.Params, MaxTries: 1},
		ID:       "none",
		Attempt:  1,
		QueuedAt: time.Now(),
	}
	job, err := o.s.reg.Job(c)
	if err != nil {
		return err
	}
	return o.failed(o.run(ctx, c, job))
}

// queued claims a job, runs and settles it.
func (o *single) queued(ctx context.Context, label string) error {
	g, entry, err := o.find(ctx, label)
	if err != nil {
		return err
	}
	if !o.s.reg.Has(entry.Type) {
		return fmt.Errorf("job %s: %w %q, this program has no handler for it", label, jobqueue.ErrUnknownType, entry.Type)
	}
	token, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	lease := jobqueue.Lease{Token: token, TTL: g.Policy(entry.Type).Lease, Owner: fmt.Sprintf("run-one %.200s:%d", host, os.Getpid())}
	claims, err := g.Pop(ctx, lease, jobqueue.Want{Name: entry.Name, ID: entry.ID})
	if err != nil {
		return err
	}
	if len(claims) == 0 {
		if p, err := o.s.pausing(ctx, entry.Name); err != nil || len(p) > 0 {
			return errors.Join(err, pausedError(label, p))
		}
		return fmt.Errorf("job %s is %v and cannot be claimed; a newer root may have superseded it, or its tries are used up", label, entry.State)
	}
	c := claims[0]
	job, err := o.s.reg.Job(c)
	if err == nil {
		err = o.held(ctx, g, c, job)
	}
	out := g.Outcome(c, err)
	if err != nil && ctx.Err() != nil {
		out = jobqueue.Outcome{Claim: c, Do: jobqueue.ActionGiveBack, Err: "interrupted"}
	}
	// What came of the job is recorded even after a signal.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if e := g.Settle(settle, out); e != nil {
		if o.told {
			return e
		}
		return errors.Join(err, e)
	}
	return o.failed(err)
}

func (o *single) find(ctx context.Context, label string) (*jobqueue.Group, jobqueue.Entry, error) {
	parts, err := o.s.parts(jobqueue.Filter{IDs: []string{label}})
	if err != nil {
		return nil, jobqueue.Entry{}, err
	}
	for _, p := range parts {
		for e, err := range p.List(ctx, p.f) {
			switch {
			case err != nil:
				return nil, e, err
			case e.State == jobqueue.Abandoned:
				return nil, e, usagef("job %s is abandoned; requeue it first", label)
			case e.State == jobqueue.Claimed:
				return nil, e, usagef("job %s is claimed by %s", label, e.Owner)
			}
			return p.Group, e, nil
		}
	}
	return nil, jobqueue.Entry{}, usagef("there is no job %s", label)
}

// held runs a job while its claim is kept alive.
func (o *single) held(ctx context.Context, g *jobqueue.Group, c *jobqueue.Claim, job jobqueue.Job) error {
	p := g.Policy(c.Type)
	if p.AtMostOnce {
		// Whoever asked for it must not be given the job twice, so it ends before it runs.
		if err := g.Settle(ctx, jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}); err != nil {
			return err
		}
		return o.run(ctx, c, job)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(p.Lease / 4)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
			}
			if lost, err := g.Extend(ctx, p.Lease, c); len(lost) > 0 {
				cancel(jobqueue.ErrNotClaimed)
			} else if err != nil && ctx.Err() == nil {
				o.s.log.Warn("claim not extended", "error", escape(err.Error()))
			}
		}
	}()
	err := o.run(ctx, c, job)
	cancel(nil)
	<-done
	return err
}

// run runs a job within its time limit, and prints how it ended.
func (o *single) run(ctx context.Context, c *jobqueue.Claim, job jobqueue.Job) (err error) {
	if limit := o.s.Policy(c.Type).Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("time limit of %v reached", limit))
		defer cancel()
	}
	start := time.Now()
	defer func() {
		o.told = true
		fmt.Fprintf(o.cmd.OutOrStdout(), "%s %s %s t=%d %s\n", now(), jobqueue.EscapeName(c.Type), short(c.Params),
			time.Since(start).Milliseconds(), outcomeOf(err))
	}()
	ctx = jobqueue.NewContext(ctx, c)
	return runner.Call(ctx, job, o.around)
}

func outcomeOf(err error) string {
	if err == nil {
		return "good"
	}
	return "error=" + escape(err.Error())
}

// failed makes the failure of a job that of the command, which does not say it twice.
func (o *single) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case o.told:
		return &statusError{status: exitFailed}
	}
	return &statusError{exitFailed, err}
}
