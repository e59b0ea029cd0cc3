package runner_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A job of an hour is claimed once, though another runner is idle and every call but the heartbeat hangs.
func TestHeartbeat(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string) error{
		"well":  nil,
		"hangs": hanging("pop", "settle", "ready"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var starts atomic.Int64
				f.add("long", jobqueue.Policy{Timeout: jobqueue.NoLimit}, func(ctx context.Context, n int) error {
					starts.Add(1)
					return sleep(time.Hour)(ctx, n)
				})
				f.push("long", 1)
				first := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour + time.Minute})
				time.Sleep(time.Second)
				f.faults.set(fault)
				time.AfterFunc(time.Hour, func() { f.faults.set(nil) })
				other := newFarm(t)
				other.group, other.reg = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: f.store}), f.reg
				second := other.goRun(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour + time.Minute})
				f.counted(<-first, runner.Counts{Done: 1})
				f.counted(<-second, runner.Counts{})
				if starts.Load() != 1 {
					t.Errorf("started %d times, want once", starts.Load())
				}
			})
		})
	}
}

// The jobs of a runner that died are claimed by another.
func TestDeadRunner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(time.Second))
		f.push("a", 3)
		dead := jobqueue.Lease{Token: [16]byte{1}, TTL: 10 * time.Second}
		if _, err := f.store.Pop(t.Context(), dead, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "a"}, Max: 3}); err != nil {
			t.Fatal(err)
		}
		var first atomic.Int64
		begin := time.Now()
		res := f.run(t.Context(), runner.Options{Wait: true, MaxTime: time.Minute, Workers: 3, OnStart: func(*jobqueue.Claim) { first.Store(int64(time.Since(begin))) }})
		f.counted(res, runner.Counts{Done: 3})
		if d := time.Duration(first.Load()); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("started after %v, want 10 to 12 s", d)
		}
	})
}

// A runner whose workers are all busy goes on having ended leases found.
func TestBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var starts sync.Map
		begin := time.Now()
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			starts.Store(n, time.Since(begin))
			return sleep(time.Minute)(ctx, n)
		})
		f.push("a", 2)
		dead := jobqueue.Lease{Token: [16]byte{1}, TTL: 10 * time.Second}
		claims, err := f.store.Pop(t.Context(), dead, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "a"}, Max: 1})
		if err != nil || len(claims) != 1 {
			t.Fatal(claims, err)
		}
		f.counted(f.run(t.Context(), runner.Options{Workers: 1}), runner.Counts{Done: 2})
		if at, _ := starts.Load(0); at.(time.Duration) > 61*time.Second {
			t.Errorf("started after %v, want as soon as the other was done", at)
		}
	})
}

func TestLostClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var cause atomic.Value
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			cause.Store(context.Cause(ctx))
			return nil
		})
		f.push("a", 1)
		var ended runner.Ended
		done := f.goRun(t.Context(), runner.Options{OnEnd: func(e runner.Ended) { ended = e }})
		time.Sleep(time.Second)
		if n, err := f.store.Delete(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed}}); n != 1 || err != nil {
			t.Fatalf("Delete = %d, %v, want 1", n, err)
		}
		res := <-done
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Lost: 1})
		if cause.Load() != jobqueue.ErrNotClaimed || !errors.Is(ended.Err, jobqueue.ErrNotClaimed) || ended.Action != 0 {
			t.Errorf("cause %v, %+v, want ErrNotClaimed", cause.Load(), ended)
		}
		if res.Elapsed > 4*time.Second {
			t.Errorf("noticed after %v, want a quarter of the lease", res.Elapsed)
		}
	})
}

// What has not started when its claim is lost does not start.
func TestLostUnstarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var last atomic.Int64
		f.add("a", jobqueue.Policy{Lease: time.Second}, func(ctx context.Context, n int) error {
			last.Store(int64(n))
			if n < 20 {
				return nil
			}
			return sleep(800*time.Millisecond)(ctx, n)
		})
		f.push("a", 40)
		done := f.goRun(t.Context(), runner.Options{Workers: 1})
		time.Sleep(100 * time.Millisecond)
		if n, err := f.store.Delete(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed}}); n != 20 || err != nil {
			t.Fatalf("Delete = %d, %v, want 20", n, err)
		}
		f.counted(<-done, runner.Counts{Done: 20, Lost: 20})
		if last.Load() != 20 {
			t.Errorf("job %d ran, want 20 to be the last", last.Load())
		}
	})
}

