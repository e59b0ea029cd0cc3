package runner_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// entry returns the only job of a type.
func (f *farm) entry(typ string) jobqueue.Entry {
	f.Helper()
	var all []jobqueue.Entry
	for e, err := range f.store.List(f.Context(), jobqueue.Filter{Type: typ}) {
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, e)
	}
	if len(all) != 1 {
		f.Fatalf("%d jobs of type %s, want 1", len(all), typ)
	}
	return all[0]
}

func TestRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var starts []time.Duration
		var attempts []int
		begin := time.Now()
		f.add("a", jobqueue.Policy{MaxTries: 3, Backoff: func(n int) time.Duration { return time.Duration(n) * time.Minute }},
			func(ctx context.Context, _ int) error {
				starts = append(starts, time.Since(begin).Round(time.Second))
				attempts = append(attempts, jobqueue.FromContext(ctx).Attempt)
				return errors.New("no")
			})
		f.push("a", 1)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Failed: 1, Retried: 1})
		f.stored("a", 0, 1, 0, 0)
		res := f.run(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour})
		f.counted(res, runner.Counts{Failed: 2, Retried: 1, Abandoned: 1})
		if len(starts) != 3 || starts[1]/time.Minute != 1 || starts[2]/time.Minute != 3 {
			t.Errorf("starts at %v, want 0, 1 m, 3 m", starts)
		}
		if len(attempts) != 3 || attempts[0] != 1 || attempts[2] != 3 {
			t.Errorf("attempts %v, want 1, 2, 3", attempts)
		}
		f.stored("a", 0, 0, 0, 1)
		if e := f.entry("a"); e.LastError != "no" {
			t.Errorf("LastError = %q, want no", e.LastError)
		}
	})
}

func TestVerdicts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		returns := func(err error) func(context.Context, int) error {
			return func(context.Context, int) error { return err }
		}
		f.add("abandon", jobqueue.Policy{}, returns(jobqueue.Abandon(errors.New("hopeless"))))
		f.add("later", jobqueue.Policy{}, returns(jobqueue.RetryIn(time.Hour, errors.New("busy"))))
		f.add("snooze", jobqueue.Policy{}, returns(jobqueue.Snooze(time.Hour)))
		for _, typ := range []string{"abandon", "later", "snooze"} {
			f.push(typ, 1)
		}
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Failed: 2, Retried: 1, Abandoned: 1, Snoozed: 1})
		f.stored("abandon", 0, 0, 0, 1)
		for typ, failures := range map[string]int{"later": 1, "snooze": 0} {
			e := f.entry(typ)
			if e.State != jobqueue.Delayed || e.Failures != failures || time.Until(e.ReadyAt).Round(time.Minute) != time.Hour {
				t.Errorf("%s: %+v, want delayed by an hour with %d failures", typ, e, failures)
			}
		}
	})
}

// A panic, or a Goexit, is the failure of its job and of nothing else.
func TestPanic(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("oh dear") },
		"nil":    func() { panic(nil) },
		"goexit": func() { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				f.add("bad", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error {
					end()
					return nil
				})
				f.add("good", jobqueue.Policy{}, sleep(time.Millisecond))
				f.push("bad", 1)
				f.push("good", 50)
				f.counted(f.run(t.Context(), runner.Options{Workers: 1}), runner.Counts{Done: 50, Failed: 1, Abandoned: 1})
				want := `^panic: .* \(at \S+ job_test.go:\d+ < .*\.Run \w+_test.go:\d+\)$`
				if name == "goexit" {
					want = "^the job called runtime.Goexit$"
				}
				if e := f.entry("bad"); !regexp.MustCompile(want).MatchString(e.LastError) {
					t.Errorf("LastError = %q, want %s", e.LastError, want)
				}
			})
		})
	}
}

// A panic while a job is made is its failure too.
func TestDecodePanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var armed atomic.Bool
		f.reg.Add(func() jobqueue.Job {
			if armed.Load() {
				panic("no database")
			}
			return &call{typ: "a"}
		}, jobqueue.Policy{MaxTries: 1, Rate: 1000})
		armed.Store(true)
		f.push("a", 1)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Failed: 1, Abandoned: 1})
	})
}

