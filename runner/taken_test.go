package runner_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Workers that others have run nothing, and do once these have them no more.
func TestTaken(t *testing.T) {
	for name, o := range map[string]runner.Options{
		"all":    {Workers: 8},
		"groups": {Groups: []schedule.Group{{Name: "g", Workers: 8, Include: []string{"a"}}}},
		"none":   {Groups: []schedule.Group{{Name: "g", Workers: 8, Include: []string{"b"}}}, Types: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var taken, running, most atomic.Int64
				f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(100 * time.Millisecond)
					running.Add(-1)
					return nil
				})
				f.push("a", 1000)
				o.Wait = true
				o.Taken = func(group string) int {
					if group != map[string]string{"groups": "g"}[name] {
						return 0
					}
					return int(taken.Load())
				}
				ctx, stop := context.WithCancel(t.Context())
				done := f.goRun(ctx, o)
				for _, n := range []int64{9, 8, 6, 3, 0} {
					taken.Store(n)
					time.Sleep(2 * time.Second) // what runs ends, and looks find that there is more room
					most.Store(0)
					time.Sleep(3 * time.Second)
					if want := max(0, 8-n); most.Load() != want {
						t.Errorf("%d jobs ran at once, want %d", most.Load(), want)
					}
				}
				taken.Store(7)
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

// A looker counts the looks at what is ready.
type looker struct {
	*queuememory.Backend
	looks atomic.Int64
}

func (c *looker) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	c.looks.Add(1)
	return c.Backend.Ready(ctx, names...)
}

// While others have workers, for however long, the store is asked no more often than else; what they have no more is
// used at once.
func TestTakenForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &looker{Backend: queuememory.New()}
		f := newFarm(t)
		f.group = jobqueue.NewGroup("home", jobqueue.Routes{Default: b})
		var taken, running atomic.Int64
		f.add("a", jobqueue.Policy{Timeout: 24 * time.Hour}, func(ctx context.Context, _ int) error {
			running.Add(1)
			<-ctx.Done()
			return context.Cause(ctx)
		})
		f.push("a", 100)
		taken.Store(4)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Grace: time.Second, Taken: func(string) int { return int(taken.Load()) }})
		for n := int64(4); n > 0; {
			time.Sleep(time.Minute)
			before := b.looks.Load()
			time.Sleep(time.Minute)
			if looks := b.looks.Load() - before; looks > 150 || running.Load() != 4-n {
				t.Errorf("%d looks in a minute while others have %d workers, and %d jobs run; want one a second", looks, n, running.Load())
			}
			n--
			taken.Store(n)
			time.Sleep(50 * time.Millisecond)
			if running.Load() != 4-n {
				t.Errorf("%d jobs run while others have %d workers of 4", running.Load(), n)
			}
		}
		stop()
		<-done
	})
}

// A run that is to drain claims nothing more and lets what runs finish, however long it takes, unless it is stopped.
func TestDrainOption(t *testing.T) {
	for name, stopped := range map[string]bool{"finishes": false, "is stopped": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", jobqueue.Policy{Timeout: 24 * time.Hour}, func(ctx context.Context, _ int) error {
					select {
					case <-time.After(time.Hour):
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				})
				f.push("a", 10)
				drain := make(chan struct{})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Drain: drain, Grace: time.Second})
				time.Sleep(time.Minute)
				close(drain)
				time.Sleep(time.Minute)
				begin, want := time.Now(), runner.Counts{Done: 4}
				if stopped {
					stop()
					want = runner.Counts{GivenBack: 4}
				}
				res := <-done
				f.reached(res, runner.Drained)
				f.counted(res, want)
				if took := time.Since(begin); stopped && took > 2*time.Second {
					t.Errorf("it took %v to stop a run that drains, want its grace", took)
				}
				f.stored("a", 10-want.Done, 0, 0, 0)
			})
		})
	}
}
