package runner_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// talkative is a store that hints all the time.
type talkative struct{ *faults }

func (talkative) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil, nil
	}
}

// However many queues there are that cannot be run, and hints, a runner that has nothing to do looks
// for a hundredth of its time.
func TestVainLooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: talkative{f.faults}})
		for i := range 200 {
			f.pushOn(fmt.Sprint("wiki", i), "other", 1)
		}
		var started time.Time
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			started = time.Now()
			return nil
		})
		f.faults.set(func(_ context.Context, op string) error {
			if op == "ready" {
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		})
		done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour})
		time.Sleep(30 * time.Minute)
		begin := time.Now()
		f.push("a", 1)
		f.counted(<-done, runner.Counts{Done: 1})
		if n := f.faults.calls("ready"); n > 800 {
			t.Errorf("%d looks of 50 ms in an hour, want 720", n)
		}
		if d := started.Sub(begin); d > 6*time.Second {
			t.Errorf("a job was found after %v, want 5 s at most", d)
		}
	})
}
