package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A handler that is away for a minute costs few attempts and no job.
func TestFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		begin := time.Now()
		var attempts, good atomic.Int64
		var starts []time.Duration
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			if time.Since(begin) < time.Minute {
				if n := attempts.Add(1); n > 8 {
					starts = append(starts, time.Since(begin).Truncate(100*time.Millisecond)) // one at a time by now
				}
				return jobqueue.Fault(errors.New("connection refused"))
			}
			good.Add(1)
			return nil
		})
		f.push("a", 10_000)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Workers: 8})
		time.Sleep(59 * time.Second)
		f.stored("a", 10_000, 0, 0, 0)
		time.Sleep(2 * time.Minute)
		f.stored("a", 0, 0, 0, 0)
		stop()
		res := <-done
		if n := attempts.Load(); n < 6 || n > 20 {
			t.Errorf("%d attempts, want the first ones and one for each rest", n)
		}
		if want := []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second}; attempts.Load() == 8+5 {
			if diff := cmp.Diff(want, starts); diff != "" {
				t.Errorf("attempts after the first eight (-want +got):\n%s", diff)
			}
		}
		if good.Load() != 10_000 || res.Counts.Done != 10_000 || res.Counts.Failed > 0 || res.Counts.Abandoned > 0 || res.Counts.Snoozed > 0 || len(res.Faults) > 0 {
			t.Errorf("%v, faults %v, want 10000 done and no failure", res, res.Faults)
		}
	})
}

// The jobs keep the reason, uncounted, and the other types go on.
func TestFaultOfOneType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("bad", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error { return jobqueue.Fault(errors.New("no such program")) })
		f.add("good", jobqueue.Policy{}, sleep(10*time.Millisecond))
		f.push("bad", 100)
		f.push("good", 100)
		start := time.Now()
		res := f.run(t.Context(), runner.Options{Workers: 2})
		f.reached(res, runner.HandlerFault)
		if res.Counts.Done != 100 || res.Counts.Failed+res.Counts.Abandoned+res.Counts.Snoozed > 0 || time.Since(start) > 10*time.Second {
			t.Errorf("%v, want the good ones done soon and nothing failed", res)
		}
		if diff := cmp.Diff(map[string]string{"bad": "no such program"}, res.Faults); diff != "" {
			t.Errorf("faults (-want +got):\n%s", diff)
		}
		if want := "handler at fault: bad: no such program"; !errors.Is(res.Err, jobqueue.ErrFault) || res.Err.Error() != want {
			t.Errorf("the error is %v, want %s", res.Err, want)
		}
		f.stored("bad", 100, 0, 0, 0)
		told := 0
		for e, err := range f.store.List(t.Context(), jobqueue.Filter{Type: "bad"}) {
			if err != nil || e.Failures+e.Expiries > 0 {
				t.Errorf("entry %+v, %v, want no failure", e, err)
			}
			if e.LastError == "no such program" {
				told++
			}
		}
		if told == 0 {
			t.Error("no job keeps the reason")
		}
	})
}

// However long a run takes to find out that there is nothing else to do, it tries a broken handler no second time for that.
func TestFaultOnce(t *testing.T) {
	slow := 2500 * time.Millisecond
	for what, tt := range map[string]struct {
		store func(context.Context, string) error
		end   func(runner.Ended)
	}{
		"slow store": {store: func(_ context.Context, op string) error {
			if op == "settle" {
				time.Sleep(slow)
			}
			return nil
		}},
		"slow hook": {end: func(runner.Ended) { time.Sleep(slow) }},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", jobqueue.Policy{}, func(context.Context, int) error { return jobqueue.Fault(errors.New("away")) })
				f.push("a", 1)
				f.faults.set(tt.store)
				res := f.run(t.Context(), runner.Options{Workers: 2, OnEnd: tt.end})
				f.reached(res, runner.HandlerFault)
				f.counted(res, runner.Counts{GivenBack: 1})
			})
		})
	}
}

// A run that has other work tries again after each rest.
func TestFaultTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		begin := time.Now()
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			if time.Since(begin) < 5*time.Second {
				return jobqueue.Fault(errors.New("away"))
			}
			return nil
		})
		f.add("long", jobqueue.Policy{}, sleep(10*time.Second))
		f.push("a", 10)
		f.push("long", 1)
		res := f.run(t.Context(), runner.Options{Workers: 2})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 11, GivenBack: res.Counts.GivenBack})
	})
}

// A run that does not wait has patience with a handler that worked before.
func TestFaultPatience(t *testing.T) {
	for away, want := range map[time.Duration]runner.Reason{4 * time.Second: runner.NoneReady, time.Hour: runner.HandlerFault} {
		t.Run(away.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				begin := time.Now()
				f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
					time.Sleep(10 * time.Millisecond)
					if since := time.Since(begin); since > time.Second && since < away {
						return jobqueue.Fault(errors.New("away"))
					}
					return nil
				})
				f.push("a", 1000)
				res := f.run(t.Context(), runner.Options{Workers: 2})
				f.reached(res, want)
				if res.Counts.Failed > 0 || time.Since(begin) > 25*time.Second {
					t.Errorf("%v, want an end soon and no failure", res)
				}
			})
		})
	}
}

// A job that meets a fault counts for no limit.
func TestFaultMaxJobs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var n atomic.Int64
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			if n.Add(1) <= 3 {
				return jobqueue.Fault(errors.New("away"))
			}
			return nil
		})
		f.push("a", 10)
		res := f.run(t.Context(), runner.Options{Workers: 1, MaxJobs: 5, Wait: true})
		f.reached(res, runner.JobLimit)
		f.counted(res, runner.Counts{Done: 5, GivenBack: res.Counts.GivenBack})
		f.stored("a", 5, 0, 0, 0)
	})
}

// A type whose jobs are abandoned one after the other rests too, until one goes well.
func TestManyAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		begin := time.Now()
		var attempts atomic.Int64
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			if time.Since(begin) < time.Minute {
				attempts.Add(1)
				return jobqueue.Abandon(errors.New("400 Bad Request"))
			}
			return nil
		})
		f.push("a", 10_000)
		var log bytes.Buffer
		res := f.run(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 5 * time.Minute,
			Logger: slog.New(slog.NewTextHandler(&log, nil))})
		n := int(attempts.Load())
		if n < 20+5 || n > 20+4+6 {
			t.Errorf("%d attempts, want 20 and one for each rest", n)
		}
		if res.Counts.Abandoned != n || res.Counts.Done != 10_000-n {
			t.Errorf("%v, want %d abandoned and the rest done", res, n)
		}
		for _, want := range []string{"handler at fault, its type rests", "type=a for=1s", "for=16s", "handler works again"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q", want)
			}
		}
	})
}

// Abandonments with successes in between are the jobs' own.
func TestSomeAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, func(_ context.Context, n int) error {
			if n%10 > 0 {
				return jobqueue.Abandon(fmt.Errorf("job %d", n))
			}
			return nil
		})
		f.push("a", 1000)
		start := time.Now()
		res := f.run(t.Context(), runner.Options{Workers: 1})
		f.counted(res, runner.Counts{Done: 100, Failed: 900, Abandoned: 900})
		if time.Since(start) > time.Second {
			t.Errorf("it took %v, so the type rested", time.Since(start))
		}
	})
}
