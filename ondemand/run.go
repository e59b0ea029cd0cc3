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
// and does not wait. Without a MaxTime, for 30 s at most; what is left waits for the next run. When a deadline of the context
// has passed, jobs that still run are interrupted at once and given back; so are they when the lease is lost.
func Jobs(g *jobqueue.Group, reg *jobqueue.Registry, o runner.Options) Work {
	o.Wait = false
	if o.MaxTime <= 0 {
		o.MaxTime = 30 * time.Second
	}
	return Work{Name: "jobs", Do: func(ctx context.Context, domain string) (int, error) {
		o := o
		o.Domains = func() []string { return []string{domain} }
		if _, bounded := ctx.Deadline(); bounded {
			o.Grace = -1
		}
		var stop func()
		o.Abort, stop = abortWithout(ctx, o.Abort)
		defer stop()
		result, err := runner.Run(ctx, g, reg, &o)
		if err != nil {
			return 0, err
		}
		switch n := result.Counts.Runs(); result.Reached {
		case runner.TimeLimit, runner.JobLimit, runner.MemoryLimit, runner.LowMemory:
			return n, ErrMore
		default:
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return n, ErrMore
			}
			return n, result.Err
		}
	}}
}

type fencedKey struct{}

// abortWithout returns what is closed with abort, or when the lease is lost under which ctx's work runs: who has it now must
// not find jobs at work, also if the work was about to end anyway.
func abortWithout(ctx context.Context, abort <-chan struct{}) (either <-chan struct{}, stop func()) {
	fenced, _ := ctx.Value(fencedKey{}).(<-chan struct{})
	both, done := make(chan struct{}), make(chan struct{})
	go func() {
		select {
		case <-abort:
			close(both)
		case <-fenced:
			close(both)
		case <-done:
		}
	}()
	return both, func() { close(done) }
}

// A Run is what was done for a domain under a lease.
type Run struct {
	Domain string
	Token  int64
	Began  time.Time
	Took   time.Duration
	Names  []string // of each Work of the Options
	Counts []int    // what each of them has done
	Err    error    // joined of all of them; without ErrMore

	Outcome string // "3 jobs 1 mails failed", or "no-op"
	Crashed int64  // the token of the run before it, if that was taken over without an end; else 0
}

// look asks for the lease of a domain, and runs it or waits.
func (r *Runner) look(w *want) {
	r.looks.Add(1)
	place := w.place
	w.place = false
	defer func() {
		if place {
			r.release()
		}
	}()
	s := r.o.Switch(w.domain)
	ctx, cancel := context.WithTimeout(r.ctx, callTime)
	defer cancel()
	here := false // because no process could be started
	switch {
	case s.Disabled:
		r.leave(ctx, w)
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
		if now.Token != w.behind && r.followed(w) {
			return
		}
	}
	if r.o.Exec != nil {
		if r.launch(ctx, w) {
			return
		}
		here = true
	}
	if s.NoDelay || here {
		r.leave(ctx, w)
	}
	w.party.Waited = time.Since(w.asked)
	var g lease.Grant
	var err error
	if place = place || r.reserve(); place {
		g, err = r.o.Leases.Take(ctx, w.domain, w.party, !s.NoDelay && !here)
	} else if g, err = r.o.Leases.GoOnDeck(ctx, w.domain, w.party); err == nil && g.Place == lease.Refused && g.Wait == 0 {
		// It is due. Another process may have a place before.
		r.leave(ctx, w)
		r.line(w)
		return
	}
	if err != nil {
		r.rest(w, err)
		return
	}
	r.note(w, nil)
	w.rest, w.behind, w.onDeck = 0, 0, g.Place == lease.OnDeck
	switch {
	case g.Place == lease.Current:
		r.forget(w) // what is asked for from now on needs another run
		mine := place
		place = false
		r.done.Go(func() {
			if mine {
				defer r.release()
			}
			r.run(w.domain, g)
		})
	case w.onDeck:
		r.overdue(w, g)
		r.later(w, g.Wait)
	case s.NoDelay:
		r.refused.Add(1)
		r.forget(w)
	case here:
		r.later(w, g.Wait)
	default:
		r.refused.Add(1)
		w.behind, w.seen = g.Token, g.Asked
		r.later(w, g.Wait)
	}
}

// leave gives up the place on deck of who does not wait for its turn any more. If that fails it runs out by itself.
func (r *Runner) leave(ctx context.Context, w *want) {
	if !w.onDeck {
		return
	}
	w.onDeck = false
	if err := r.o.Leases.Leave(ctx, w.domain, w.party); err != nil {
		r.o.Logger.Debug("a place on deck is not left", "domain", w.domain, "error", err)
	}
}

// overdue warns while the run that a domain on deck waits for goes on for longer than it should, after as long as hold does.
func (r *Runner) overdue(w *want, g lease.Grant) {
	if w.warnAt == 0 {
		w.warnAt = firstWarn
	}
	if g.Overdue < w.warnAt {
		return
	}
	w.warnAt = 2*w.warnAt + firstWarn
	if r.isRunning(w.domain) {
		return // hold does
	}
	r.overruns.Add(1)
	r.o.Logger.Warn("a run on demand of another process goes on for longer than it should", "domain", w.domain, "token", g.Token, "overdue", g.Overdue)
}

