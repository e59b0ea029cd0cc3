package jobqueue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

func popOne(t *testing.T, g *jobqueue.Group) (int, error) {
	t.Helper()
	claims, err := g.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "work"}, Max: 1})
	return len(claims), err
}

// Another process's pause, and its end, are obeyed within a second.
func TestPauseWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuememory.New()
		mine := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store})
		theirs := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store})
		for range 5 {
			if _, err := mine.Push(t.Context(), jobqueue.Spec{Type: "work"}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(jobs int) {
			t.Helper()
			if n, err := popOne(t, mine); n != jobs || err != nil {
				t.Fatalf("Pop = %d jobs, %v, want %d", n, err, jobs)
			}
		}
		want(1)
		if err := theirs.Pause(t.Context(), jobqueue.Pause{Type: "work"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want(0)
		if was, err := theirs.Resume(t.Context(), "", "work"); !was || err != nil {
			t.Fatalf("Resume = %v, %v", was, err)
		}
		time.Sleep(time.Second)
		want(1)
		// One's own is obeyed at once.
		if err := mine.Pause(t.Context(), jobqueue.Pause{Domain: "wiki"}); err != nil {
			t.Fatal(err)
		}
		want(0)
		if was, err := mine.Resume(t.Context(), "wiki", ""); !was || err != nil {
			t.Fatalf("Resume = %v, %v", was, err)
		}
		want(1)
	})
}

// However often and by whom a group is asked, it reads what is paused twice a second.
func TestPauseReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuetest.Faulty(queuememory.New(), func(op string) error {
			if op == "values" {
				reads.Add(1)
			}
			return nil
		})})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					if _, err := popOne(t, g.On("wiki")); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if n := reads.Load(); n < 10 || n > 21 {
			t.Errorf("%d reads in ten seconds, want about 20", n)
		}
	})
}

// What cannot be known to be free is not popped.
func TestPauseUnknown(t *testing.T) {
	away := fmt.Errorf("%w: away", jobqueue.ErrUnavailable)
	var fault error
	store := queuememory.New()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{
		Default: queuetest.Faulty(store, func(op string) error {
			if op == "values" {
				return fault
			}
			return nil
		}),
	})
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "work"}); err != nil {
		t.Fatal(err)
	}
	fault = away
	n, err := popOne(t, g)
	var e *jobqueue.Error
	if n != 0 || !errors.Is(err, jobqueue.ErrUnavailable) || !errors.As(err, &e) || e.Op != "pop" {
		t.Errorf("Pop = %d jobs, %v, want the error", n, err)
	}
	yielded := 0
	for _, err := range g.Ready(t.Context()) {
		if yielded++; !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Ready yields %v, want the error", err)
		}
	}
	if yielded != 1 {
		t.Errorf("Ready yields %d times, want once", yielded)
	}
	fault = nil
	// Nobody knows what another program meant by it.
	v := jobqueue.Value{Key: "pause/0//work", Data: []byte("?"), Version: jobqueue.AnyVersion}
	if _, _, err := store.SetValue(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if n, err := popOne(t, g); n != 0 || !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Pop with a damaged pause = %d jobs, %v, want %v", n, err, jobqueue.ErrInvalid)
	}
	if was, err := g.Resume(t.Context(), "", "work"); !was || err != nil {
		t.Errorf("Resume of a damaged pause = %v, %v", was, err)
	}
	if n, err := popOne(t, g); n != 1 || err != nil {
		t.Errorf("Pop = %d jobs, %v, want 1", n, err)
	}
}

// A call that waits for another one's answer goes when its caller does.
func TestPauseWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuetest.Faulty(queuememory.New(), func(op string) error {
			if op == "values" {
				<-hang
			}
			return nil
		})})
		go popOne(t, g)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := g.Pop(ctx, jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "work"}, Max: 1})
		if !errors.Is(err, jobqueue.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Pop = %v, want that the time is over", err)
		}
		close(hang)
		synctest.Wait()
	})
}
