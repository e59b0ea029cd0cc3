package queuememory

import (
	"context"
	"maps"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A waiter is one call of Wait.
type waiter struct {
	names map[jobqueue.Name]struct{}
	woken chan struct{} // closed once there is a name
}

// Wait implements [jobqueue.Waiter].
func (b *Backend) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	w := &waiter{names: map[jobqueue.Name]struct{}{}, woken: make(chan struct{})}
	b.mu.Lock()
	b.waiters[w] = struct{}{}
	b.mu.Unlock()
	var err error
	select {
	case <-w.woken:
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiters, w)
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(w.names)), nil
}

// wake tells every waiter that a queue has a ready job.
func (b *Backend) wake(n jobqueue.Name) {
	for w := range b.waiters {
		if len(w.names) == 0 {
			close(w.woken)
		}
		w.names[n] = struct{}{}
	}
}
