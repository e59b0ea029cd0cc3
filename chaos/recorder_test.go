//go:build linux

package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A store is all that a runner makes use of in a backend.
type store interface {
	jobqueue.Backend
	jobqueue.Waiter
	jobqueue.Control
	jobqueue.Limiter
}

// A recorder is a store that logs what goes through it, and whose calls can be held back.
type recorder struct {
	store
	log  *journal
	gate sync.RWMutex // held for writing while no call may be under way
}

// call times a call and keeps it behind the gate.
func (r *recorder) call(do func()) (begin, end int64) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	begin = now()
	do()
	return begin, now()
}

// other logs a call of which nothing is known but how long it took.
func (r *recorder) other(what string, do func() error) {
	var err error
	begin, end := r.call(func() { err = do() })
	r.log.add(event{Kind: other, What: what, Begin: begin, End: end, Err: text(err)})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *recorder) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (p jobqueue.Pushed, err error) {
	e := event{Kind: pushing, ID: id.String(), Begin: now()}
	for i := range records {
		rec := &records[i]
		j := jobEvent{Number: number(rec.Params), Queue: rec.Name.String()}
		if rec.Digest != (jobqueue.Digest{}) {
			j.Digest = j.Queue + " " + fmt.Sprintf("%x", rec.Digest[:8])
		}
		if rec.Root.Key != "" {
			j.Root, j.At = j.Queue+" "+rec.Root.Key, rec.Root.Time.UnixMicro()
		}
		e.Jobs = append(e.Jobs, j)
	}
	r.log.add(e)
	e.Kind = pushed
	e.Begin, e.End = r.call(func() { p, err = r.store.Push(ctx, id, records) })
	if e.Err = text(err); err == nil {
		e.Jobs = slices.Clone(e.Jobs)
		for i := range e.Jobs {
			e.Jobs[i].ID, e.Jobs[i].Dup = p[i].ID, p[i].Duplicate
		}
	}
	r.log.add(e)
	return p, err
}

// number returns what a job is told apart by.
func number(params json.RawMessage) string {
	var w work
	if err := json.Unmarshal(params, &w); err != nil {
		return "unreadable: " + string(params)
	}
	return w.Number
}

func (r *recorder) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) (claims []*jobqueue.Claim, err error) {
	e := event{Kind: popping, Token: l.Token.String(), TTL: l.TTL.Microseconds(), Begin: now()}
	r.log.add(e)
	e.Kind = popped
	e.Begin, e.End = r.call(func() { claims, err = r.store.Pop(ctx, l, wants...) })
	e.Err = text(err)
	for _, c := range claims {
		x := claimEvent{
			ID: c.ID, Number: number(c.Params), Token: c.Token.String(), Queue: c.Name.String(), Superseded: c.Superseded,
			Fresh:   c.Expiries+c.Failures == 0,
			Expires: now() + time.Until(c.Expires).Microseconds(),
		}
		if c.Root.Key != "" {
			x.Root, x.At = x.Queue+" "+c.Root.Key, c.Root.Time.UnixMicro()
		}
		e.Claims = append(e.Claims, x)
	}
	r.log.add(e)
	return claims, err
}

func (r *recorder) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	e := event{Kind: settling, Begin: now()}
	for _, o := range outcomes {
		e.Outcomes = append(e.Outcomes, outcomeEvent{ID: o.Claim.ID, Token: o.Claim.Token.String(), Do: o.Do})
	}
	r.log.add(e)
	e.Kind = settled
	e.Begin, e.End = r.call(func() { lost, err = r.store.Settle(ctx, outcomes...) })
	e.Err = text(err)
	part, inPart := errors.AsType[*jobqueue.PartError](err)
	e.Outcomes = slices.Clone(e.Outcomes)
	for i, o := range outcomes {
		e.Outcomes[i].Lost = slices.Contains(lost, o.Claim)
		e.Outcomes[i].Open = err != nil && !inPart || inPart && slices.Contains(part.Claims, o.Claim)
	}
	r.log.add(e)
	return lost, err
}

func (r *recorder) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	e := event{Kind: extended, TTL: ttl.Microseconds()}
	e.Begin, e.End = r.call(func() { lost, err = r.store.Extend(ctx, ttl, tokens...) })
	e.Err = text(err)
	part, inPart := errors.AsType[*jobqueue.PartError](err)
	for _, t := range tokens {
		e.Tokens = append(e.Tokens, tokenEvent{
			Token: t.String(), Lost: slices.Contains(lost, t),
			Open: err != nil && !inPart || inPart && slices.Contains(part.Tokens, t),
		})
	}
	r.log.add(e)
	return lost, err
}

func (r *recorder) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) (times []time.Time, err error) {
	r.other("mark", func() error { times, err = r.store.MarkRoots(ctx, marks...); return err })
	return times, err
}

func (r *recorder) Counts(ctx context.Context, names ...jobqueue.Name) (counts []jobqueue.Counts, err error) {
	r.other("counts", func() error { counts, err = r.store.Counts(ctx, names...); return err })
	return counts, err
}

// Ready reads all before it yields, so that nobody keeps the gate.
func (r *recorder) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		var all []jobqueue.Backlog
		var failed error
		r.other("ready", func() error {
			for b, err := range r.store.Ready(ctx, names...) {
				if failed = err; err == nil {
					all = append(all, b)
				}
			}
			return failed
		})
		for _, b := range all {
			if !yield(b, nil) {
				return
			}
		}
		if failed != nil {
			yield(jobqueue.Backlog{}, failed)
		}
	}
}

func (r *recorder) Maintain(ctx context.Context) (m jobqueue.Maintained, err error) {
	r.other("maintain", func() error { m, err = r.store.Maintain(ctx); return err })
	return m, err
}

func (r *recorder) Values(ctx context.Context, prefix string) (values []jobqueue.Value, err error) {
	r.other("values", func() error { values, err = r.store.Values(ctx, prefix); return err })
	return values, err
}

func (r *recorder) SetValue(ctx context.Context, v jobqueue.Value) (at jobqueue.Value, ok bool, err error) {
	r.other("set", func() error { at, ok, err = r.store.SetValue(ctx, v); return err })
	return at, ok, err
}

// A clocked store can be told that its clock has jumped.
type clocked interface {
	store
	queuetest.Clock
}
