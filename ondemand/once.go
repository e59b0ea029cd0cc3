package ondemand

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
)

// errAsked is why the work of a Once ends when its context has ended.
var errAsked = errors.New("the process was asked to end")

// ErrNested says that a run was asked for from inside a run, for the end of which it might wait for ever.
var ErrNested = errors.New("ondemand: a run inside a run")

// Once says how [Runner.Once] is to run a domain. The zero Once is the usual way.
type Once struct {
	NoDelay bool // what is not due is not waited for
	NoLease bool // beside whatever else runs, and without a trace in the lease. It does not wait either

	// Trace is told what becomes of it, in lines that begin with Begin, On-deck, Not needed and No-delay exit. It may be nil.
	Trace func(line string)
}

// Once does for a domain what one process can: it takes the lease and runs, or waits on deck for its turn and runs, or leaves
// because somebody else is on deck. Of a domain that is disabled it runs too. When it may wait and a run leaves
// something to do, another one follows; it returns the last.
//
// It returns whether there was a run, and an error if there was to be one and was not, such as a
// [jobqueue.ErrReadOnly]; what went wrong in a run is its Err. When ctx ends it gives up the
// place on deck, or ends the run soon as [Work] says, and returns the cause; after Close it returns [ErrClosed]. Called by a
// Work with its context it returns [ErrNested].
func (r *Runner) Once(ctx context.Context, domain string, o Once) (run Run, ran bool, err error) {
	if _, nested := lease.Token(ctx); nested {
		return run, false, ErrNested
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(r.ctx, func() { end(ErrClosed) })()
	if o.Trace == nil {
		o.Trace = func(string) {}
	}
	p, began := lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}, time.Now()
	onDeck := false
	defer func() {
		if onDeck {
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
			defer cancel()
			err = errors.Join(err, r.o.Leases.Leave(leave, domain, p))
		}
	}()
	for {
		s := r.o.Switch(domain)
		if s.ReadOnly != "" {
			return run, ran, fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, s.ReadOnly)
		}
		if !r.begin() {
			return run, ran, ErrClosed
		}
		wait := !o.NoDelay && !o.NoLease && !s.NoDelay
		g := lease.Grant{Place: lease.Current}
		if !o.NoLease {
			p.Waited = time.Since(began)
			g, err = r.o.Leases.Take(ctx, domain, p, wait)
		}
		if err != nil || g.Place != lease.Current {
			r.done.Done()
		}
		if err != nil {
			return run, ran, err
		}
		onDeck = g.Place == lease.OnDeck
		switch {
		case g.Place == lease.Current:
			more := false
			if run, more = r.runOnce(ctx, domain, g, o); !more || !wait || ctx.Err() != nil {
				return run, true, context.Cause(ctx)
			}
			ran = true
			p.ID, began = uuid.NewString(), time.Now()
			continue
		case onDeck:
			o.Trace(fmt.Sprintf("On-deck %s, for %v", domain, g.Wait.Round(time.Millisecond)))
		case wait:
			o.Trace("Not needed " + domain)
			return run, ran, nil
		default:
			o.Trace("No-delay exit " + domain)
			return run, ran, nil
		}
		turn := time.NewTimer(g.Wait)
		select {
		case <-turn.C:
		case <-ctx.Done():
			turn.Stop()
			return run, ran, context.Cause(ctx)
		}
	}
}

// runOnce does the work of a domain, while the lease is held, unless it wants none. The caller has called begin.
func (r *Runner) runOnce(ctx context.Context, domain string, g lease.Grant, o Once) (run Run, more bool) {
	defer r.done.Done()
	o.Trace("Begin " + domain)
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, ErrClosed) {
			end(cause)
		} else {
			end(errAsked)
		}
	})()
	if !o.NoLease {
		return r.runFor(work, domain, g, callTime)
	}
	run, more = r.workAll(work, domain, 0)
	r.tell(&run)
	return run, more
}
