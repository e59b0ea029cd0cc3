package ondemand

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/runner"
)

// ErrMore says that there is more to do than was done: the domain is poked again.
var ErrMore = errors.New("ondemand: there is more to do")

const (
	callTime  = 10 * time.Second // for a call of the store
	firstRest = time.Second      // after a store could not be reached or may not be written
	mostRest  = time.Minute
	firstWarn = 30 * time.Second // beyond the interval; then twice as long each time
)

// A Work is a part of what a run does.
type Work struct {
	Name string // for the log: "jobs"

	// Do does what there is for a domain and returns how much that was, also with an error. Its context carries the
	// token of the lease ([lease.Token]) and ends when the lease is lost or the Runner must close.
	Do func(ctx context.Context, domain string) (n int, err error)
}

// Jobs returns the Work that runs the jobs of a domain as [runner.Run] does with o, which serves the domain alone
// and does not wait. Without a MaxTime, for 30 s at most; what is left waits for the next run.
func Jobs(g *jobqueue.Group, reg *jobqueue.Registry, o runner.Options) Work {
	o.Wait = false
	if o.MaxTime <= 0 {
		o.MaxTime = 30 * time.Second
	}
	return Work{Name: "jobs", Do: func(ctx context.Context, domain string) (int, error) {
		o := o
		o.Domains = func() []string { return []string{domain} }
		result, err := runner.Run(ctx, g, reg, &o)
		if err != nil {
			return 0, err
		}
		switch n := result.Counts.Runs(); result.Reached {
		case runner.TimeLimit, runner.JobLimit, runner.MemoryLimit, runner.LowMemory:
			return n, ErrMore
		default:
			return n, result.Err
		}
	}}
}

// A Run is what was done for a domain under a lease.
type Run struct {
	Domain string
	Token  int64
	Began  time.Time
	Took   time.Duration
	Counts []int // what each Work of the Options has done
	Err    error // joined of all of them; without ErrMore
}

// look asks for the lease of a domain, and runs it or waits.
func (r *Runner) look(w *want) {
	s := r.o.Switch(w.domain)
	ctx, cancel := context.WithTimeout(r.ctx, callTime)
	defer cancel()
	switch {
	case s.Disabled:
		r.forget(w)
		return
	case s.ReadOnly != "":
		r.rest(w, fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, s.ReadOnly))
		return
	case w.behind != 0:
		now, err := r.o.Leases.Read(ctx, w.domain)
		if err != nil {
			r.rest(w, err)
			return
		}
		if now.Token != w.behind {
			r.forget(w)
			return
		}
	}
	g, err := r.o.Leases.Take(ctx, w.domain, w.party, !s.NoDelay)
	if err != nil {
		r.rest(w, err)
		return
	}
	w.rest, w.behind, w.onDeck = 0, 0, g.Place == lease.OnDeck
	switch {
	case g.Place == lease.Current:
		r.forget(w) // what is asked for from now on needs another run
		r.run(w.domain, g.Token)
	case w.onDeck:
		r.later(w, g.Wait)
	case s.NoDelay:
		r.forget(w)
	default:
		w.behind = g.Token
		r.later(w, g.Wait)
	}
}

// rest tries again after a while, which grows.
func (r *Runner) rest(w *want, err error) {
	if errors.Is(err, jobqueue.ErrInvalid) {
		r.o.Logger.Warn("a domain cannot be run", "domain", w.domain, "error", err)
		r.forget(w)
		return
	}
	if w.rest == 0 {
		r.o.Logger.Warn("a domain cannot be run now", "domain", w.domain, "error", err)
	}
	w.rest = min(max(2*w.rest, firstRest), mostRest)
	r.later(w, w.rest)
}

// run does the work of a domain while the lease is held.
func (r *Runner) run(domain string, token int64) {
	ctx, lost := context.WithCancelCause(lease.WithToken(r.ctx, token))
	held := make(chan struct{})
	go func() {
		defer close(held)
		r.hold(ctx, domain, token, lost)
	}()
	run := Run{Domain: domain, Token: token, Began: time.Now(), Counts: make([]int, len(r.o.Work))}
	more := false
	for i, work := range r.o.Work {
		if ctx.Err() != nil {
			break
		}
		n, err := do(ctx, work, domain)
		run.Counts[i] = n
		if errors.Is(err, ErrMore) {
			more = true
		} else if err != nil {
			run.Err = errors.Join(run.Err, fmt.Errorf("%s: %w", work.Name, err))
		}
	}
	run.Took = time.Since(run.Began)
	if cause := context.Cause(ctx); cause != nil {
		run.Err = errors.Join(run.Err, cause)
	}
	lost(nil)
	<-held

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	if err := r.o.Leases.End(end, domain, token, r.outcome(run)); err != nil && !errors.Is(run.Err, lease.ErrStale) {
		run.Err = errors.Join(run.Err, err)
	}
	if run.Err != nil {
		r.o.Logger.Warn("run on demand", "domain", domain, "token", token, "done", r.outcome(run), "took", run.Took, "error", run.Err)
	} else {
		r.o.Logger.Debug("run on demand", "domain", domain, "token", token, "done", r.outcome(run), "took", run.Took)
	}
	if r.o.OnRun != nil {
		r.o.OnRun(run)
	}
	if more {
		r.Poke(domain)
	}
}

// do calls a Work and turns its panic into an error.
func do(ctx context.Context, w Work, domain string) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return w.Do(ctx, domain)
}

// outcome says what a run has done: "3 jobs 1 mails", or "no-op".
func (r *Runner) outcome(run Run) string {
	var parts []string
	for i, n := range run.Counts {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, r.o.Work[i].Name))
		}
	}
	if run.Err != nil {
		parts = append(parts, "failed")
	}
	if len(parts) == 0 {
		return "no-op"
	}
	return strings.Join(parts, " ")
}

// hold keeps the lease until ctx ends, and ends it when the lease is lost or was not confirmed for two thirds of
// the TTL. It warns of a run that takes longer than it should.
func (r *Runner) hold(ctx context.Context, domain string, token int64, lost context.CancelCauseFunc) {
	u := r.o.Leases.Rules.WithDefaults()
	beat := time.NewTicker(u.TTL / 4)
	defer beat.Stop()
	gap := firstWarn
	warn := time.NewTimer(u.Interval + gap)
	defer warn.Stop()
	for began, confirmed := time.Now(), time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-warn.C:
			r.o.Logger.Warn("a run on demand goes on for longer than it should", "domain", domain, "token", token, "running", time.Since(began))
			gap *= 2
			warn.Reset(gap)
		case <-beat.C:
			call, cancel := context.WithTimeout(ctx, u.TTL/4)
			asked := time.Now()
			err := r.o.Leases.Beat(call, domain, token)
			cancel()
			switch {
			case err == nil:
				confirmed = asked
			case ctx.Err() != nil:
				return
			case errors.Is(err, lease.ErrStale) || time.Since(confirmed) > u.TTL*2/3:
				lost(err)
				return
			}
		}
	}
}
