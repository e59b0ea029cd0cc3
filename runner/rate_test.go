package runner_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// starts are when jobs started.
type starts struct {
	mu sync.Mutex
	at []time.Time
}

func (s *starts) run(context.Context, int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
	return nil
}

func (s *starts) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// spaced fails the test if any n+1 jobs started within the time of n, or there are not so many.
func (s *starts) spaced(t *testing.T, jobs int, each time.Duration) {
	t.Helper()
	if len(s.at) != jobs {
		t.Fatalf("%d jobs started, want %d", len(s.at), jobs)
	}
	for i := range s.at[1:] {
		if gap := s.at[i+1].Sub(s.at[i]); gap < each-time.Microsecond {
			t.Errorf("job %d started %v after the one before, want %v", i+1, gap, each)
		}
	}
}

// Runners share the rates of the types, and lose no time over it.
func TestSharedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var s, u starts
		f.add("work", jobqueue.Policy{Rate: 10}, s.run)
		f.add("slow", jobqueue.Policy{Rate: 2}, u.run)
		f.push("work", 100)
		f.push("slow", 20)
		ctx, stop := context.WithCancel(t.Context())
		var ended []<-chan *runner.Result
		for range 4 {
			ended = append(ended, f.goRun(ctx, runner.Options{Workers: 2, Wait: true}))
		}
		time.Sleep(12 * time.Second)
		stop()
		for _, done := range ended {
			<-done
		}
		s.spaced(t, 100, 100*time.Millisecond)
		u.spaced(t, 20, 500*time.Millisecond)
		f.stored("work", 0, 0, 0, 0)
		pops, charges := f.faults.calls("pop"), f.faults.calls("charge")
		if charges > pops {
			t.Errorf("%d charges for %d claims", charges, pops)
		}
		t.Logf("120 jobs by four runners: %d claims, %d charges", pops, charges)
	})
}

// One run takes up where another one left off.
func TestSharedRateOutlivesARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var s starts
		f.add("work", jobqueue.Policy{Rate: 0.1}, s.run)
		f.push("work", 3)
		for want := range 3 {
			for range 2 {
				if res := f.run(t.Context(), runner.Options{}); len(s.at) < 3 {
					f.reached(res, runner.Throttled)
				}
			}
			if len(s.at) != want+1 {
				t.Fatalf("%d jobs started, want %d", len(s.at), want+1)
			}
			time.Sleep(10 * time.Second)
		}
		s.spaced(t, 3, 9*time.Second)
	})
}

// A rate that cannot be charged lets nothing start, loses nothing, and goes on when it can.
func TestSharedRateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var s, free starts
		f.add("work", jobqueue.Policy{Rate: 100}, s.run)
		f.add("free", jobqueue.Policy{}, free.run)
		f.push("work", 20)
		f.push("free", 20)
		f.faults.set(failing(jobqueue.ErrUnavailable, "charge"))
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(30 * time.Second)
		if s.count() > 0 || free.count() != 20 {
			t.Errorf("%d jobs with a rate started and %d without, want 0 and 20", s.count(), free.count())
		}
		if n := f.faults.calls("charge"); n < 3 || n > 30 {
			t.Errorf("charged %d times in 30 s, want now and then", n)
		}
		f.faults.set(nil)
		time.Sleep(10 * time.Second)
		stop()
		res := <-done
		s.spaced(t, 20, 10*time.Millisecond)
		f.stored("work", 0, 0, 0, 0)
		if res.Counts.Done != 40 || res.Counts.Failed != 0 {
			t.Errorf("counts are %+v", res.Counts)
		}
	})
}

// Without a Limiter each run keeps the rate by itself, and says so once.
func TestRateAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t)
		var s starts
		f.add("work", jobqueue.Policy{Rate: 10}, s.run)
		f.add("more", jobqueue.Policy{Rate: 10}, s.run)
		f.push("work", 20)
		f.push("more", 20)
		var log bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(5 * time.Second)
		stop()
		<-done
		if n := strings.Count(log.String(), "no Limiter"); n != 1 {
			t.Errorf("said %d times, want once: %s", n, log.String())
		}
		f.stored("work", 0, 0, 0, 0)
	})
}

// A pause holds for every backend, and its end is seen within a second.
func TestPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := newFarm(t)
		f := newFarm(t, sharing, func(r *jobqueue.Routes) {
			r.Types = map[string]jobqueue.Backend{"elsewhere": second.faults}
		})
		ran := map[string]*starts{"here": {}, "elsewhere": {}, "free": {}}
		for typ, s := range ran {
			f.add(typ, jobqueue.Policy{}, s.run)
		}
		for _, typ := range []string{"here", "elsewhere"} {
			if err := f.group.Pause(t.Context(), jobqueue.Pause{Type: typ}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		want := func(here, elsewhere, free int) {
			t.Helper()
			time.Sleep(time.Second)
			if a, b, c := ran["here"].count(), ran["elsewhere"].count(), ran["free"].count(); a != here || b != elsewhere || c != free {
				t.Errorf("ran %d, %d and %d jobs, want %d, %d and %d", a, b, c, here, elsewhere, free)
			}
		}
		push := func() {
			for typ := range ran {
				f.push(typ, 5)
			}
		}
		push()
		want(0, 0, 5)
		if was, err := f.group.Resume(t.Context(), "", "elsewhere"); !was || err != nil {
			t.Fatal(was, err)
		}
		time.Sleep(time.Second) // a waiting runner looks once a second
		want(0, 5, 5)
		if err := f.group.Pause(t.Context(), jobqueue.Pause{Domain: "wiki"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		push()
		want(0, 5, 5)
		stop()
		<-done
		f.reached(f.run(t.Context(), runner.Options{}), runner.NoneReady)
		want(0, 5, 5)
	})
}
