package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// sleep is the Run of a job that takes d and obeys its context.
func sleep(d time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

func TestNoneReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		spec := jobqueue.Spec{Type: "a", Delay: time.Minute}
		if _, err := f.group.Push(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		f.push("other", 1)
		f.reached(f.run(t.Context(), runner.Options{}), runner.NoneReady)
		f.stored("a", 0, 1, 0, 0)
		f.stored("other", 1, 0, 0, 0) // no handler: stays ready
	})
}

// A job that pushes a child right before it ends must not be the last that is run.
func TestChildrenRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("tree", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if n < 100 {
				spec := jobqueue.Spec{Type: "tree", Params: fmt.Appendf(nil, `{"n":%d}`, n+1)}
				_, err := f.group.Push(ctx, spec)
				return err
			}
			return nil
		})
		f.push("tree", 1)
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 101})
	})
}

func TestNonePossible(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.push("a", 1)
		res := f.run(t.Context(), runner.Options{Types: []string{"a", "b"}, Wait: true})
		f.reached(res, runner.NonePossible)
		if !errors.Is(res.Err, jobqueue.ErrUnknownType) {
			t.Errorf("Err = %v, want an ErrUnknownType", res.Err)
		}
		f.stored("a", 1, 0, 0, 0)
	})
}

func TestTypes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(r *jobqueue.Routes) { r.Exclude = []string{"big"} })
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.add("b", jobqueue.Policy{}, sleep(0))
		f.add("big", jobqueue.Policy{}, sleep(0))
		for _, typ := range []string{"a", "b", "big"} {
			f.push(typ, 3)
		}
		f.counted(f.run(t.Context(), runner.Options{Types: []string{"a"}}), runner.Counts{Done: 3})
		f.stored("b", 3, 0, 0, 0)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 3})
		f.stored("big", 3, 0, 0, 0)
		f.counted(f.run(t.Context(), runner.Options{Types: []string{"big"}}), runner.Counts{Done: 3})
	})
}

func TestJobLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var ran atomic.Int64
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error { ran.Add(1); return nil })
		f.push("a", 100)
		res := f.run(t.Context(), runner.Options{MaxJobs: 7})
		f.reached(res, runner.JobLimit)
		f.stored("a", 93, 0, 0, 0)
		if ran.Load() != 7 || res.Counts.Done != 7 {
			t.Errorf("%d ran, %v, want 7", ran.Load(), res)
		}
	})
}

func TestTimeLimit(t *testing.T) {
	for _, n := range []int{0, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", jobqueue.Policy{}, sleep(2*time.Second))
				f.push("a", n)
				res := f.run(t.Context(), runner.Options{Wait: true, MaxTime: 11 * time.Second, Workers: 1})
				f.reached(res, runner.TimeLimit)
				want := 11 * time.Second
				if n > 0 {
					want = 12 * time.Second // the sixth finishes
					f.stored("a", n-6, 0, 0, 0)
				}
				if res.Elapsed != want {
					t.Errorf("elapsed %v, want %v", res.Elapsed, want)
				}
			})
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(time.Second))
		f.push("a", 100)
		f.reached(f.run(t.Context(), runner.Options{Wait: true, MemoryLimit: 1}), runner.MemoryLimit)
		f.stored("a", 100, 0, 0, 0)
		f.reached(f.run(t.Context(), runner.Options{MemoryLimit: 1 << 40}), runner.NoneReady)
	})
}

func TestReadOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(r *jobqueue.Routes) { r.ReadOnly = "moving house" })
		f.add("a", jobqueue.Policy{}, sleep(0))
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.ReadOnly)
		if want := "queue is read-only: moving house"; res.Err == nil || res.Err.Error() != want {
			t.Errorf("Err = %v, want %q", res.Err, want)
		}
		res = f.run(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour})
		f.reached(res, runner.TimeLimit)
	})
	t.Run("store", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFarm(t)
			f.add("a", jobqueue.Policy{}, sleep(0))
			f.push("a", 1)
			f.faults.set(failing(fmt.Errorf("%w: disk", jobqueue.ErrReadOnly), "pop"))
			res := f.run(t.Context(), runner.Options{})
			f.reached(res, runner.ReadOnly)
			if !errors.Is(res.Err, jobqueue.ErrReadOnly) {
				t.Errorf("Err = %v, want an ErrReadOnly", res.Err)
			}
		})
	})
}

// A store that is away ends a run whose types may be there, registered by name or not, or asked for.
func TestException(t *testing.T) {
	for name, types := range map[string][]string{"named": nil, "fallback": nil, "asked": {"a"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				if name == "named" {
					f.add("a", jobqueue.Policy{}, sleep(0))
				} else {
					f.reg.Fallback(func(typ string) jobqueue.Job { return &call{typ: typ, run: sleep(0)} }, jobqueue.Policy{})
				}
				f.push("a", 1)
				f.faults.set(failing(jobqueue.ErrUnavailable))
				res := f.run(t.Context(), runner.Options{Types: types})
				f.reached(res, runner.Exception)
				if !errors.Is(res.Err, jobqueue.ErrUnavailable) || res.Elapsed > time.Second {
					t.Errorf("Err = %v after %v, want an ErrUnavailable at once", res.Err, res.Elapsed)
				}
			})
		})
	}
}

// A store that has answered gets time to come back, but a run that does not wait ends in the end.
func TestExceptionLater(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Second, time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.add("a", jobqueue.Policy{}, sleep(time.Second))
				f.push("a", 30)
				time.AfterFunc(3500*time.Millisecond, func() { f.faults.set(failing(jobqueue.ErrUnavailable)) })
				back := time.AfterFunc(3500*time.Millisecond+away, func() { f.faults.set(nil) })
				defer back.Stop()
				res := f.run(t.Context(), runner.Options{Workers: 2})
				if away < time.Minute {
					f.reached(res, runner.NoneReady)
					f.counted(res, runner.Counts{Done: 30})
					return
				}
				f.reached(res, runner.Exception)
				f.counted(res, runner.Counts{Done: 6, Unsettled: 2})
			})
		})
	}
}

func TestThrottled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var starts []time.Duration
		begin := time.Now()
		f.reg.Add(func() jobqueue.Job {
			return &heavy{call{typ: "heavy", run: func(context.Context, int) error {
				starts = append(starts, time.Since(begin))
				return nil
			}}}
		}, jobqueue.Policy{Rate: 10})
		f.push("heavy", 3)
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.Throttled)
		f.stored("heavy", 2, 0, 0, 0)
		if at := res.Backoffs["heavy"]; len(res.Backoffs) != 1 || at.Sub(begin) < 9*time.Second || at.Sub(begin) > 11*time.Second {
			t.Errorf("Backoffs = %v, want heavy in 10 s", res.Backoffs)
		}
		f.reached(f.run(t.Context(), runner.Options{Wait: true, MaxTime: 25 * time.Second}), runner.TimeLimit)
		if len(starts) != 3 || starts[2]-starts[1] < 10*time.Second || starts[2]-starts[1] > 11*time.Second {
			t.Errorf("starts at %v, want 10 s between the last two", starts)
		}
		f.push("heavy", 3)
		f.counted(f.run(t.Context(), runner.Options{NoThrottle: true, Workers: 1}), runner.Counts{Done: 3})
	})
}

// heavy is a job of a hundred items.
type heavy struct{ call }

func (*heavy) WorkItems() int { return 100 }

// What may start within a second is waited for, and the rate is kept.
func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{Rate: 10}, sleep(0))
		f.add("b", jobqueue.Policy{}, sleep(0))
		f.push("a", 41)
		f.push("b", 100)
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.NoneReady)
		if res.Counts.Done != 141 || res.Elapsed < 4*time.Second || res.Elapsed > 4500*time.Millisecond {
			t.Errorf("%v, want 141 done in 4 s", res)
		}
	})
}

func TestStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if n < 100 {
				return nil // quick ones first, so that more are claimed than run
			}
			return sleep(10*time.Second)(ctx, n)
		})
		f.push("a", 200)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 2, Wait: true})
		time.Sleep(time.Second)
		stop()
		res := <-done
		f.reached(res, runner.Stopped)
		if res.Elapsed != 10*time.Second {
			t.Errorf("elapsed %v, want 10 s", res.Elapsed)
		}
		if res.Counts.Done != 102 || res.Err != nil {
			t.Errorf("%v, want 102 done", res)
		}
		f.stored("a", 98, 0, 0, 0)
		f.untouched("a")
	})
}

// untouched fails the test if a job has failures or expiries.
func (f *farm) untouched(typ string) {
	f.Helper()
	for e, err := range f.store.List(f.Context(), jobqueue.Filter{Type: typ}) {
		if err != nil || e.Failures != 0 || e.Expiries != 0 {
			f.Errorf("List = %+v, %v, want no failures and no expiries", e, err)
		}
	}
}

func TestGrace(t *testing.T) {
	for _, abort := range []bool{false, true} {
		t.Run(fmt.Sprint(abort), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var cause atomic.Value
				f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
					<-ctx.Done()
					cause.Store(context.Cause(ctx))
					return ctx.Err()
				})
				free := make(chan struct{})
				f.add("deaf", jobqueue.Policy{}, func(context.Context, int) error {
					<-free
					return nil
				})
				f.push("a", 1)
				f.push("deaf", 1)
				ctx, stop := context.WithCancel(t.Context())
				second := make(chan struct{})
				done := f.goRun(ctx, runner.Options{Grace: 20 * time.Second, Abort: second})
				time.Sleep(time.Second)
				stop()
				want := 31 * time.Second
				if abort {
					time.Sleep(time.Second)
					close(second)
					want = 12 * time.Second
				}
				res := <-done
				f.reached(res, runner.Stopped)
				f.counted(res, runner.Counts{GivenBack: 1, Unsettled: 1})
				if cause.Load() != runner.ErrStopped || res.Elapsed != want {
					t.Errorf("cause %v after %v, want ErrStopped after %v", cause.Load(), res.Elapsed, want)
				}
				if len(res.Stuck) != 1 || res.Stuck[0].Type != "deaf" {
					t.Errorf("Stuck = %v, want the job of type deaf", res.Stuck)
				}
				f.stored("a", 1, 0, 0, 0)
				f.untouched("a")
				f.stored("deaf", 0, 0, 1, 0) // left to its lease
				close(free)
			})
		})
	}
}

// An abort alone stops the run too.
func TestAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(time.Hour))
		f.push("a", 1)
		abort := make(chan struct{}, 1)
		done := f.goRun(t.Context(), runner.Options{Wait: true, Abort: abort})
		time.Sleep(time.Second)
		abort <- struct{}{}
		res := <-done
		f.reached(res, runner.Stopped)
		f.counted(res, runner.Counts{GivenBack: 1})
	})
}

// An abort interrupts calls of a store that is well, and the log does not blame it.
func TestAbortLog(t *testing.T) {
	for _, op := range []string{"ready", "pop", "charge"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, sharing)
				f.add("a", jobqueue.Policy{Rate: 1000}, sleep(0))
				f.push("a", 10)
				f.faults.set(hanging(op))
				abort := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(abort) })
				var log bytes.Buffer
				res := f.run(t.Context(), runner.Options{Wait: true, Abort: abort, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				f.reached(res, runner.Stopped)
				if f.faults.calls(op) == 0 || log.Len() > 0 {
					t.Errorf("after %d calls the log is %s", f.faults.calls(op), log.String())
				}
			})
		})
	}
}
