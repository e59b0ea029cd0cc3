package runner_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// naming is a store that names the queues that get work.
type naming struct {
	*faults
	jobqueue.Waiter
}

// namedFarm returns a farm on such a store, and a type a that notes how long its jobs waited.
func namedFarm(t *testing.T, w func(jobqueue.Waiter) jobqueue.Waiter) (f *farm, waits chan time.Duration) {
	waits = make(chan time.Duration, 1000)
	f = newFarm(t)
	f.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: naming{f.faults, w(f.store)}})
	f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
		waits <- time.Since(jobqueue.FromContext(ctx).QueuedAt)
		return nil
	})
	return f, waits
}

// What a store names is claimed without asking it which queues are ready; that is done as often as without
// any jobs.
func TestNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, waits := namedFarm(t, func(w jobqueue.Waiter) jobqueue.Waiter { return w })
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Minute)
		before := f.faults.calls("ready")
		for i := range 1000 {
			time.Sleep(60 * time.Millisecond)
			f.pushOn(fmt.Sprint("wiki", i), "a", 1)
			quick(t, waits, time.Millisecond)
		}
		if n := f.faults.calls("ready") - before; n > 130 {
			t.Errorf("the store was asked %d times in a minute with 1000 jobs, want 60 to 120", n)
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 1000})
	})
}

// insisting names the same queue all the time.
type insisting struct{ jobqueue.Name }

func (w insisting) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return []jobqueue.Name{w.Name}, nil
	}
}

// However much is named, be there jobs in it or not, what is not named is found as soon as without.
func TestNamedHidesNothing(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow %t", slow), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				loud := jobqueue.Name{Domain: "loud", Type: "b"}
				f, waits := namedFarm(t, func(jobqueue.Waiter) jobqueue.Waiter { return insisting{loud} })
				f.add("b", jobqueue.Policy{}, func(context.Context, int) error { return nil })
				ctx, stop := context.WithCancel(t.Context())
				done := f.goRun(ctx, runner.Options{Wait: true})
				time.Sleep(time.Minute)
				for i := range 20 {
					f.push("a", 1)
					for range 50 {
						if len(waits) > 0 {
							break
						}
						if i%2 == 0 {
							f.pushOn(loud.Domain, loud.Type, 1)
						}
						time.Sleep(23*time.Millisecond + time.Duration(i)*time.Millisecond)
					}
					quick(t, waits, time.Second+20*time.Millisecond)
				}
				stop()
				<-done
			})
		})
	}
}

// A worker that becomes free gets at once what was named while there was none.
func TestNamedWhileBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, _ := namedFarm(t, func(w jobqueue.Waiter) jobqueue.Waiter { return w })
		waits := make(chan time.Duration, 1)
		f.add("slow", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			waits <- time.Since(jobqueue.FromContext(ctx).QueuedAt)
			time.Sleep(30 * time.Second)
			return nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Workers: 1})
		for i := range 10 {
			time.Sleep(time.Minute + time.Duration(i)*77*time.Millisecond)
			f.push("slow", 1)
			quick(t, waits, time.Millisecond)
			time.Sleep(29*time.Second + 900*time.Millisecond)
			f.push("slow", 1)
			quick(t, waits, 101*time.Millisecond)
		}
		time.Sleep(time.Minute)
		stop()
		f.counted(<-done, runner.Counts{Done: 20})
	})
}

// A domain that is named and new is served at once, and one that is not served any more is not.
func TestNamedDomains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, waits := namedFarm(t, func(w jobqueue.Waiter) jobqueue.Waiter { return w })
		var domains atomic.Pointer[[]string]
		domains.Store(new([]string))
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Domains: func() []string { return *domains.Load() }})
		for i := range 10 {
			time.Sleep(time.Minute)
			here, gone := fmt.Sprint("wiki", i), fmt.Sprint("wiki", i-1)
			domains.Store(&[]string{here})
			f.pushOn(here, "a", 1)
			quick(t, waits, time.Millisecond)
			domains.Store(new([]string))
			time.Sleep(200 * time.Millisecond)
			f.pushOn(here, "a", 1)
			f.pushOn(gone, "a", 1)
			time.Sleep(100 * time.Millisecond)
			if len(waits) > 0 {
				t.Fatal("a job on a domain that is not served any more ran")
			}
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 10})
	})
}
