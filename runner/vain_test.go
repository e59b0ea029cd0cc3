package runner_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A slowLook is a store that takes long to say what is ready.
type slowLook struct{ *queuememory.Backend }

func (b slowLook) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	time.Sleep(100 * time.Millisecond)
	return b.Backend.Ready(ctx, names...)
}

// Queues that a runner cannot run make it look seldom. What a store says was pushed begins at once all the same.
func TestVain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(r *jobqueue.Routes) { r.Default = slowLook{r.Default.(*faults).Backend.(*queuememory.Backend)} })
		waits := make(chan time.Duration)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			waits <- time.Since(jobqueue.FromContext(ctx).QueuedAt)
			return nil
		})
		for i := range 30 {
			f.pushOn(fmt.Sprint("wiki", i), "foreign", 1)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 2, Wait: true})
		for i := range 10 {
			time.Sleep(time.Minute + time.Duration(i)*777*time.Millisecond)
			f.pushOn("wiki1", "a", 1)
			// It may come amid a look.
			if wait := <-waits; wait > 150*time.Millisecond {
				t.Errorf("a job waited for %v", wait)
			}
		}
		stop()
		f.counted(<-done, runner.Counts{Done: 10})
	})
}
