package main

import (
	"context"
	"errors"
	"sync"
)

// waiting measures what is waiting for the most part. What waits does so side by side, beside no more than one that keeps
// the machine busy; our latency is measured alone.
func (b *bench) waiting(ctx context.Context) error {
	l, q, k := newLatencies(b), newQueues(b), newKills(b)
	err := errors.Join(
		l.ours(ctx),
		sideBySide(
			func() error { return k.all(ctx) },
			func() error { return l.peer(ctx, "asynq", "redis", 16, b.sizeOf(90, 4)) },
			func() error {
				err := sideBySide(
					func() error { return l.peer(ctx, "river", "postgres", b.sizeOf(16, 4), b.sizeOf(125, 20)) },
					func() error { return q.ours(ctx) },
				)
				return errors.Join(err, q.peers(ctx))
			},
		),
	)
	l.report()
	q.report()
	k.report()
	return err
}

// sideBySide does all at once.
func sideBySide(do ...func() error) error {
	errs := make([]error, len(do))
	var all sync.WaitGroup
	for i := range do {
		all.Go(func() { errs[i] = do[i]() })
	}
	all.Wait()
	return errors.Join(errs...)
}
