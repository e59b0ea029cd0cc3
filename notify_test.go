package jobqueue_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A recorder is an aggregator that notes when it was told of what.
type recorder struct {
	aggregator.Memory
	begin time.Time
	takes time.Duration // a call

	mu    sync.Mutex
	calls []told
}

type told struct {
	at    time.Duration
	names []string
}

func (r *recorder) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	c := told{at: time.Since(r.begin)}
	for _, q := range queues {
		c.names = append(c.names, q.Name.String())
	}
	slices.Sort(c.names)
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	select {
	case <-time.After(r.takes):
		return r.Memory.Notify(ctx, queues...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *recorder) told() (all [][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		all = append(all, c.names)
	}
	return all
}

func same(a, b [][]string) bool { return slices.EqualFunc(a, b, slices.Equal) }

// The first queue is told of at once; those of the next ten milliseconds together.
func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{begin: time.Now()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Aggregator: r})
		push := func(specs ...jobqueue.Spec) {
			t.Helper()
			if _, err := g.Push(t.Context(), specs...); err != nil {
				t.Fatal(err)
			}
		}
		push(jobqueue.Spec{Type: "a"}, jobqueue.Spec{Type: "a"}, jobqueue.Spec{Type: "late", Delay: time.Hour})
		synctest.Wait()
		if got := r.told(); !same(got, [][]string{{"wiki/a"}}) || r.calls[0].at != 0 {
			t.Fatalf("told of %v", r.calls)
		}
		for range 20 {
			push(jobqueue.Spec{Type: "b"}, jobqueue.Spec{Type: "c"})
		}
		push(jobqueue.Spec{Type: "d", ReleaseAt: time.Now().Add(time.Hour)})
		if err := g.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.told(); !same(got, [][]string{{"wiki/a"}, {"wiki/b", "wiki/c"}}) || r.calls[1].at != 10*time.Millisecond {
			t.Fatalf("told of %v", r.calls)
		}
		time.Sleep(time.Second)
		push(jobqueue.Spec{Type: "e"})
		synctest.Wait()
		if got := r.told(); len(got) != 3 || r.calls[2].at < time.Second {
			t.Fatalf("told of %v", r.calls)
		}
	})
}

// What goes back to its queue is told of; what is done or must wait is not.
func TestNotifyGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{begin: time.Now()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Aggregator: r})
		var specs []jobqueue.Spec
		var wants []jobqueue.Want
		for _, typ := range []string{"back", "done", "later"} {
			specs = append(specs, jobqueue.Spec{Type: typ})
			wants = append(wants, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: typ}, Max: 1})
		}
		if _, err := g.Push(t.Context(), specs...); err != nil {
			t.Fatal(err)
		}
		claims, err := g.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, wants...)
		if err != nil || len(claims) != 3 {
			t.Fatalf("Pop = %v, %v", claims, err)
		}
		if err := g.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.calls = nil
		err = g.Settle(t.Context(),
			jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionGiveBack},
			jobqueue.Outcome{Claim: claims[1], Do: jobqueue.ActionDone},
			jobqueue.Outcome{Claim: claims[2], Do: jobqueue.ActionRetry, Delay: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.told(); !same(got, [][]string{{"wiki/back"}}) {
			t.Errorf("told of %v", got)
		}
	})
}

// An aggregator that does not answer holds up no push, and the trace hears of it.
func TestNotifyUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{begin: time.Now(), takes: time.Hour}
		var heard []error
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Aggregator: r, Trace: &jobqueue.Trace{
			Notified: func(_ context.Context, _ []jobqueue.Backlog, err error) { heard = append(heard, err) },
		}})
		for range 1000 {
			if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(r.begin); took != 0 {
			t.Errorf("the pushes took %v", took)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush = %v", err)
		}
		if err := g.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		if len(heard) == 0 || !errors.Is(heard[0], context.DeadlineExceeded) {
			t.Errorf("the trace heard %v", heard)
		}
	})
}

func collect(seq iter.Seq2[jobqueue.Backlog, error]) (names []string, err error) {
	for q, e := range seq {
		if e != nil {
			err = e
			continue
		}
		names = append(names, q.Name.String())
	}
	slices.Sort(names)
	return names, err
}

// Hints are those of the aggregator without what is paused, or else what is ready.
func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuememory.New()
		without := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store})
		with := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Aggregator: new(aggregator.Memory)})
		for _, g := range []*jobqueue.Group{without, with} {
			if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a"}, jobqueue.Spec{Type: "b"}); err != nil {
				t.Fatal(err)
			}
			if err := g.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := func(names []string, types ...string) {
				t.Helper()
				if got, err := collect(g.Hints(t.Context(), types...)); !slices.Equal(got, names) || err != nil {
					t.Errorf("Hints(%v) = %v, %v, want %v", types, got, err, names)
				}
			}
			want([]string{"wiki/a", "wiki/b"})
			want([]string{"wiki/b"}, "b")
			if err := g.Pause(t.Context(), jobqueue.Pause{Type: "b"}); err != nil {
				t.Fatal(err)
			}
			want([]string{"wiki/a"})
			want(nil, "b")
			if _, err := g.Resume(t.Context(), "", "b"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
