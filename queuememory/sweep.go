package queuememory

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue"
)

// maintainBatch bounds what one Maintain deletes.
const maintainBatch = 10_000

func (b *Backend) sweepIfDue(now instant) {
	if now.sub(b.lastSweep) > time.Second || now < b.lastSweep {
		b.sweep(now)
	}
}

// sweep gives back what claims hold whose lease has ended, and returns how many jobs that were.
func (b *Backend) sweep(now instant) (n int) {
	if len(b.leases.items) == 0 {
		return 0
	}
	gap := now.sub(b.lastSweep)
	back := now < b.latest
	b.lastSweep, b.latest = now, now
	if back || gap > b.shortest/2 {
		b.renew(gap, now)
	}
	for len(b.leases.items) > 0 && b.leases.items[0].expires <= now {
		n += b.lapse(b.leases.items[0], now)
	}
	return n
}

// renew puts right what a store that was away, or a clock that jumped, did to leases.
func (b *Backend) renew(gap time.Duration, now instant) {
	for _, c := range append([]*claim(nil), b.leases.items...) {
		switch {
		case !c.graced && gap > c.ttl/2 && c.expires.sub(now) < c.ttl/2:
			c.graced = true
			c.expires = now.add(c.ttl)
		case c.expires.sub(now)/2 > c.ttl:
			c.expires = now.add(c.ttl)
		default:
			continue
		}
		b.leases.fix(c)
	}
}

// lapses reports whether the next sweep would end the claim.
func (b *Backend) lapses(c *claim, now instant) bool {
	return c.expires <= now && (c.graced || now.sub(b.lastSweep) <= c.ttl/2)
}

// lease notes that a claim has got a lease at now.
func (b *Backend) lease(ttl time.Duration, now instant) {
	if b.latest = max(b.latest, now); len(b.leases.items) == 0 || ttl < b.shortest {
		b.shortest = ttl
	}
}

func (b *Backend) lapse(c *claim, now instant) (n int) {
	for _, j := range c.jobs {
		if j.claim == c {
			c.lose(j.id)
			b.leave(j)
			j.expiries++
			b.wait(j, now, now)
			n++
		}
	}
	b.end(c, now)
	return n
}

// Maintain implements [jobqueue.Backend].
func (b *Backend) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return jobqueue.Maintained{}, err
	}
	defer b.mu.Unlock()
	m := jobqueue.Maintained{Recycled: b.sweep(now), Released: b.release(now)}
	for len(b.abandoned.items) > 0 && b.abandoned.items[0].pruneAt <= now && m.Pruned < maintainBatch {
		j := b.abandoned.items[0]
		b.leave(j)
		b.forget(j)
		m.Pruned++
	}
	m.Forgotten = b.forgetPushes(now) + b.forgetClaims(now) + b.forgetValues(now) + b.forgetHolds(now)
	for k, mk := range b.marks {
		if now.sub(mk.moved) > jobqueue.RootMemory {
			delete(b.marks, k)
			m.Forgotten++
		}
	}
	for n, q := range b.queues {
		if q.total() == 0 {
			delete(b.queues, n)
		}
	}
	return m, nil
}
