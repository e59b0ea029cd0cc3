package runner_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// halves is a backend of two parts: the domain "far" has a store of its own, which may be away.
type halves struct {
	*queuememory.Backend
	far *queuememory.Backend

	mu     sync.Mutex
	away   bool
	tokens map[uuid.UUID]bool // of claims in far
}

var errCut = errors.New("cable cut")

func (h *halves) missing() *jobqueue.PartError {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return &jobqueue.PartError{Parts: []string{"far"}, Err: errCut}
	}
	return nil
}

func (h *halves) cut(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

func (h *halves) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if records[0].Domain == "far" {
		return h.far.Push(ctx, id, records)
	}
	return h.Backend.Push(ctx, id, records)
}

func (h *halves) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	near, far := []jobqueue.Want{}, []jobqueue.Want{}
	for _, w := range wants {
		if w.Domain == "far" {
			far = append(far, w)
		} else {
			near = append(near, w)
		}
	}
	claims, err := h.Backend.Pop(ctx, l, near...)
	if err != nil || h.missing() != nil {
		return claims, err
	}
	l.Token = uuid.New()
	h.mu.Lock()
	h.tokens[l.Token] = true
	h.mu.Unlock()
	others, err := h.far.Pop(ctx, l, far...)
	return append(claims, others...), err
}

func (h *halves) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) ([]*jobqueue.Claim, error) {
	var near, far []jobqueue.Outcome
	for _, o := range outcomes {
		if o.Claim.Domain == "far" {
			far = append(far, o)
		} else {
			near = append(near, o)
		}
	}
	lost, err := h.Backend.Settle(ctx, near...)
	if err != nil || len(far) == 0 {
		return lost, err
	}
	if part := h.missing(); part != nil {
		for _, o := range far {
			part.Claims = append(part.Claims, o.Claim)
		}
		return lost, part
	}
	more, err := h.far.Settle(ctx, far...)
	return append(lost, more...), err
}

func (h *halves) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) ([]uuid.UUID, error) {
	var near, far []uuid.UUID
	h.mu.Lock()
	for _, t := range tokens {
		if h.tokens[t] {
			far = append(far, t)
		} else {
			near = append(near, t)
		}
	}
	h.mu.Unlock()
	lost, err := h.Backend.Extend(ctx, ttl, near...)
	if err != nil || len(far) == 0 {
		return lost, err
	}
	if part := h.missing(); part != nil {
		part.Tokens = far
		return lost, part
	}
	more, err := h.far.Extend(ctx, ttl, far...)
	return append(lost, more...), err
}

func (h *halves) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		for b, err := range h.Backend.Ready(ctx, names...) {
			if !yield(b, err) {
				return
			}
		}
		if part := h.missing(); part != nil {
			yield(jobqueue.Backlog{}, part)
			return
		}
		for b, err := range h.far.Ready(ctx, names...) {
			if !yield(b, err) {
				return
			}
		}
	}
}

// newHalves returns a farm on two stores.
func newHalves(t testing.TB) (*farm, *halves) {
	h := &halves{Backend: queuememory.New(), far: queuememory.New(), tokens: map[uuid.UUID]bool{}}
	f := newFarm(t, func(r *jobqueue.Routes) { r.Default = h })
	f.store = h.Backend
	return f, h
}

func (h *halves) farHolds(t testing.TB) int {
	t.Helper()
	all, err := h.far.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range all {
		n += c.Total()
	}
	return n
}

// A part of the store that is away for long keeps nobody from the jobs of the other: these are claimed, kept and
// settled as ever, and those that ran meanwhile are settled when it is back.
func TestPartAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h := newHalves(t)
		var mu sync.Mutex
		ran := map[string]int{}
		f.add("job", jobqueue.Policy{Lease: 10 * time.Second}, func(ctx context.Context, n int) error {
			d := 100 * time.Millisecond
			if n == 0 {
				d = 40 * time.Second // more than a lease
			}
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			ran[jobqueue.FromContext(ctx).Domain]++
			return nil
		})
		f.pushOn("far", "job", 20)
		f.pushOn("near", "job", 100)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 8, Wait: true})
		time.Sleep(500 * time.Millisecond)
		h.cut(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		if ran["far"] == 0 || ran["near"] != 99 {
			t.Errorf("%v jobs ran, want some of far and 99 of near", ran)
		}
		before := h.farHolds(t)
		mu.Unlock()
		f.pushOn("near", "job", 100)
		time.Sleep(50 * time.Second)
		f.stored("job", 0, 0, 0, 0)
		mu.Lock()
		if ran["near"] != 200 {
			t.Errorf("%d jobs of near ran, want 200", ran["near"])
		}
		if c, err := h.Counts(t.Context(), jobqueue.Name{Domain: "near", Type: "job"}); err != nil || c[0].Total() != 0 {
			t.Errorf("near holds %+v (%v), want nothing", c, err)
		}
		mu.Unlock()
		if n := h.farHolds(t); n != before {
			t.Errorf("far, which is away, went from %d to %d jobs", before, n)
		}
		h.cut(false)
		time.Sleep(2 * time.Minute)
		stop()
		res := <-done
		if n := h.farHolds(t); n != 0 || ran["far"] != 20 || res.Counts.Done != 220 || res.Counts.Lost != 0 {
			t.Errorf("far holds %d jobs, ran %v, counts %+v", n, ran, res.Counts)
		}
	})
}

// A run that does not wait does not say that nothing is ready while a part of the store is away.
func TestPartAwayAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h := newHalves(t)
		f.add("job", jobqueue.Policy{}, func(context.Context, int) error { return nil })
		f.pushOn("far", "job", 5)
		f.pushOn("near", "job", 5)
		h.cut(true)
		began := time.Now()
		res := f.run(t.Context(), runner.Options{Workers: 2})
		f.reached(res, runner.Exception)
		if took := time.Since(began); !errors.Is(res.Err, errCut) || res.Counts.Done != 5 || took > 30*time.Second {
			t.Errorf("%v after %v, want 5 jobs done and the error of far after ten seconds", res, took)
		}
		h.cut(false)
		res = f.run(t.Context(), runner.Options{Workers: 2})
		f.reached(res, runner.NoneReady)
		if res.Counts.Done != 5 {
			t.Errorf("%v, want 5 jobs done", res)
		}
	})
}
