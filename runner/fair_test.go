package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// direct gives a farm its store without faults in between, which wakes runners.
func direct(r *jobqueue.Routes) { r.Default = r.Default.(*faults).Backend }

// A fewJobs is what a domain b pushes, beside a flood of a.
type fewJobs struct {
	typ  string
	run  time.Duration
	once bool // the type has run before
	many int  // thousands of jobs of the flood
	long int  // of each hundred of these, so many in a row take 100 ms
}

// timeFew returns how long after their push the last of ten such jobs has ended. With a flood domain a
// pushed many a second before.
func timeFew(t *testing.T, few fewJobs, workers int, flood bool) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, direct)
		var pushed time.Time
		left := 10
		var mu sync.Mutex
		ctx, stop := context.WithCancel(t.Context())
		run := func(ctx context.Context, n int) error {
			if jobqueue.FromContext(ctx).Domain != "b" {
				// Most are quick; now and then one takes 100 ms.
				time.Sleep(time.Duration(1+n%5) * time.Millisecond)
				if n%100 >= 100-few.long {
					time.Sleep(time.Duration(99-n%5) * time.Millisecond)
				}
				return nil
			}
			time.Sleep(few.run)
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				took = time.Since(pushed)
				stop()
			}
			return nil
		}
		f.add("job", jobqueue.Policy{}, run)
		f.add("other", jobqueue.Policy{}, run)
		done := f.goRun(ctx, runner.Options{Workers: workers, Wait: true})
		time.Sleep(time.Second)
		if few.once {
			f.pushOn("c", few.typ, 5)
			time.Sleep(time.Second)
		}
		if flood {
			for range few.many {
				f.pushOn("a", "job", 1000)
			}
		}
		time.Sleep(time.Second)
		pushed = time.Now()
		f.pushOn("b", few.typ, 10)
		<-done
	})
	return took
}

// A domain that pushes a few jobs behind the flood of another has them done soon.
func TestFlood(t *testing.T) {
	for _, few := range []fewJobs{
		{"job", 30 * time.Millisecond, true, 200, 1}, {"other", 3 * time.Millisecond, false, 20, 1}, {"other", 400 * time.Millisecond, false, 20, 1},
		{"job", 3 * time.Millisecond, true, 20, 2}, {"other", time.Millisecond, false, 20, 2}, {"other", 100 * time.Millisecond, true, 20, 5},
	} {
		for _, workers := range []int{1, 2, 8} {
			alone := timeFew(t, few, workers, false)
			took := timeFew(t, few, workers, true)
			limit := 2*alone + 100*time.Millisecond + 50*time.Millisecond
			t.Logf("%+v, %d workers: alone %v, behind the flood %v, limit %v", few, workers, alone, took, limit)
			if alone == 0 || took > limit {
				t.Errorf("%+v, %d workers: took %v, alone %v", few, workers, took, alone)
			}
		}
	}
}

// A flood of less urgent jobs of up to 200 ms delays an urgent one by less than a second, and a flood of
// urgent ones leaves the others their share.
func TestUrgent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, direct)
		var mu sync.Mutex
		var waits []time.Duration
		var low time.Duration // how long low jobs have run
		f.add("low", jobqueue.Policy{}, func(_ context.Context, n int) error {
			d := time.Duration(1+n%200) * time.Millisecond
			time.Sleep(d)
			mu.Lock()
			defer mu.Unlock()
			low += d
			return nil
		})
		f.add("urgent", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			mu.Lock()
			waits = append(waits, time.Since(jobqueue.FromContext(ctx).QueuedAt))
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		plan := schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int {
			if typ == "low" {
				return 1
			}
			return 0
		}}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Plan: plan})
		for i := range 20 {
			f.pushOn(fmt.Sprint("wiki", i), "low", 1000)
		}
		time.Sleep(5 * time.Second)
		for i := range 50 {
			f.pushOn(fmt.Sprint("wiki", i), "urgent", 1)
			time.Sleep(777 * time.Millisecond)
		}
		mu.Lock()
		if longest := slices.Max(waits); len(waits) != 50 || longest > time.Second {
			t.Errorf("%d urgent jobs ran, one waited for %v", len(waits), longest)
		}
		t.Logf("urgent jobs waited for %v at most", slices.Max(waits))
		low = 0
		mu.Unlock()
		f.push("urgent", 1000)
		f.push("urgent", 1000)
		time.Sleep(30 * time.Second)
		mu.Lock()
		if part := low.Seconds() / (4 * 30); part < 0.08 || part > 0.13 {
			t.Errorf("low jobs got %.3f of the workers, want 0.1", part)
		}
		mu.Unlock()
		stop()
		<-done
	})
}