// rest tries again after a while, which grows.
func (r *Runner) rest(w *want, err error) {
	if errors.Is(err, jobqueue.ErrInvalid) {
		r.o.Logger.Warn("a domain cannot be run", "domain", w.domain, "error", err)
		r.forget(w)
		return
	}
	r.note(w, err)
	if w.rest == 0 {
		r.o.Logger.Warn("a domain cannot be run now", "domain", w.domain, "error", err)
	}
	w.rest = min(max(2*w.rest, firstRest), mostRest)
	r.later(w, w.rest)
}

// run does the work of a domain while the lease is held.
func (r *Runner) run(domain string, g lease.Grant) {
	if _, more := r.runFor(r.ctx, domain, g, callTime); more {
		r.Poke(domain)
	}
}

// runFor does the work of a domain while the lease is held, until parent ends. It returns whether there is more to do. To end the
// lease it takes no longer than toEnd.
func (r *Runner) runFor(parent context.Context, domain string, g lease.Grant, toEnd time.Duration) (run Run, more bool) {
	token := g.Token
	defer r.running(domain)()
	fenced := make(chan struct{})
	ctx, stop := context.WithCancelCause(context.WithValue(lease.WithToken(parent, token), fencedKey{}, (<-chan struct{})(fenced)))
	// It is held for as long as the work takes, also to end after parent has.
	holding, worked := context.WithCancel(context.WithoutCancel(parent))
	defer stop(nil) // also when the work ends its goroutine
	defer worked()
	held, unsure := make(chan struct{}), false
	go func() {
		defer close(held)
		r.hold(holding, domain, g, func(err error) {
			unsure = !errors.Is(err, lease.ErrStale)
			stop(err)
			close(fenced)
		})
	}()
	run, more = r.workAll(ctx, domain, token)
	run.Crashed = g.Crashed
	stop(nil)
	worked()
	<-held
	more = more || unsure // nobody has it instead

	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), toEnd)
	defer cancel()
	if err := r.end(end, domain, token, run); err != nil && !errors.Is(run.Err, lease.ErrStale) {
		run.Err = errors.Join(run.Err, err)
	}
	r.tell(&run)
	return run, more
}

// end ends a lease, for as long as ctx allows if the store is away: without it, the run counts as one that crashed.
func (r *Runner) end(ctx context.Context, domain string, token int64, run Run) error {
	for rest := 100 * time.Millisecond; ; rest = min(2*rest, time.Second) {
		err := r.o.Leases.End(ctx, domain, token, run.Outcome, run.Took)
		if err == nil || errors.Is(err, lease.ErrStale) || errors.Is(err, jobqueue.ErrReadOnly) {
			return err
		}
		again := time.NewTimer(rest)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return err
		}
	}
}

// tell notes how a run went.
func (r *Runner) tell(run *Run) {
	run.Outcome = r.outcome(*run)
	if run.Err != nil {
		r.o.Logger.Warn("run on demand", "domain", run.Domain, "token", run.Token, "done", run.Outcome, "took", run.Took, "error", run.Err)
	} else {
		r.o.Logger.Debug("run on demand", "domain", run.Domain, "token", run.Token, "done", run.Outcome, "took", run.Took)
	}
	r.count(run.Err)
	r.o.OnRun(*run)
}

// workAll does the work of a domain until ctx ends. It returns whether there is more to do.
func (r *Runner) workAll(ctx context.Context, domain string, token int64) (run Run, more bool) {
	run = Run{Domain: domain, Token: token, Began: time.Now(), Counts: make([]int, len(r.o.Work))}
	for _, work := range r.o.Work {
		run.Names = append(run.Names, work.Name)
	}
	for i, work := range r.o.Work {
		if ctx.Err() != nil {
			break
		}
		n, err := do(ctx, work, domain)
		run.Counts[i] = n
		if errors.Is(err, ErrMore) || err != nil && unfinished(context.Cause(ctx)) {
			more = true
		} else if err != nil {
			run.Err = errors.Join(run.Err, fmt.Errorf("%s: %w", work.Name, err))
		}
	}
	run.Took = time.Since(run.Began)
	if cause := context.Cause(ctx); unfinished(cause) {
		more = true
	} else if cause != nil {
		run.Err = errors.Join(run.Err, cause)
	}
	run.Outcome = r.outcome(run)
	return run, more
}

// unfinished reports whether a run was ended for a reason that is no failure.
func unfinished(cause error) bool { return errors.Is(cause, errBudget) || errors.Is(cause, errAsked) }

var errPanic = errors.New("panic")

// do calls a Work and turns its panic into an error.
func do(ctx context.Context, w Work, domain string) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
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
func (r *Runner) hold(ctx context.Context, domain string, g lease.Grant, lost func(error)) {
	u, token := r.o.Leases.Rules.WithDefaults(), g.Token
	beat := time.NewTicker(u.TTL / 4)
	defer beat.Stop()
	gap := firstWarn
	warn := time.NewTimer(u.Interval + gap)
	defer warn.Stop()
	for began, confirmed := time.Now(), g.Asked; ; {
		select {
		case <-ctx.Done():
			return
		case <-warn.C:
			r.overruns.Add(1)
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