// A claim may be lost between the last beat and its settlement.
func TestLostAtSettle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(2*time.Second))
		f.push("a", 3)
		done := f.goRun(t.Context(), runner.Options{})
		time.Sleep(time.Second)
		id := ""
		for e := range f.store.List(t.Context(), jobqueue.Filter{Limit: 1}) {
			id = e.ID
		}
		if n, err := f.store.Delete(t.Context(), jobqueue.Filter{IDs: []string{id}, States: []jobqueue.State{jobqueue.Claimed}}); n != 1 || err != nil {
			t.Fatalf("Delete = %d, %v, want 1", n, err)
		}
		f.counted(<-done, runner.Counts{Done: 2, Lost: 1})
	})
}

// A store that is away for three leases causes no double run, and work goes on when it is back.
func TestStoreAway(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string) error{
		"refuses": failing(jobqueue.ErrUnavailable),
		"hangs":   hanging("pop", "settle", "ready", "extend", "maintain"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var starts, done [100]atomic.Int64
				f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
					starts[n].Add(1)
					if err := sleep(time.Duration(1+n%7)*10*time.Second)(ctx, n); err != nil {
						return err
					}
					done[n].Add(1)
					return nil
				})
				f.push("a", 100)
				o := runner.Options{Wait: true, MaxTime: 10 * time.Minute, Workers: 20}
				one, two := f.goRun(t.Context(), o), f.goRun(t.Context(), o)
				time.Sleep(15 * time.Second)
				f.faults.set(fault)
				time.Sleep(30 * time.Second)
				f.faults.set(nil)
				a, b := <-one, <-two
				if n := a.Counts.Done + b.Counts.Done; n != 100 || a.Counts.Lost+b.Counts.Lost > 0 {
					t.Errorf("%v; %v; want 100 done and none lost", a, b)
				}
				for n := range starts {
					if starts[n].Load() != 1 || done[n].Load() != 1 {
						t.Errorf("job %d started %d times and ended %d times, want once", n, starts[n].Load(), done[n].Load())
					}
				}
			})
		})
	}
}

// Results that cannot be recorded are kept, nothing is claimed meanwhile, and the same
// results are recorded later.
func TestSettleAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var runs atomic.Int64
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			runs.Add(1)
			return sleep(time.Second)(ctx, n)
		})
		f.push("a", 100)
		f.faults.set(failing(jobqueue.ErrUnavailable, "settle"))
		done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: 5 * time.Minute, Workers: 4})
		time.Sleep(10 * time.Second)
		pops := f.faults.calls("pop")
		time.Sleep(50 * time.Second)
		// As the first four end, four more may be claimed before the store is known to fail.
		n := int(runs.Load())
		if n > 8 || f.faults.calls("pop") != pops {
			t.Errorf("%d runs and %d more pops, want at most 8 and none", n, f.faults.calls("pop")-pops)
		}
		f.stored("a", 100-n, 0, n, 0)
		f.faults.set(nil)
		f.counted(<-done, runner.Counts{Done: 100})
		if runs.Load() != 100 {
			t.Errorf("%d runs, want 100", runs.Load())
		}
	})
}

// Answers that are lost on the way, of any call, change nothing.
func TestLostAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var runs, calls atomic.Int64
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			runs.Add(1)
			return nil
		})
		f.push("a", 2000)
		f.faults.late = func(context.Context, string) error {
			if calls.Add(1)%3 == 0 {
				return jobqueue.ErrUnavailable
			}
			return nil
		}
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 2000})
		if runs.Load() != 2000 {
			t.Errorf("%d runs, want 2000", runs.Load())
		}
	})
}

