package runner_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/runner"
)

// hinting is an aggregator that can fail, and counts what it is asked.
type hinting struct {
	aggregator.Memory
	broken atomic.Bool
	reads  atomic.Int64
}

func (h *hinting) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	h.reads.Add(1)
	if h.broken.Load() {
		return func(yield func(jobqueue.Backlog, error) bool) {
			yield(jobqueue.Backlog{}, fmt.Errorf("%w: broken", jobqueue.ErrUnavailable))
		}
	}
	return h.Memory.Ready(ctx, types...)
}

// wipe forgets everything.
func (h *hinting) wipe(t *testing.T) {
	t.Helper()
	for q := range h.Memory.Ready(t.Context()) {
		if err := h.Clear(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// hinted returns a farm with an aggregator and a type a that notes how long its jobs waited.
func hinted(t *testing.T) (f *farm, h *hinting, waits chan time.Duration) {
	h, waits = new(hinting), make(chan time.Duration, 1000)
	f = newFarm(t, func(r *jobqueue.Routes) { r.Aggregator = h })
	f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
		waits <- time.Since(jobqueue.FromContext(ctx).QueuedAt)
		return nil
	})
	return f, h, waits
}

// quick fails the test unless the next job waits no longer than this.
func quick(t *testing.T, waits <-chan time.Duration, most time.Duration) {
	t.Helper()
	select {
	case d := <-waits:
		if d > most {
			t.Errorf("a job waited for %v, want %v at most", d, most)
		}
	case <-time.After(time.Hour):
		t.Fatal("the job does not run")
	}
}

// A waiting runner reads the aggregator instead of asking the stores, which only a sweep does.
func TestHints(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, waits := hinted(t)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Minute)
		if n := f.faults.calls("ready"); n > 23 {
			t.Errorf("the store was asked %d times in a minute, want 20: the sweeps", n)
		}
		if n := h.reads.Load(); n > 160 {
			t.Errorf("the aggregator was read %d times in a minute, want 120 at most", n)
		}
		f.push("a", 1)
		quick(t, waits, time.Second)
		time.Sleep(10 * time.Second)
		for q := range h.Memory.Ready(t.Context()) {
			t.Errorf("the aggregator still has %v", q.Name)
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 1})
	})
}

// What the aggregator has lost, or never knew, is found by the next sweep.
func TestHintsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, waits := hinted(t)
		ctx, stop := context.WithCancel(t.Context())
		f.push("a", 1)
		if err := f.group.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.wipe(t)
		done := f.goRun(ctx, runner.Options{Wait: true})
		quick(t, waits, 4500*time.Millisecond)
		if _, err := f.group.Push(t.Context(), jobqueue.Spec{Type: "a", Delay: time.Minute}); err != nil {
			t.Fatal(err)
		}
		quick(t, waits, time.Minute+4500*time.Millisecond)
		stop()
		f.counted(<-done, runner.Counts{Done: 2})
	})
}

// While the aggregator fails the stores are asked, and when it answers again it is.
func TestHintsFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, waits := hinted(t)
		h.broken.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Minute)
		f.push("a", 1)
		quick(t, waits, time.Second)
		h.broken.Store(false)
		time.Sleep(time.Minute)
		before := f.faults.calls("ready")
		time.Sleep(time.Minute)
		if n := f.faults.calls("ready") - before; n > 23 {
			t.Errorf("the store was asked %d times in a minute though the aggregator answers again", n)
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 1})
	})
}

// Entries without jobs are cleared at once, by claims of as many as there are free workers.
func TestHintsWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, _ := hinted(t)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Workers: 20})
		time.Sleep(time.Minute)
		before := f.faults.calls("pop")
		for i := range 100 {
			q := jobqueue.Backlog{Name: jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "a"}}
			if err := h.Notify(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for q := range h.Memory.Ready(t.Context()) {
			t.Fatalf("the aggregator still has %v", q.Name)
		}
		if n := f.faults.calls("pop") - before; n > 6 {
			t.Errorf("%d claims for 100 entries", n)
		}
		stop()
		<-done
	})
}

// A run that does not wait asks the stores: it must not end while there is work.
func TestHintsOfARunThatEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, _ := hinted(t)
		f.push("a", 3)
		if err := f.group.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.wipe(t)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 3})
	})
}

// What a store itself says of work is believed at once, whatever the aggregator has.
func TestHintsOfStores(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, h, waits := hinted(t)
		f.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: f.store, Aggregator: h})
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(500 * time.Millisecond)
		// Pushed by somebody who tells no aggregator.
		if _, err := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: f.store}).Push(t.Context(), jobqueue.Spec{Type: "a"}); err != nil {
			t.Fatal(err)
		}
		quick(t, waits, 10*time.Millisecond)
		stop()
		f.counted(<-done, runner.Counts{Done: 1})
	})
}

// lateHints are told of nothing at once.
type lateHints struct{ hinting }

func (h *lateHints) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	time.Sleep(100 * time.Millisecond)
	return h.Memory.Notify(ctx, queues...)
}

// When a run has ended the aggregator knows what it gave back.
func TestHintsOfTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(lateHints)
		f := newFarm(t, func(r *jobqueue.Routes) { r.Aggregator = h })
		ctx, stop := context.WithCancel(t.Context())
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if n == 0 {
				return nil // so that the others are known to be quick, and wait in the buffer
			}
			for q := range h.Memory.Ready(t.Context()) {
				if err := h.Clear(t.Context(), q); err != nil {
					t.Error(err)
				}
			}
			stop()
			<-ctx.Done()
			return ctx.Err()
		})
		f.push("a", 20)
		if err := f.group.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		res := f.run(ctx, runner.Options{Wait: true, Workers: 1, Grace: time.Millisecond})
		f.reached(res, runner.Stopped)
		found := false
		for q := range h.Memory.Ready(t.Context()) {
			found = found || q.Type == "a"
		}
		if !found {
			t.Errorf("the aggregator does not know of what was given back: %+v", res)
		}
	})
}
