package runner_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// No more jobs run at once than are allowed, however many workers there are, and as many once it is more.
func TestAllowed(t *testing.T) {
	for name, o := range map[string]runner.Options{
		"all":    {Workers: 8},
		"groups": {Groups: []schedule.Group{{Name: "g", Workers: 8, Include: []string{"a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var allowed, running, most atomic.Int64
				f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(100 * time.Millisecond)
					running.Add(-1)
					return nil
				})
				f.push("a", 1000)
				o.Wait = true
				o.Allowed = func(group string) int {
					if want := map[string]string{"groups": "g"}[name]; group != want {
						t.Errorf("asked for group %q, want %q", group, want)
					}
					return int(allowed.Load())
				}
				ctx, stop := context.WithCancel(t.Context())
				done := f.goRun(ctx, o)
				for _, n := range []int64{0, 2, 5, 20} {
					allowed.Store(n)
					time.Sleep(2 * time.Second) // what runs ends, and looks find that there is more room
					most.Store(0)
					time.Sleep(3 * time.Second)
					if want := min(n, 8); most.Load() != want {
						t.Errorf("%d jobs ran at once, want %d of %d", most.Load(), want, n)
					}
				}
				allowed.Store(1)
				time.Sleep(2 * time.Second)
				most.Store(0)
				time.Sleep(3 * time.Second)
				if most.Load() != 1 {
					t.Errorf("%d jobs ran at once, want 1 again", most.Load())
				}
				stop()
				res := <-done
				f.reached(res, runner.Stopped)
				if res.Counts.Failed > 0 || res.Counts.Done < 300 {
					t.Errorf("%v, want most done and none failed", res)
				}
			})
		})
	}
}