func TestParamsDoNotFit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1}, sleep(0))
		if _, err := f.group.Push(t.Context(), jobqueue.Spec{Type: "a", Params: []byte(`{"n":"many"}`)}); err != nil {
			t.Fatal(err)
		}
		f.push("a", 3)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 3, Failed: 1, Abandoned: 1})
		if e := f.entry("a"); !strings.Contains(e.LastError, "do not fit") {
			t.Errorf("LastError = %q, want that parameters do not fit", e.LastError)
		}
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var took time.Duration
		var cause error
		f.add("slow", jobqueue.Policy{MaxTries: 1, Timeout: 1500 * time.Millisecond}, func(ctx context.Context, _ int) error {
			begin := time.Now()
			if at, ok := ctx.Deadline(); !ok || at.Sub(begin) != 1500*time.Millisecond {
				t.Errorf("Deadline = %v, %v, want in 1.5 s", at, ok)
			}
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-child.Done()
			took, cause = time.Since(begin), context.Cause(child)
			return jobqueue.Snooze(0) // not in time, so it fails all the same
		})
		f.add("free", jobqueue.Policy{Timeout: jobqueue.NoLimit}, func(ctx context.Context, n int) error {
			if _, ok := ctx.Deadline(); ok {
				t.Error("there is a deadline, want none")
			}
			return sleep(24*time.Hour)(ctx, n)
		})
		f.push("slow", 1)
		f.push("free", 1)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 1, Failed: 1, Abandoned: 1})
		if took != 1500*time.Millisecond || cause != runner.ErrTimeout {
			t.Errorf("ended after %v for %v, want 1.5 s and ErrTimeout", took, cause)
		}
		if e := f.entry("slow"); !strings.Contains(e.LastError, "time limit exceeded: 1.5s") {
			t.Errorf("LastError = %q, want the time limit", e.LastError)
		}
	})
}

// A job that ignores the end of its context fails, keeps its worker, and is not heard any more.
func TestDeaf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		free := make(chan struct{})
		f.add("deaf", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
			<-free
			return nil
		})
		f.add("good", jobqueue.Policy{}, sleep(time.Second))
		f.push("deaf", 1)
		var mu sync.Mutex
		ends := map[string]int{}
		done := f.goRun(t.Context(), runner.Options{Workers: 2, Wait: true, MaxTime: time.Minute, OnEnd: func(e runner.Ended) {
			mu.Lock()
			defer mu.Unlock()
			ends[e.Claim.Type]++
		}})
		time.Sleep(12 * time.Second)
		f.stored("deaf", 0, 0, 0, 1)
		f.push("good", 20)
		time.Sleep(21*time.Second + 100*time.Millisecond)
		f.stored("good", 0, 0, 0, 0)
		f.push("good", 20)
		close(free)
		time.Sleep(11*time.Second + 100*time.Millisecond) // two workers again
		f.stored("good", 0, 0, 0, 0)
		res := <-done
		f.counted(res, runner.Counts{Done: 40, Failed: 1, Abandoned: 1})
		if len(res.Stuck) != 0 || ends["deaf"] != 1 {
			t.Errorf("Stuck = %v, ends %v, want that the deaf job ended once and returned", res.Stuck, ends)
		}
	})
}

// A bounded run does not wait for such a job.
func TestDeafEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		free := make(chan struct{})
		defer close(free)
		f.add("deaf", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
			<-free
			return nil
		})
		f.push("deaf", 1)
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.NoneReady)
		if len(res.Stuck) != 1 || res.Elapsed.Round(time.Second) != 11*time.Second {
			t.Errorf("%v, want one stuck job after 11 s", res)
		}
	})
}

func TestSuperseded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var traced atomic.Int64
		f := newFarm(t, func(r *jobqueue.Routes) {
			r.Trace = &jobqueue.Trace{Superseded: func(context.Context, *jobqueue.Claim) { traced.Add(1) }}
		})
		f.add("a", jobqueue.Policy{}, sleep(0))
		for i := range 3 {
			root := jobqueue.Root{Key: "Template:X", Time: time.Unix(int64(i), 0)}
			if _, err := f.group.Push(t.Context(), jobqueue.Spec{Type: "a", Root: root}); err != nil {
				t.Fatal(err)
			}
		}
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 1, Superseded: 2})
		if traced.Load() != 2 {
			t.Errorf("the group's trace saw %d superseded, want 2", traced.Load())
		}
	})
}

