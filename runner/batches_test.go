package runner_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// While workers are busy, settlements are full ones; what is left over from one waits for more.
func TestSettlementsAreFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		f := newFarm(t, func(r *jobqueue.Routes) {
			r.Trace = &jobqueue.Trace{Settled: func(_ context.Context, outcomes []jobqueue.Outcome, _ []*jobqueue.Claim, _ error) {
				mu.Lock()
				defer mu.Unlock()
				sizes = append(sizes, len(outcomes))
			}}
		})
		f.add("a", jobqueue.Policy{}, sleep(100*time.Microsecond))
		f.push("a", 20_000)
		f.counted(f.run(t.Context(), runner.Options{Workers: 48}), runner.Counts{Done: 20_000})
		full := slices.Index(sizes, 1000)
		if full < 0 {
			t.Fatalf("settlements of %v, want some of 1000", sizes)
		}
		for len(sizes) > 0 && sizes[len(sizes)-1] < 1000 { // when nothing is left, nothing is waited for
			sizes = sizes[:len(sizes)-1]
		}
		if slices.Min(sizes[full:]) < 1000 {
			t.Errorf("settlements of %v, want 1000 each", sizes[full:])
		}
	})
}

// Once no worker is busy, nothing is waited for: be it that they are idle, or that they wait for a settlement themselves.
func TestSettledAtOnceWhenCalm(t *testing.T) {
	for name, p := range map[string]jobqueue.Policy{"after": {}, "before": {AtMostOnce: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const jobs = 10
				f := newFarm(t)
				f.add("a", p, func(context.Context, int) error { return nil })
				f.push("a", jobs)
				began := time.Now()
				f.counted(f.run(t.Context(), runner.Options{Workers: 2 * jobs}), runner.Counts{Done: jobs})
				if took := time.Since(began); took >= time.Millisecond {
					t.Errorf("%d jobs that take no time took %v", jobs, took)
				}
			})
		})
	}
}

// The buffer has room for what workers take while a slow store answers.
func TestPrefetchFromSlowStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.faults.set(func(ctx context.Context, op string) error {
			if op == "pop" {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		f.add("a", jobqueue.Policy{}, sleep(100*time.Microsecond))
		f.push("a", 10_000)
		began := time.Now()
		f.counted(f.run(t.Context(), runner.Options{Workers: 4}), runner.Counts{Done: 10_000})
		claims := f.faults.calls("pop")
		if claims > 13 {
			t.Errorf("%d claims, want about one for each thousand jobs", claims)
		}
		// It is asked all the time, as it answers later than the workers are done.
		if idle := time.Since(began) - time.Duration(claims)*100*time.Millisecond; idle > 50*time.Millisecond {
			t.Errorf("the store was not asked for %v", idle)
		}
	})
}
