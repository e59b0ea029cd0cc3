package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// That it has something to do, or nothing any more, a runner says within a second, and no more often than every five
// seconds while that stays as it is.
func TestPresenceBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error { return sleep(30*time.Second)(ctx, 0) })
		done := f.goRun(t.Context(), runner.Options{Wait: true, Workers: 2, MaxTime: time.Minute})
		time.Sleep(6 * time.Second)
		f.push("a", 1)
		time.Sleep(1500 * time.Millisecond)
		if p := f.alive(1)[0]; p.Busy != 1 {
			t.Errorf("%d jobs run, want 1", p.Busy)
		}
		before := f.faults.calls("setvalue")
		time.Sleep(20 * time.Second)
		if n := f.faults.calls("setvalue") - before; n < 4 || n > 5 {
			t.Errorf("it said so %d times in 20 s, want 4", n)
		}
		time.Sleep(10 * time.Second)
		if p := f.alive(1)[0]; p.Busy != 0 {
			t.Errorf("%d jobs run, want none", p.Busy)
		}
		<-done
	})
}
