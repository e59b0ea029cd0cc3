package aggregator_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
)

// A breakable aggregator fails while it is told to, and counts its calls.
type breakable struct {
	aggregator.Memory
	broken bool
	calls  int
}

func (b *breakable) call() error {
	b.calls++
	if b.broken {
		return fmt.Errorf("%w: broken", jobqueue.ErrUnavailable)
	}
	return nil
}

func (b *breakable) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	if err := b.call(); err != nil {
		return err
	}
	return b.Memory.Notify(ctx, queues...)
}

func (b *breakable) Clear(ctx context.Context, seen ...jobqueue.Backlog) error {
	if err := b.call(); err != nil {
		return err
	}
	return b.Memory.Clear(ctx, seen...)
}

// Ready yields what it has before it fails.
func (b *breakable) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		for q := range b.Memory.Ready(ctx, types...) {
			if !yield(q, nil) {
				return
			}
		}
		if err := b.call(); err != nil {
			yield(jobqueue.Backlog{}, err)
		}
	}
}

func queue(domain string) jobqueue.Backlog {
	return jobqueue.Backlog{Name: jobqueue.Name{Domain: domain, Type: "x"}}
}

// domains returns the domains of the entries, sorted.
func domains(t *testing.T, a jobqueue.Aggregator) (all []string) {
	t.Helper()
	for q, err := range a.Ready(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, q.Domain)
	}
	slices.Sort(all)
	return all
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := new(breakable), new(breakable)
		f := aggregator.NewFailover(first, second)
		notify := func(domain string) {
			t.Helper()
			if err := f.Notify(t.Context(), queue(domain)); err != nil {
				t.Fatal(err)
			}
		}
		has := func(want ...string) {
			t.Helper()
			if got := domains(t, f); !slices.Equal(got, want) {
				t.Fatalf("Ready yields %v, want %v", got, want)
			}
		}
		notify("a")
		has("a")
		if second.calls != 0 {
			t.Errorf("the second server was asked %d times while the first answered", second.calls)
		}

		first.broken = true
		has() // nothing of what the first yielded before it failed
		notify("b")
		has("b")
		if calls := first.calls; calls != 3 {
			t.Errorf("the first server was asked %d times, want 3: a failed one is left alone for a second", calls)
		}

		first.broken = false
		time.Sleep(2 * time.Second)
		has("a")

		first.broken, second.broken = true, true
		if err := f.Notify(t.Context(), queue("c")); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Notify with no server = %v", err)
		}
		second.broken = false
		notify("c") // at once, though it failed a moment ago
		has("b", "c")
	})
}

// The end of a call's own time says nothing of the server.
func TestFailoverCancelled(t *testing.T) {
	first, second := new(breakable), new(breakable)
	f := aggregator.NewFailover(first, second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	first.broken = true
	if err := f.Notify(ctx, queue("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Notify = %v", err)
	}
	first.broken = false
	if err := f.Notify(t.Context(), queue("a")); err != nil || second.calls != 0 {
		t.Errorf("Notify = %v; the second server was asked %d times", err, second.calls)
	}
}
