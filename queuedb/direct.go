package queuedb

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// popDirect claims jobs in one round trip where the store can. It returns none
// when it cannot, or when there is anything to do that a Pop does besides.
func (b *Backend) popDirect(ctx context.Context, l jobqueue.Lease, wants []jobqueue.Want, started time.Time) ([]*jobqueue.Claim, error) {
	store, ok := b.store.(Direct)
	if !ok {
		return nil, nil
	}
	queues, limits, total := make([]int64, 0, len(wants)), make([]int64, 0, len(wants)), int64(0)
	names := make(map[int64]jobqueue.Name, len(wants))
	for _, w := range wants {
		id, known := b.ids.Load(w.Name)
		if !known || w.ID != "" || w.Max <= 0 {
			return nil, nil
		}
		queue := id.(int64)
		if _, again := names[queue]; again {
			return nil, nil
		}
		names[queue] = w.Name
		queues, limits, total = append(queues, queue), append(limits, int64(w.Max)), total+int64(w.Max)
	}
	if len(queues) == 0 {
		return nil, nil
	}
	rows := make([]row, 0, min(total, 1000))
	lasts := map[int64]int64{} // positions by queue
	look := func(after []int64, final bool) error {
		began := time.Now()
		err := store.Direct(ctx, "pop", func(scan Scan) error {
			rows = append(rows, row{})
			var position int64
			r := &rows[len(rows)-1]
			err := r.read(scan, &position)
			lasts[r.queue] = max(lasts[r.queue], position)
			return err
		}, l.Token[:], l.Owner, micros(l.TTL), queues, limits, after, total, b.stopped.Load(), b.offset.Load(), final)
		if err == nil {
			b.reached.looked(queues, after, began)
		}
		return err
	}
	after, final := b.reached.after(queues, started)
	err := look(after, final)
	if err == nil && len(rows) == 0 && !final {
		err = look(b.reached.full(queues, started), true)
	}
	if errors.Is(err, ErrAgain) {
		return nil, nil // The token is known, for example.
	}
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	b.direct.Add(1)
	b.noteReached(ctx, lasts)
	claims, damaged := describe(rows, names, l.Token, started.Add(l.TTL))
	if len(damaged) > 0 {
		err = b.write(ctx, func(t tx) error { return t.abandonHeld(l.Token, damaged) })
	}
	if err != nil {
		return nil, err
	}
	return claims, nil
}

// noteReached notes which positions were claimed, and stores them now and then for those who come later.
func (b *Backend) noteReached(ctx context.Context, lasts map[int64]int64) {
	now := time.Now()
	for queue, position := range lasts {
		b.reached.claimed(queue, position, now)
	}
	queues, positions := b.reached.keep(now)
	if len(queues) == 0 {
		return
	}
	// Nothing depends on it.
	b.write(ctx, func(t tx) error { return t.ExecEach("reached_put", queues, positions) })
}

// abandonHeld puts away jobs that cannot be read, out of the claim that holds them.
func (t tx) abandonHeld(token uuid.UUID, damaged []*row) error {
	ledgers, err := t.findLedgers([]uuid.UUID{token})
	l := ledgers[token]
	if err != nil || l == nil {
		return err
	}
	held := make([]*row, 0, len(damaged))
	for _, r := range damaged {
		if l.take(r.id) {
			held = append(held, r)
		}
	}
	if len(held) == 0 {
		return nil
	}
	if err := t.abandon(held); err != nil {
		return err
	}
	return l.write(t)
}
