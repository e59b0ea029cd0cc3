package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A run whose workers are all stuck claims nothing, and says why it ends with jobs ready.
func TestAllStuck(t *testing.T) {
	for what, known := range map[string]bool{"unknown type": false, "quick type": true} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				free := make(chan struct{})
				f.add("deaf", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
					<-free
					return nil
				})
				f.add("quick", jobqueue.Policy{}, func(context.Context, int) error {
					f.push("deaf", 1)
					return nil
				})
				want := runner.Counts{Failed: 1, Abandoned: 1}
				if known {
					f.push("quick", 1)
					want.Done = 1
				} else {
					f.push("deaf", 1)
				}
				time.AfterFunc(3*time.Second, func() { f.push("quick", 5) })
				res := f.run(t.Context(), runner.Options{Workers: 1})
				f.reached(res, runner.Stuck)
				want.GivenBack = res.Counts.GivenBack // such as were claimed ahead before
				f.counted(res, want)
				if res.Err == nil || len(res.Stuck) != 1 || res.Elapsed > 30*time.Second {
					t.Errorf("%v, want an error and one stuck job", res)
				}
				f.stored("quick", 5, 0, 0, 0)
				close(free)
			})
		})
	}
}

// A run whose workers come back goes on.
func TestUnstuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(_ context.Context, n int) error {
			if n < 10 {
				time.Sleep(15 * time.Second)
			}
			return nil
		})
		f.push("a", 1000)
		res := f.run(t.Context(), runner.Options{Workers: 10})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 990, Failed: 10, Abandoned: 10})
	})
}

// A run that waits does so with all workers stuck, and does not claim what it cannot run.
func TestStuckWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("slow", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
			time.Sleep(time.Hour)
			return nil
		})
		f.add("quick", jobqueue.Policy{}, sleep(0))
		f.push("quick", 10)
		time.AfterFunc(time.Second, func() { f.push("slow", 1) })
		time.AfterFunc(time.Minute, func() { f.push("quick", 10) })
		done := f.goRun(t.Context(), runner.Options{Workers: 1, Wait: true, MaxTime: 2 * time.Hour})
		time.Sleep(30 * time.Minute)
		f.stored("quick", 10, 0, 0, 0)
		f.counted(<-done, runner.Counts{Done: 20, Failed: 1, Abandoned: 1})
	})
}