// A claim whose answer was lost is repeated until it comes, and does not wait for its lease to end.
func TestLostPop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		run := func(ctx context.Context, _ int) error {
			if c := jobqueue.FromContext(ctx); c.Expiries > 0 {
				t.Errorf("%d expiries, want none", c.Expiries)
			}
			return nil
		}
		f.add("a", jobqueue.Policy{}, run)
		f.add("b", jobqueue.Policy{Lease: 20 * time.Second}, run) // a call of its own
		f.faults.late = failing(jobqueue.ErrUnavailable, "pop")
		done := f.goRun(t.Context(), runner.Options{Workers: 8, Wait: true, MaxTime: 8 * time.Second})
		time.Sleep(2 * time.Second)
		f.push("a", 10)
		f.push("b", 10)
		time.Sleep(2 * time.Second)
		f.faults.mu.Lock()
		f.faults.late = nil
		f.faults.mu.Unlock()
		f.counted(<-done, runner.Counts{Done: 20})
	})
}

// At the end the runner says what could not be recorded.
func TestUnsettled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var all sync.WaitGroup
		all.Add(5)
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error {
			// One that ended before the others are claimed would keep them from it.
			all.Done()
			all.Wait()
			return nil
		})
		f.push("a", 5)
		f.faults.set(failing(jobqueue.ErrUnavailable, "settle"))
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Workers: 5, Grace: 20 * time.Second})
		time.Sleep(time.Minute)
		stop()
		res := <-done
		f.counted(res, runner.Counts{Unsettled: 5})
		if res.Elapsed != 80*time.Second {
			t.Errorf("elapsed %v, want the grace of 20 s after a minute", res.Elapsed)
		}
	})
}

// A result that the store refuses for good holds up no other.
func TestRefusedResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1}, func(_ context.Context, n int) error {
			if n == 17 {
				return errors.New("poison")
			}
			return nil
		})
		f.push("a", 100)
		f.faults.refuse = "poison"
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 99, Unsettled: 1})
	})
}

// Without a confirmed heartbeat for two thirds of a lease nothing more is started of its claims.
func TestStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var last atomic.Int64
		f.add("a", jobqueue.Policy{Lease: time.Second}, func(ctx context.Context, n int) error {
			if n == 20 {
				f.faults.set(failing(jobqueue.ErrUnavailable, "extend"))
				err := sleep(700*time.Millisecond)(ctx, n)
				f.faults.set(nil)
				return err
			}
			last.Store(int64(n))
			return nil
		})
		f.push("a", 40)
		done := f.goRun(t.Context(), runner.Options{Workers: 1})
		time.Sleep(690 * time.Millisecond)
		f.stored("a", 0, 0, 20, 0)
		if last.Load() != 19 {
			t.Errorf("job %d ran, want 19 to be the last so far", last.Load())
		}
		f.counted(<-done, runner.Counts{Done: 40, GivenBack: 19})
	})
}

// A store that is down is not asked all the time.
func TestDownQuiet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.push("a", 1)
		f.faults.set(failing(jobqueue.ErrUnavailable))
		done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: time.Hour + time.Minute})
		time.Sleep(time.Hour)
		if n := f.faults.calls("ready"); n < 600 || n > 1200 {
			t.Errorf("%d calls in an hour, want one every 3 to 6 s", n)
		}
		f.faults.set(nil)
		f.counted(<-done, runner.Counts{Done: 1})
	})
}

// An idle runner polls about once a second at most, and starts a job at once when it is told.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, func(r *jobqueue.Routes) {})
		f.add("a", jobqueue.Policy{}, sleep(0))
		for hints, most := range map[bool]time.Duration{true: 0, false: time.Second} {
			store := jobqueue.Backend(f.faults)
			if hints {
				store = waiting{f.faults, f.store}
			}
			f.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store})
			var started time.Time
			before := f.faults.calls("ready")
			done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: 2 * time.Hour, OnStart: func(*jobqueue.Claim) { started = time.Now() }})
			time.Sleep(time.Hour)
			if n := f.faults.calls("ready") - before; n > 7500 {
				t.Errorf("%d calls in an hour", n)
			}
			pushed := time.Now()
			f.push("a", 1)
			f.counted(<-done, runner.Counts{Done: 1})
			if d := started.Sub(pushed); d > most {
				t.Errorf("hints %v: started after %v, want %v", hints, d, most)
			}
		}
	})
}

// waiting is a faulty backend that hints at new work.
type waiting struct {
	*faults
	jobqueue.Waiter
}
