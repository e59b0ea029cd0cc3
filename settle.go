package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Outcome turns what a job's Run returned into the outcome for its claim:
// done, or retried after a back-off, or abandoned on the last try, or what
// [Abandon], [RetryIn], [Snooze] or [Fault] ask for.
func (g *Group) Outcome(c *Claim, err error) Outcome {
	if err == nil {
		return Outcome{Claim: c, Do: ActionDone}
	}
	o := Outcome{Claim: c, Do: ActionRetry, Delay: -1, Err: err.Error()}
	p := g.Policy(c.Type)
	v, ok := errors.AsType[*verdict](err)
	if ok {
		o.Do, o.Delay = v.do, min(v.delay, MaxDelay)
	}
	switch {
	case ok && v.fault:
	case o.Do == ActionGiveBack && p.MaxSnooze >= 0 && time.Since(c.QueuedAt)+o.Delay > p.MaxSnooze:
		o.Do, o.Err = ActionAbandon, fmt.Sprintf("%s, which is past %v after it was queued", o.Err, p.MaxSnooze)
	case o.Do == ActionRetry && c.Attempt >= c.MaxTries:
		o.Do = ActionAbandon
	case o.Do == ActionRetry && o.Delay < 0:
		o.Delay = max(p.Backoff(c.Attempt), 0)
	}
	return o
}

// Settle ends claims, in one Backend.Settle per backend. For ActionAbandon a zero
// Keep means the policy's. The error is, or wraps, a [LostError] if
// any claim was no longer held; every other claim of a backend that
// answered, but those of a [PartError], is settled. Repeating it with the same outcomes is safe.
// An unknown Action is an [ErrInvalid], and nothing is settled.
func (g *Group) Settle(ctx context.Context, outcomes ...Outcome) error {
	for i := range outcomes {
		o := &outcomes[i]
		if err := o.Check(); err != nil {
			return &Error{Op: "settle", Queue: o.Claim.Name, Err: err}
		}
		o.Delay = min(o.Delay, MaxDelay)
		if o.Do == ActionAbandon && o.Keep == 0 {
			o.Keep = g.Policy(o.Claim.Type).Keep
		}
		if o.Keep > MaxDelay {
			o.Keep = NoLimit
		}
		o.Err = storable(o.Err)
	}
	var lost []*Claim
	var errs []error
	for b, mine := range byBackend(g, outcomes, func(o Outcome) *Claim { return o.Claim }) {
		gone, err := b.Settle(ctx, mine...)
		if g.Trace.Settled != nil {
			g.Trace.Settled(ctx, mine, gone, err)
		}
		if err != nil {
			errs = append(errs, &Error{Op: "settle", Err: err})
		}
		g.notifySettled(recorded(mine, err))
		lost = append(lost, gone...)
	}
	if len(lost) > 0 {
		errs = append(errs, &Error{Op: "settle", Queue: lost[0].Name, Err: &LostError{lost}})
	}
	return errors.Join(errs...)
}

// recorded returns the outcomes of a settlement that took effect.
func recorded(outcomes []Outcome, err error) []Outcome {
	if err == nil {
		return outcomes
	}
	part, ok := errors.AsType[*PartError](err)
	if !ok {
		return nil
	}
	left := make(map[*Claim]bool, len(part.Claims))
	for _, c := range part.Claims {
		left[c] = true
	}
	return slices.DeleteFunc(slices.Clone(outcomes), func(o Outcome) bool { return left[o.Claim] })
}

// storable returns what any store can keep of an error.
func storable(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	if len(s) > MaxError {
		s = strings.ToValidUTF8(s[:MaxError], "")
	}
	return s
}

// byBackend yields what belongs to each backend, in order.
func byBackend[T any](g *Group, all []T, claim func(T) *Claim) iter.Seq2[Backend, []T] {
	home := func(t T) Backend {
		if c := claim(t); c.backend != nil {
			return c.backend
		} else {
			return g.Backend(c.Type)
		}
	}
	return func(yield func(Backend, []T) bool) {
		for len(all) > 0 {
			b := home(all[0])
			other := slices.IndexFunc(all, func(t T) bool { return home(t) != b })
			if other < 0 {
				yield(b, all)
				return
			}
			mine, rest := slices.Clone(all[:other]), []T(nil)
			for _, t := range all[other:] {
				if home(t) == b {
					mine = append(mine, t)
				} else {
					rest = append(rest, t)
				}
			}
			if all = rest; !yield(b, mine) {
				return
			}
		}
	}
}

// Extend gives the leases of the claims' tokens ttl from now, in one
// Backend.Extend per backend, and returns the claims that are lost.
// All claims of a token are extended together, listed or not. If the error is a [PartError], all are
// but those it names.
// It does not change Claim.Expires.
func (g *Group) Extend(ctx context.Context, ttl time.Duration, claims ...*Claim) (lost []*Claim, err error) {
	var errs []error
	for b, mine := range byBackend(g, claims, func(c *Claim) *Claim { return c }) {
		tokens := make([]uuid.UUID, 0, len(mine))
		byToken := make(map[uuid.UUID][]*Claim, len(mine))
		for _, c := range mine {
			if byToken[c.Token] == nil {
				tokens = append(tokens, c.Token)
			}
			byToken[c.Token] = append(byToken[c.Token], c)
		}
		gone, err := b.Extend(ctx, ttl, tokens...)
		if err != nil {
			errs = append(errs, &Error{Op: "extend", Err: err})
		}
		for _, t := range gone {
			lost = append(lost, byToken[t]...)
		}
	}
	return lost, errors.Join(errs...)
}
