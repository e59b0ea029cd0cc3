// Package queuememory keeps queues in the memory of the process: the default
// in tests, for work that need not outlive its process, and the reference that every
// other backend is compared with.
//
// One lock guards the whole backend and is held once per batch, so that
// every call, Counts over many queues included, sees one instant.
// Nothing runs in the background and no goroutine belongs to a queue, which
// makes it fit for testing/synctest.
//
//	jobs       every stored job by its number, in blocks
//	queues     per name: the ready jobs in order, the waiting digests, the counts
//	delayed    a heap by release time, over all queues
//	abandoned  a heap by the time of deletion
//	claims     by token; a heap of the live ones by expiry; a list of the ended ones
//	marks      the newest root time by domain, type and key
//	pushes     the answer to each push id
//	values     the values of jobqueue.Control by key
//	holds      the holds of jobqueue.Holder by id, and which have ended
//	booked     until when the rate of each key is booked
package queuememory

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// remembered bounds how many push ids and ended tokens are kept, whatever their age.
const remembered = 100_000

// An instant is microseconds since 1970 by the backend's clock, which
// reaches as far as the release time of a job may lie.
type instant int64

func (t instant) time() time.Time             { return time.UnixMicro(int64(t)).UTC() }
func (t instant) add(d time.Duration) instant { return t + instant(d/time.Microsecond) }
func instantOf(t time.Time) instant           { return instant(t.UnixMicro()) }

// sub returns t-u, or the longest duration there is.
func (t instant) sub(u instant) time.Duration {
	const most = math.MaxInt64 / 1000
	return time.Duration(max(-most, min(t-u, most))) * time.Microsecond
}

// A Backend is a [jobqueue.Backend] in memory. It also is a [jobqueue.Waiter], a
// [jobqueue.Control], a [jobqueue.Limiter] and a [jobqueue.Holder].
//
// Of what it remembers of finished calls (push ids and settled tokens) it keeps the
// newest 100,000 at most.
type Backend struct {
	mu      sync.Mutex
	epoch   time.Time // when it was made, with the monotonic clock; or where the clock stands
	stopped bool
	offset  time.Duration

	lastID    uint64
	jobs      table
	queues    map[jobqueue.Name]*queue
	nonEmpty  map[*queue]struct{} // those with a ready job
	delayed   heap[*job]
	abandoned heap[*job]
	claims    map[uuid.UUID]*claim
	leases    heap[*claim]
	ended     []*claim // oldest first
	lastSweep instant
	shortest  time.Duration // no live claim has a shorter lease
	latest    instant       // the latest time seen, to notice a clock that went back
	marks     map[markKey]mark
	pushes    map[uuid.UUID]answer
	pushLog   []pushTime // oldest first
	waiters   map[*waiter]struct{}
	values    map[string]value
	keys      []string // of values, sorted
	versions  int64    // the last one given to a value
	booked    map[string]time.Time
	holds     map[uuid.UUID]*hold
}

// New returns an empty backend.
func New() *Backend {
	b := &Backend{
		epoch:     time.Now(),
		queues:    map[jobqueue.Name]*queue{},
		nonEmpty:  map[*queue]struct{}{},
		delayed:   heap[*job]{less: func(a, b *job) bool { return a.readyAt < b.readyAt || a.readyAt == b.readyAt && a.id < b.id }},
		abandoned: heap[*job]{less: func(a, b *job) bool { return a.pruneAt < b.pruneAt }},
		leases:    heap[*claim]{less: func(a, b *claim) bool { return a.expires < b.expires }},
		claims:    map[uuid.UUID]*claim{},
		marks:     map[markKey]mark{},
		pushes:    map[uuid.UUID]answer{},
		waiters:   map[*waiter]struct{}{},
		values:    map[string]value{},
		booked:    map[string]time.Time{},
		holds:     map[uuid.UUID]*hold{},
	}
	return b
}

// Shift moves the backend's clock by d from now on. It is for tests.
func (b *Backend) Shift(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offset += d
}

// StopClock makes the backend's clock stand at an instant from now on, moved by Shift
// alone. It is for tests, which call it before anything else.
func (b *Backend) StopClock(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch, b.stopped = at, true
}

// begin locks the backend and returns the time; the caller unlocks it.
func (b *Backend) begin(ctx context.Context) (instant, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	b.mu.Lock()
	passed := b.offset
	if !b.stopped {
		passed += time.Since(b.epoch)
	}
	return instantOf(b.epoch.Add(passed)), nil
}

var (
	_ jobqueue.Backend = (*Backend)(nil)
	_ jobqueue.Waiter  = (*Backend)(nil)
)
