package queuetest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Faulty returns b with failures on demand. Before each call it asks fail,
// which gets the lower-case name of the method ("push", "pop", "settle", "extend",
// "markroots", "counts", "ready", "list", "delete", "requeue", "maintain", "wait", "values",
// "setvalue", "charge").
// If that returns
//
//   - nil, the call goes through;
//   - an error made by [After], the call takes effect, but its answer is lost: the error is returned;
//   - any other error, that is returned and nothing happens.
//
// Pop and Settle fail with whatever error fail makes up, so it should be one that a
// backend may return: as a rule one that wraps [jobqueue.ErrUnavailable].
//
// Ready and List call fail when they are iterated. What Faulty returns is a [jobqueue.Waiter]
// and a [Clock] if b is, and a [jobqueue.Control] and a [jobqueue.Limiter] if b is both of these.
// Calls may be concurrent, and so may be those of fail.
func Faulty(b jobqueue.Backend, fail func(op string) error) jobqueue.Backend {
	f := &faulty{b, fail}
	w, waits := b.(jobqueue.Waiter)
	c, shifts := b.(Clock)
	k, keeps := b.(keeper)
	fw, fk := faultyWaiter{w, fail}, faultyKeeper{k, fail}
	switch {
	case waits && shifts && keeps:
		return &struct {
			*faulty
			faultyWaiter
			Clock
			faultyKeeper
		}{f, fw, c, fk}
	case waits && shifts:
		return &struct {
			*faulty
			faultyWaiter
			Clock
		}{f, fw, c}
	case waits && keeps:
		return &struct {
			*faulty
			faultyWaiter
			faultyKeeper
		}{f, fw, fk}
	case shifts && keeps:
		return &struct {
			*faulty
			Clock
			faultyKeeper
		}{f, c, fk}
	case waits:
		return &struct {
			*faulty
			faultyWaiter
		}{f, fw}
	case shifts:
		return &struct {
			*faulty
			Clock
		}{f, c}
	case keeps:
		return &struct {
			*faulty
			faultyKeeper
		}{f, fk}
	}
	return f
}

// After makes an error that a [Faulty] backend returns after the call has taken effect.
func After(err error) error { return &after{err} }

type after struct{ error }

func (a *after) Unwrap() error { return a.error }

// call runs do unless fail says otherwise. The result is of use only without an error.
func call[T any](fail func(string) error, op string, do func() (T, error)) (result T, err error) {
	err = fail(op)
	if a, ok := errors.AsType[*after](err); ok {
		if _, failed := do(); failed != nil {
			return result, failed
		}
		return result, a.error
	}
	if err != nil {
		return result, err
	}
	return do()
}

type faulty struct {
	b    jobqueue.Backend
	fail func(op string) error
}

func (f *faulty) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	return call(f.fail, "push", func() (jobqueue.Pushed, error) { return f.b.Push(ctx, id, records) })
}

func (f *faulty) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	return call(f.fail, "pop", func() ([]*jobqueue.Claim, error) { return f.b.Pop(ctx, l, wants...) })
}

func (f *faulty) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) ([]*jobqueue.Claim, error) {
	return call(f.fail, "settle", func() ([]*jobqueue.Claim, error) { return f.b.Settle(ctx, outcomes...) })
}

func (f *faulty) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) ([]uuid.UUID, error) {
	return call(f.fail, "extend", func() ([]uuid.UUID, error) { return f.b.Extend(ctx, ttl, tokens...) })
}

func (f *faulty) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	return call(f.fail, "markroots", func() ([]time.Time, error) { return f.b.MarkRoots(ctx, marks...) })
}

func (f *faulty) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	return call(f.fail, "counts", func() ([]jobqueue.Counts, error) { return f.b.Counts(ctx, names...) })
}

func (f *faulty) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return sequence(f.fail, "ready", f.b.Ready(ctx, names...))
}

func (f *faulty) List(ctx context.Context, filter jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return sequence(f.fail, "list", f.b.List(ctx, filter))
}

// sequence yields what seq does, or an error before it or after it.
func sequence[T any](fail func(string) error, op string, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		err := fail(op)
		late, isAfter := errors.AsType[*after](err)
		if err != nil && !isAfter {
			yield(zero, err)
			return
		}
		for v, err := range seq {
			if !yield(v, err) || err != nil {
				return
			}
		}
		if isAfter {
			yield(zero, late.error)
		}
	}
}

func (f *faulty) Delete(ctx context.Context, filter jobqueue.Filter) (int, error) {
	return call(f.fail, "delete", func() (int, error) { return f.b.Delete(ctx, filter) })
}

func (f *faulty) Requeue(ctx context.Context, filter jobqueue.Filter) (int, error) {
	return call(f.fail, "requeue", func() (int, error) { return f.b.Requeue(ctx, filter) })
}

func (f *faulty) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	return call(f.fail, "maintain", func() (jobqueue.Maintained, error) { return f.b.Maintain(ctx) })
}

type faultyWaiter struct {
	w    jobqueue.Waiter
	fail func(op string) error
}

func (f faultyWaiter) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	return call(f.fail, "wait", func() ([]jobqueue.Name, error) { return f.w.Wait(ctx) })
}

// A keeper is both, as a backend is that has a store.
type keeper interface {
	jobqueue.Control
	jobqueue.Limiter
}

type faultyKeeper struct {
	k    keeper
	fail func(op string) error
}

func (f faultyKeeper) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	return call(f.fail, "values", func() ([]jobqueue.Value, error) { return f.k.Values(ctx, prefix) })
}

func (f faultyKeeper) SetValue(ctx context.Context, v jobqueue.Value) (now jobqueue.Value, ok bool, err error) {
	now, err = call(f.fail, "setvalue", func() (now jobqueue.Value, err error) {
		now, ok, err = f.k.SetValue(ctx, v)
		return now, err
	})
	return now, ok && err == nil, err
}

func (f faultyKeeper) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	return call(f.fail, "charge", func() ([]time.Duration, error) { return f.k.Charge(ctx, charges...) })
}
