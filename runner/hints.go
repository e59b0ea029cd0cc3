package runner

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
)

const (
	hintTime  = time.Second     // for a call of the aggregator
	sweepTime = 3 * time.Second // between two sweeps of it, give or take a tenth; longer than a turn, see [aggregator.SweepInTurn]
)

// hints are what the aggregator of a farm says is ready, for a run that waits. While the
// aggregator does not answer the stores are asked, as in a farm without one.
type hints struct {
	aggregator jobqueue.Aggregator // nil: there is none, or the run does not wait

	// The fetcher's own.
	seen     map[jobqueue.Name]jobqueue.Backlog // the entries, as they were last read
	read     time.Time
	cleared  int // entries that turned out to be wrong, since the last look
	failures int
	retryAt  time.Time

	mu    sync.Mutex
	told  map[jobqueue.Name]struct{} // queues that got work since, as stores and the aggregator say
	vague map[*store]bool            // stores that got work and do not say where
}

// tell notes that queues got work or, without names, that a store did.
func (h *hints) tell(s *store, names []jobqueue.Name) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told == nil {
		h.told, h.vague = map[jobqueue.Name]struct{}{}, map[*store]bool{}
	}
	for _, n := range names {
		h.told[n] = struct{}{}
	}
	if len(names) == 0 && s != nil {
		h.vague[s] = true
	}
}

func (h *hints) take() (told map[jobqueue.Name]struct{}, vague map[*store]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	told, vague = h.told, h.vague
	h.told, h.vague = nil, nil
	return told, vague
}

// named reports whether it is known of any queue that it got work.
func (h *hints) named() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.told) > 0
}

// hint has the aggregator say what is ready in each store, and reports whether it did.
func (f *fetcher) hint(now time.Time) bool {
	h := &f.r.hints
	if h.aggregator == nil || f.r.readOnly != nil || now.Before(h.retryAt) {
		return false
	}
	known := len(f.found()) > 0
	f.wanted()
	return known && now.Sub(h.read) <= readyTime || f.readHints()
}

// readHints fills the lists of all stores.
func (f *fetcher) readHints() bool {
	h := &f.r.hints
	ctx, cancel := context.WithTimeout(f.r.calls, hintTime)
	defer cancel()
	seen := map[jobqueue.Name]jobqueue.Backlog{}
	lists := map[*store][]jobqueue.Backlog{}
	foreign := map[*store]int{}
	for q, err := range f.r.group.Hints(ctx, f.hintTypes()...) {
		if err != nil {
			f.heardHints(err)
			return false
		}
		s := f.storeOf(q.Type)
		if !f.serves(q.Name) {
			foreign[s]++
			continue
		}
		seen[q.Name] = q
		lists[s] = append(lists[s], q)
	}
	f.heardHints(nil)
	h.seen, h.read = seen, time.Now()
	for _, s := range f.r.stores {
		f.set(s, lists[s])
		s.foreign, s.looked = foreign[s], h.read
	}
	return true
}

// hintTypes returns the types to ask the aggregator for; nil for all.
func (f *fetcher) hintTypes() []string {
	if len(f.r.o.Types) > 0 {
		return f.r.o.Types
	}
	if f.r.reg.Has("") {
		return nil // No type has an empty name; only a fallback takes it.
	}
	return f.r.reg.Types()
}

// storeOf returns where the jobs of a type are.
func (f *fetcher) storeOf(typ string) *store {
	b := f.r.group.Backend(typ)
	return f.r.stores[slices.IndexFunc(f.r.stores, func(s *store) bool { return s.backend == b })]
}

// serves reports whether a queue is one of those to run.
func (f *fetcher) serves(n jobqueue.Name) bool {
	return f.here(n.Domain) && f.runs(n.Type) && serves(f.only, n)
}

// heardHints notes how the aggregator answered.
func (f *fetcher) heardHints(err error) {
	h := &f.r.hints
	if err == nil {
		if h.failures > 0 {
			f.r.log.Info("aggregator answers again")
		}
		h.failures = 0
		return
	}
	if h.failures == 0 && f.r.calls.Err() == nil {
		f.r.log.Warn("aggregator fails, the stores are asked", "error", printable(err.Error()))
	}
	h.retryAt = time.Now().Add(backoff(h.failures))
	h.failures++
}

// clear tells the aggregator that nothing was found where it had entries.
func (f *fetcher) clear(empty []jobqueue.Name) {
	h := &f.r.hints
	var wrong []jobqueue.Backlog
	for _, n := range empty {
		if q, ok := h.seen[n]; ok {
			wrong = append(wrong, q)
			delete(h.seen, n)
		}
	}
	if len(wrong) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(f.r.calls, hintTime)
	defer cancel()
	if err := h.aggregator.Clear(ctx, wrong...); err != nil {
		f.heardHints(err)
		return
	}
	h.cleared += len(wrong)
}

// listen passes on what the aggregator says of queues that got work.
func (r *run) listen(ctx context.Context, w jobqueue.Waiter) {
	hear(ctx, w, func(names []jobqueue.Name) { r.told(nil, names) })
}

// sweep has the aggregator agree with the stores now and then.
func (r *run) sweep(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepTime*9/10 + rand.N(sweepTime/5)):
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		swept, err := aggregator.SweepInTurn(call, r.group, r.hints.aggregator, r.id)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if swept.Added > 0 {
			r.told(nil, nil)
		}
		if err != nil && !failing {
			r.log.Warn("aggregator cannot be swept over all stores", "error", printable(err.Error()))
		}
		failing = err != nil
	}
}
