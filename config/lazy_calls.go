package config

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

func (l *lazy) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Push(ctx, id, records)
}

func (l *lazy) Pop(ctx context.Context, lease jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Pop(ctx, lease, wants...)
}

func (l *lazy) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) ([]*jobqueue.Claim, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Settle(ctx, outcomes...)
}

func (l *lazy) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) ([]uuid.UUID, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Extend(ctx, ttl, tokens...)
}

func (l *lazy) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.MarkRoots(ctx, marks...)
}

func (l *lazy) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Counts(ctx, names...)
}

func (l *lazy) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		b, err := l.get(ctx)
		if err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		b.Ready(ctx, names...)(yield)
	}
}

func (l *lazy) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		b, err := l.get(ctx)
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		b.List(ctx, f)(yield)
	}
}

func (l *lazy) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	b, err := l.get(ctx)
	if err != nil {
		return 0, err
	}
	return b.Delete(ctx, f)
}

func (l *lazy) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	b, err := l.get(ctx)
	if err != nil {
		return 0, err
	}
	return b.Requeue(ctx, f)
}

func (l *lazy) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	b, err := l.get(ctx)
	if err != nil {
		return jobqueue.Maintained{}, err
	}
	return b.Maintain(ctx)
}

func (l *lazy) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Wait(ctx)
}

func (l *lazy) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Values(ctx, prefix)
}

func (l *lazy) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	b, err := l.get(ctx)
	if err != nil {
		return jobqueue.Value{}, false, err
	}
	return b.SetValue(ctx, v)
}

func (l *lazy) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Charge(ctx, charges...)
}

func (l *lazy) Hold(ctx context.Context, h jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Hold(ctx, h, most)
}

func (l *lazy) Keep(ctx context.Context, h jobqueue.Hold, held []jobqueue.Held) error {
	b, err := l.get(ctx)
	if err != nil {
		return err
	}
	return b.Keep(ctx, h, held)
}

func (l *lazy) Held(ctx context.Context, h jobqueue.Hold) ([]jobqueue.Held, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Held(ctx, h)
}

func (l *lazy) Holds(ctx context.Context) ([]jobqueue.Hold, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.Holds(ctx)
}

func (l *lazy) Drop(ctx context.Context, h jobqueue.Hold) error {
	b, err := l.get(ctx)
	if err != nil {
		return err
	}
	return b.Drop(ctx, h)
}

func (l *lazy) Release(ctx context.Context, h jobqueue.Hold) (int, int, error) {
	b, err := l.get(ctx)
	if err != nil {
		return 0, 0, err
	}
	return b.Release(ctx, h)
}

// OldestSnapshot is that of PostgreSQL; others have none.
func (l *lazy) OldestSnapshot(ctx context.Context, age time.Duration) (*postgres.Holder, error) {
	b, err := l.get(ctx)
	if p, ok := b.(*postgres.Backend); ok {
		return p.OldestSnapshot(ctx, age)
	}
	return nil, err
}

// A lazyAggregator is the aggregator of a PostgreSQL backend.
type lazyAggregator struct{ of *lazy }

func (l lazyAggregator) get(ctx context.Context) (*postgres.Aggregator, error) {
	b, err := l.of.get(ctx)
	if err != nil {
		return nil, err
	}
	return b.(*postgres.Backend).Aggregator(), nil
}

func (l lazyAggregator) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	a, err := l.get(ctx)
	if err != nil {
		return err
	}
	return a.Notify(ctx, queues...)
}

func (l lazyAggregator) Clear(ctx context.Context, seen ...jobqueue.Backlog) error {
	a, err := l.get(ctx)
	if err != nil {
		return err
	}
	return a.Clear(ctx, seen...)
}

func (l lazyAggregator) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		a, err := l.get(ctx)
		if err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		a.Ready(ctx, types...)(yield)
	}
}