// So many superseded jobs that one claim cannot get past them in time are no failure of the store.
func TestManySuperseded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		for i := range 100 {
			root := jobqueue.Root{Key: "Template:X", Time: time.Unix(int64(i), 0)}
			if _, err := f.group.Push(t.Context(), jobqueue.Spec{Type: "a", Root: root}); err != nil {
				t.Fatal(err)
			}
		}
		f.faults.late = func(ctx context.Context, op string) error {
			if op == "pop" {
				time.Sleep(700 * time.Millisecond)
			}
			return nil
		}
		log := &plain{}
		res := f.run(t.Context(), runner.Options{Workers: 1, Logger: slog.New(log)})
		f.reached(res, runner.NoneReady)
		// What the call had claimed when its time was over waits for its lease to end.
		if n := res.Counts; n.Done != 1 || n.Superseded < 98 || n.GivenBack > 0 {
			t.Errorf("%v, want one done and the others superseded", res)
		}
		if strings.Contains(log.b.String(), "store") {
			t.Errorf("log is %q, want nothing of a store", log.b.String())
		}
	})
}

func TestAtMostOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var runs atomic.Int64
		f.add("once", jobqueue.Policy{AtMostOnce: true}, func(ctx context.Context, n int) error {
			runs.Add(1)
			f.stored("once", 0, 0, 0, 0) // gone before it runs
			if err := sleep(time.Minute)(ctx, n); err != nil {
				t.Errorf("the context ended: %v", err)
			}
			return errors.New("no")
		})
		f.push("once", 1)
		var ended runner.Ended
		res := f.run(t.Context(), runner.Options{OnEnd: func(e runner.Ended) { ended = e }})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Failed: 1})
		f.stored("once", 0, 0, 0, 0)
		if runs.Load() != 1 || ended.Err == nil || ended.Took != time.Minute {
			t.Errorf("ran %d times, %+v, want one failure after a minute", runs.Load(), ended)
		}
	})
}

// Without a confirmed settlement such a job does not run.
func TestAtMostOnceUnconfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var runs atomic.Int64
		f.add("once", jobqueue.Policy{AtMostOnce: true}, func(context.Context, int) error {
			runs.Add(1)
			return nil
		})
		f.push("once", 1)
		f.faults.late = failing(jobqueue.ErrUnavailable, "settle")
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Minute)
		if runs.Load() != 0 {
			t.Error("it ran, want that it waits for the confirmation")
		}
		stop()
		res := <-done
		f.counted(res, runner.Counts{Unsettled: 1})
		if runs.Load() != 0 {
			t.Error("it ran after all")
		}
	})
	t.Run("later", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFarm(t)
			f.add("once", jobqueue.Policy{AtMostOnce: true}, sleep(0))
			f.push("once", 1)
			f.faults.set(failing(jobqueue.ErrUnavailable, "settle"))
			time.AfterFunc(5*time.Second, func() { f.faults.set(nil) })
			f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 1})
		})
	})
}

func TestMiddleware(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var ran atomic.Int64
		f.add("a", jobqueue.Policy{MaxTries: 1}, func(ctx context.Context, n int) error {
			ran.Add(1)
			return ctx.Value(t).(error)
		})
		f.push("a", 2)
		no := errors.New("no")
		res := f.run(t.Context(), runner.Options{Middleware: func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
			if job.(*call).N == 0 {
				panic("not for me")
			}
			if err := next(context.WithValue(ctx, t, no)); err != no {
				t.Errorf("next = %v, want %v", err, no)
			}
			return nil
		}})
		f.counted(res, runner.Counts{Done: 1, Failed: 1, Abandoned: 1})
		if ran.Load() != 1 {
			t.Errorf("%d ran, want 1", ran.Load())
		}
	})
}

// The context of a run ends with it and carries what the context of Run carries.
func TestContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var inner context.Context
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			inner = ctx
			if ctx.Value(t) != "value" || ctx.Err() != nil {
				t.Errorf("Value = %v, Err = %v, want value, nil", ctx.Value(t), ctx.Err())
			}
			if c := jobqueue.FromContext(ctx); c == nil || c.Type != "a" || c.Domain != "wiki" {
				t.Errorf("FromContext = %v, want the claim", c)
			}
			return nil
		})
		f.push("a", 1)
		f.run(context.WithValue(t.Context(), t, "value"), runner.Options{})
		if inner.Err() == nil {
			t.Error("the context is alive after the run")
		}
	})
}
