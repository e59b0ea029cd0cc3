package runner

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A hand is what one Pop claimed: the jobs that share a token and so a lease.
type hand struct {
	beater    *beater
	token     uuid.UUID
	jobs      []job
	held      atomic.Int64              // jobs that are not settled
	confirmed atomic.Pointer[time.Time] // when the store was last asked, of those times that it agreed
}

// fresh reports whether a job of the hand may be started: for two thirds of a lease after the
// last confirmation, by the monotonic or the wall clock, whichever went further.
// Only the wall clock notices that the machine slept.
func (h *hand) fresh(now time.Time) bool {
	then := *h.confirmed.Load()
	age := max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
	return age < h.beater.ttl*2/3
}

// letGo notes that n jobs are settled or lost.
func (h *hand) letGo(n int) {
	if h.held.Add(-int64(n)) == 0 {
		h.beater.remove(h)
	}
}

// lose handles that the claim is somebody else's: what has not started is dropped, and
// what runs is told to end. What is being settled is not lost: its settlement will tell.
func (h *hand) lose() {
	h.beater.remove(h)
	n, told := 0, 0
	for i := range h.jobs {
		j := &h.jobs[i]
		switch {
		case j.state.CompareAndSwap(waiting, dropped):
			n++
			h.beater.s.r.spent(j)
		case j.state.Load() == running:
			told++
			j.lost.Store(true)
			j.ctx.end(jobqueue.ErrNotClaimed)
		}
	}
	if n+told == 0 {
		return
	}
	r := h.beater.s.r
	r.log.Warn("claim lost", r.attrs(h.jobs[0].claim, "running", told, "unstarted", n)...)
	if n > 0 {
		r.tally.add(func(c *Counts) { c.Lost += n })
		r.unrun.Add(int64(n))
		h.letGo(n)
		h.beater.s.drop(n)
	}
}

// A beater extends all leases of one length in one store, four times a lease and
// in one call. Nothing else waits for it and it waits for nothing else.
type beater struct {
	s   *store
	ttl time.Duration

	mu    sync.Mutex
	hands map[*hand]struct{}
}

func (b *beater) add(h *hand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hands[h] = struct{}{}
}

// each calls f for every job of a claim that is extended.
func (b *beater) each(f func(*job)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for h := range b.hands {
		for i := range h.jobs {
			f(&h.jobs[i])
		}
	}
}

func (b *beater) remove(h *hand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hands, h)
}

func (b *beater) run(ctx context.Context) {
	failures := 0
	for {
		pause := b.ttl / 4
		if failures > 0 {
			pause = min(pause, backoff(failures-1))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := b.beat(ctx); err == nil {
			failures = 0
		} else if failures++; failures == 1 && ctx.Err() == nil {
			b.s.r.log.Warn("heartbeat fails", "error", printable(err.Error()))
		}
	}
}

// beat extends every lease that is older than half an interval.
func (b *beater) beat(ctx context.Context) error {
	now := time.Now()
	var hands []*hand
	b.mu.Lock()
	for h := range b.hands {
		if now.Sub(*h.confirmed.Load()) >= b.ttl/8 {
			hands = append(hands, h)
		}
	}
	b.mu.Unlock()
	if len(hands) == 0 {
		return nil
	}
	claims := make([]*jobqueue.Claim, len(hands))
	for i, h := range hands {
		claims[i] = h.jobs[0].claim
	}
	ctx, cancel := context.WithTimeout(ctx, b.ttl/4)
	defer cancel()
	lost, err := b.s.group.Extend(ctx, b.ttl, claims...)
	gone := make(map[uuid.UUID]bool, len(lost))
	for _, c := range lost {
		gone[c.Token] = true
	}
	part, partly := errors.AsType[*jobqueue.PartError](err)
	for _, h := range hands {
		if gone[h.token] {
			h.lose()
		} else if err == nil || partly && !slices.Contains(part.Tokens, h.token) {
			h.confirmed.Store(&now)
		}
	}
	return err
}