// So it is when the flood begins, and nobody knows yet how long its jobs take.
func TestUrgentEarly(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, direct)
				rng := rand.New(rand.NewPCG(seed, 0))
				ds := make([]time.Duration, 1000)
				for i := range ds {
					ds[i] = time.Duration(rng.IntN(200)) * time.Millisecond
				}
				f.add("low", jobqueue.Policy{}, func(_ context.Context, n int) error {
					time.Sleep(ds[n])
					return nil
				})
				var worst time.Duration
				ended := make(chan struct{})
				f.add("urgent", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
					worst = max(worst, time.Since(jobqueue.FromContext(ctx).QueuedAt))
					ended <- struct{}{}
					return nil
				})
				plan := schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int {
					if typ == "low" {
						return 1
					}
					return 0
				}}
				ctx, stop := context.WithCancel(t.Context())
				done := f.goRun(ctx, runner.Options{Workers: 8, Wait: true, Plan: plan})
				f.pushOn("wiki1", "urgent", 1)
				<-ended
				for i := range 20 {
					f.pushOn(fmt.Sprint("wiki", i), "low", 1000)
					time.Sleep(5 * time.Millisecond)
				}
				for i := range 50 {
					f.pushOn(fmt.Sprint("wiki", i), "urgent", 1)
					<-ended
				}
				if worst > time.Second {
					t.Errorf("an urgent job waited for %v", worst)
				}
				stop()
				<-done
			})
		})
	}
}

// Domains get as much of the workers as each other, also one whose jobs run 100 times as long, and one
// of whose jobs nobody knows how long they run.
func TestShares(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, direct)
		var mu sync.Mutex
		used := map[string]time.Duration{}
		f.add("job", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			domain, d := jobqueue.FromContext(ctx).Domain, 20*time.Millisecond
			switch {
			case domain == "slow":
				d *= 100
			case domain == "moody" && n%3 == 0:
				d = 1500 * time.Millisecond
			case domain == "moody":
				d = time.Millisecond
			}
			time.Sleep(d)
			mu.Lock()
			defer mu.Unlock()
			used[domain] += d
			return nil
		})
		domains := []string{"slow", "moody"}
		for i := range 18 {
			domains = append(domains, fmt.Sprint("wiki", i))
		}
		for range 2 {
			for _, d := range domains {
				f.pushOn(d, "job", 1000)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var ended []<-chan *runner.Result
		for range 2 {
			ended = append(ended, f.goRun(ctx, runner.Options{Workers: 4, Wait: true}))
		}
		time.Sleep(time.Minute)
		stop()
		for _, done := range ended {
			<-done
		}
		sum := time.Duration(0)
		for _, d := range used {
			sum += d
		}
		if sum < 470*time.Second || len(used) != 20 {
			t.Errorf("the workers were busy for %v of 480 s", sum)
		}
		for domain, d := range used {
			if share := 20 * d.Seconds() / sum.Seconds(); share < 0.85 || share > 1.15 {
				t.Errorf("%s got %.2f of its share", domain, share)
			}
		}
		t.Logf("slow got %v, moody %v, another %v of %v", used["slow"], used["moody"], used["wiki1"], sum)
	})
}

// A domain that pushes a job now and then is served at once beside a flood, however often it does.
func TestTrickle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, direct)
		var mu sync.Mutex
		var waits []time.Duration
		f.add("job", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			c := jobqueue.FromContext(ctx)
			if c.Domain == "b" {
				mu.Lock()
				waits = append(waits, time.Since(c.QueuedAt))
				mu.Unlock()
			}
			time.Sleep(3 * time.Millisecond)
			return nil
		})
		for range 40 {
			f.pushOn("a", "job", 1000)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true})
		time.Sleep(time.Second)
		for range 200 {
			f.pushOn("b", "job", 1)
			time.Sleep(100 * time.Millisecond)
		}
		stop()
		<-done
		if len(waits) != 200 || slices.Max(waits) > 50*time.Millisecond {
			t.Errorf("%d jobs ran, one waited for %v", len(waits), slices.Max(waits))
		}
	})
}

// A wave of jobs that are not known to be quick gets its share beside a flood of quick ones.
func TestSlowType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, direct)
		g := newGauge()
		f.add("quick", jobqueue.Policy{}, g.run("quick", 3*time.Millisecond))
		f.add("slow", jobqueue.Policy{}, g.run("slow", 900*time.Millisecond))
		for range 40 {
			f.pushOn("a", "quick", 1000)
		}
		f.pushOn("b", "slow", 200)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true})
		time.Sleep(30 * time.Second)
		stop()
		<-done
		// Half of 120 s.
		if n := g.ran["slow"]; n < 50 || n > 85 {
			t.Errorf("%d slow jobs ran beside %d quick ones, want about 66", n, g.ran["quick"])
		}
	})
}
