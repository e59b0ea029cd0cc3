package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Pop claims jobs of any queues, in one Backend.Pop per backend. Jobs that a
// newer root supersedes and jobs whose tries are used up are settled at
// once and not returned, so that a Pop may return fewer jobs than are
// ready; only when it returns none is there none.
//
// What is paused, see [Group.Pause], is left out, also when asked for by ID.
//
// On an [ErrUnavailable] it asks once more with the same token, so that a lost
// answer does not leave jobs to wait for their lease to end.
// With an error there may still be claims, of the backends that answered.
// The caller settles or extends them before the lease ends.
func (g *Group) Pop(ctx context.Context, l Lease, wants ...Want) ([]*Claim, error) {
	if err := g.writable(); err != nil {
		return nil, &Error{Op: "pop", Err: err}
	}
	held, err := g.paused(ctx)
	if err != nil {
		return nil, &Error{Op: "pop", Err: err}
	}
	if held != nil {
		wants = slices.DeleteFunc(slices.Clone(wants), func(w Want) bool { return held.covers(w.Name) })
	}
	var all []*Claim
	var errs []error
	for _, b := range g.backends {
		mine := wants
		if len(g.backends) > 1 {
			mine = nil
			for _, w := range wants {
				if g.Backend(w.Type) == b {
					mine = append(mine, w)
				}
			}
		}
		if len(mine) == 0 {
			continue
		}
		claims, err := g.popFrom(ctx, b, l, mine)
		if err != nil {
			e := &Error{Op: "pop", Err: err}
			if len(mine) == 1 {
				e.Queue = mine[0].Name
			}
			errs = append(errs, e)
		}
		all = append(all, claims...)
	}
	return all, errors.Join(errs...)
}

// popFrom pops until a batch holds a job to run, or nothing.
func (g *Group) popFrom(ctx context.Context, b Backend, l Lease, wants []Want) ([]*Claim, error) {
	for {
		claims, err := b.Pop(ctx, l, wants...)
		if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
			claims, err = b.Pop(ctx, l, wants...)
		}
		if g.Trace.Popped != nil {
			g.Trace.Popped(ctx, claims, err)
		}
		if err != nil || len(claims) == 0 {
			return nil, err
		}
		for _, c := range claims {
			c.backend = b
			c.Attempt = c.Tries() + 1
		}
		live, dead := g.sortOut(claims)
		if len(dead) > 0 {
			if err := g.settleAtPop(ctx, dead); err != nil {
				return live, err
			}
		}
		if len(live) > 0 {
			return live, nil
		}
		// All of them are settled; the next batch is a Pop of its own.
		if l.Token, err = uuid.NewRandom(); err != nil {
			return nil, err
		}
	}
}

// sortOut splits claims into those to run and outcomes for those that must not.
func (g *Group) sortOut(claims []*Claim) (live []*Claim, dead []Outcome) {
	live = claims[:0]
	typ, policy := "", Policy{}
	for _, c := range claims {
		if c.MaxTries == 0 {
			if c.Type != typ {
				typ, policy = c.Type, g.Policy(c.Type)
			}
			c.MaxTries = policy.MaxTries
		}
		switch {
		case c.Superseded:
			dead = append(dead, Outcome{Claim: c, Do: ActionDone})
		case c.Attempt > c.MaxTries:
			dead = append(dead, Outcome{Claim: c, Do: ActionAbandon, Err: exhausted(c)})
		default:
			live = append(live, c)
		}
	}
	return live, dead
}

func exhausted(c *Claim) string {
	reason := fmt.Sprintf("tries used up: %d failures, %d claims ran out", c.Failures, c.Expiries)
	if c.Expiries > 2 {
		reason += ", the last ones while the job ran alone"
	}
	if c.LastError != "" {
		reason += "; last error: " + c.LastError
	}
	return reason
}

func (g *Group) settleAtPop(ctx context.Context, dead []Outcome) error {
	if err := g.Settle(ctx, dead...); err != nil && !errors.Is(err, ErrNotClaimed) {
		return err
	}
	for _, o := range dead {
		switch {
		case o.Do == ActionDone && g.Trace.Superseded != nil:
			g.Trace.Superseded(ctx, o.Claim)
		case o.Do == ActionAbandon && g.Trace.Exhausted != nil:
			g.Trace.Exhausted(ctx, o.Claim, o.Err)
		}
	}
	return nil
}
