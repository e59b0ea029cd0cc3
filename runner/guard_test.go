package runner_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// odd is a job whose methods do what they are told.
type odd struct{ items, decode func() }

func (*odd) Type() string                   { return "odd" }
func (*odd) Run(context.Context) error      { return nil }
func (o *odd) WorkItems() int               { o.items(); return 1 }
func (o *odd) UnmarshalJSON(p []byte) error { o.decode(); return nil }
func (*odd) MarshalJSON() ([]byte, error)   { return []byte("{}"), nil }

// vain is an error that panics.
type vain struct{ text string }

func (v *vain) Error() string { return v.text }

// ends are ways not to return.
var ends = map[string]func(){
	"panic":  func() { panic("oh dear") },
	"goexit": runtime.Goexit,
}

// each runs a test for each way not to return.
func each(t *testing.T, test func(t *testing.T, end func())) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { test(t, end) })
		})
	}
}

// Whatever of a job's code does not return, the job has failed, and the workers go on.
func TestForeignCodeFails(t *testing.T) {
	for what, rate := range map[string]float64{"a free type": 0, "a throttled type": 1000} {
		t.Run(what, func(t *testing.T) {
			each(t, func(t *testing.T, end func()) {
				f := newFarm(t)
				var armed atomic.Bool
				f.reg.Add(func() jobqueue.Job {
					return &odd{items: end, decode: func() {
						if armed.Load() && rate == 0 {
							end()
						}
					}}
				}, jobqueue.Policy{MaxTries: 1, Rate: rate})
				f.add("good", jobqueue.Policy{}, sleep(time.Millisecond))
				f.push("odd", 5)
				f.push("good", 20)
				armed.Store(true)
				res := f.run(t.Context(), runner.Options{Workers: 2})
				f.reached(res, runner.NoneReady)
				f.counted(res, runner.Counts{Done: 20, Failed: 5, Abandoned: 5})
			})
		})
	}
}

// A middleware or an OnStart that does not return fails the job.
func TestHooksFail(t *testing.T) {
	each(t, func(t *testing.T, end func()) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1}, sleep(0))
		f.push("a", 3)
		f.counted(f.run(t.Context(), runner.Options{OnStart: func(*jobqueue.Claim) { end() }}), runner.Counts{Failed: 3, Abandoned: 3})
		f.push("a", 3)
		middleware := func(context.Context, jobqueue.Job, func(context.Context) error) error {
			end()
			return nil
		}
		f.counted(f.run(t.Context(), runner.Options{Middleware: middleware}), runner.Counts{Failed: 3, Abandoned: 3})
	})
}

// An OnEnd that does not return changes nothing, also for jobs settled before they ran or given up.
func TestOnEndFails(t *testing.T) {
	each(t, func(t *testing.T, end func()) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.add("once", jobqueue.Policy{AtMostOnce: true}, sleep(0))
		f.add("deaf", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
			time.Sleep(15 * time.Second)
			return nil
		})
		f.push("a", 5)
		f.push("once", 5)
		f.push("deaf", 1)
		res := f.run(t.Context(), runner.Options{Workers: 2, OnEnd: func(runner.Ended) { end() }})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 10, Failed: 1, Abandoned: 1})
		time.Sleep(time.Minute)
	})
}

// An error that cannot be printed is a failure like any other.
func TestErrorPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error {
			var v *vain
			return v
		})
		f.push("a", 1)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Failed: 1, Abandoned: 1})
		if e := f.entry("a"); !strings.Contains(e.LastError, "guard_test.go") {
			t.Errorf("LastError = %q, want where it panics", e.LastError)
		}
	})
}

// A back-off that does not return is a failure too, which is retried by the default policy.
func TestBackoffFails(t *testing.T) {
	each(t, func(t *testing.T, end func()) {
		f := newFarm(t)
		policy := jobqueue.Policy{Backoff: func(int) time.Duration {
			end()
			return 0
		}}
		f.add("a", policy, func(context.Context, int) error { return errors.New("no") })
		policy.Timeout = time.Second
		f.add("deaf", policy, func(context.Context, int) error {
			time.Sleep(15 * time.Second)
			return nil
		})
		f.push("a", 3)
		f.counted(f.run(t.Context(), runner.Options{Workers: 2}), runner.Counts{Failed: 3, Retried: 3})
		f.push("deaf", 1)
		f.counted(f.run(t.Context(), runner.Options{Types: []string{"deaf"}}), runner.Counts{Failed: 1, Retried: 1})
		time.Sleep(time.Minute)
	})
}

// Jobs that ignored their time limit and returned are not stuck.
func TestStuckReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("slow", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(_ context.Context, n int) error {
			time.Sleep(12 * time.Second)
			if n == 5 {
				time.Sleep(time.Hour)
			}
			return nil
		})
		f.push("slow", 20)
		res := f.run(t.Context(), runner.Options{Workers: 5, Wait: true, MaxTime: 5 * time.Minute})
		f.counted(res, runner.Counts{Failed: 20, Abandoned: 20})
		if len(res.Stuck) != 1 || string(res.Stuck[0].Params) != `{"n":5}` {
			t.Errorf("Stuck = %v, want number 5 alone", res.Stuck)
		}
		time.Sleep(time.Hour)
	})
}

// A job that is settled before it runs and left running at the end has failed: it does not run again.
func TestAtMostOnceLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		free := make(chan struct{})
		f.add("once", jobqueue.Policy{AtMostOnce: true}, func(context.Context, int) error {
			<-free
			return nil
		})
		f.push("once", 1)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		log := &plain{}
		res := f.run(ctx, runner.Options{Grace: time.Second, Logger: slog.New(log)})
		f.counted(res, runner.Counts{Failed: 1})
		if len(res.Stuck) != 1 || strings.Contains(log.b.String(), "run again") {
			t.Errorf("Stuck = %v, log %q, want one that does not run again", res.Stuck, log.b.String())
		}
		close(free)
	})
}
