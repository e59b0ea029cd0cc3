package runner_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// dangerous pushes jobs that must run alone, and has them ready after a delay.
func (f *farm) dangerous(typ string, n int, delay time.Duration) {
	f.Helper()
	f.push(typ, n)
	f.expire(typ, 2)
	l := jobqueue.Lease{Token: [16]byte{7}, TTL: time.Hour}
	claims, err := f.store.Pop(f.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: typ}, Max: n})
	if err != nil || len(claims) != n || !claims[0].Alone() {
		f.Fatalf("Pop = %v, %v, want %d jobs that must run alone", claims, err, n)
	}
	for _, c := range claims {
		if _, err := f.store.Settle(f.Context(), jobqueue.Outcome{Claim: c, Do: jobqueue.ActionGiveBack, Delay: delay}); err != nil {
			f.Fatal(err)
		}
	}
}

// counter returns a Run that counts.
func counter(n *atomic.Int64) func(context.Context, int) error {
	return func(context.Context, int) error {
		n.Add(1)
		return nil
	}
}

// While a job waits to be alone it is not claimed: whoever kills the process cannot be it.
func TestAloneUnclaimed(t *testing.T) {
	for what, rate := range map[string]float64{"a free type": 0, "a throttled type": 1} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var running, ran atomic.Int64
				f.add("long", jobqueue.Policy{}, sleep(5*time.Second))
				f.add("bad", jobqueue.Policy{Rate: rate}, func(ctx context.Context, n int) error {
					running.Add(1)
					defer running.Add(-1)
					f.held(1)
					ran.Add(1)
					return sleep(300*time.Millisecond)(ctx, n)
				})
				f.dangerous("bad", 3, time.Second)
				f.push("long", 2)
				done := f.goRun(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 30 * time.Second})
				time.Sleep(25 * time.Millisecond) // never when something ends
				for range 20 * 20 {
					time.Sleep(50 * time.Millisecond)
					c, err := f.store.Counts(t.Context(), jobqueue.Name{Domain: "wiki", Type: "bad"})
					if err != nil {
						t.Fatal(err)
					}
					if n := int(running.Load()); c[0].Claimed != n {
						t.Errorf("%d are claimed and %d run", c[0].Claimed, n)
						break
					}
				}
				if ran.Load() != 3 {
					t.Errorf("%d ran, want 3", ran.Load())
				}
				if res := <-done; res.Counts.Done != 5 || res.Counts.Lost > 0 {
					t.Errorf("%v, want 5 done", res)
				}
			})
		})
	}
}

// A job that waits to be alone and that another runner takes meanwhile, or somebody deletes, holds up nothing.
func TestAloneTaken(t *testing.T) {
	name := jobqueue.Name{Domain: "wiki", Type: "bad"}
	for what, take := range map[string]func(*farm, string) error{
		"claimed": func(f *farm, id string) error {
			l := jobqueue.Lease{Token: [16]byte{8}, TTL: time.Hour}
			claims, err := f.store.Pop(f.Context(), l, jobqueue.Want{Name: name, ID: id})
			if len(claims) != 1 {
				f.Errorf("Pop = %v, want the job that waits", claims)
			}
			return err
		},
		"deleted": func(f *farm, id string) error {
			n, err := f.store.Delete(f.Context(), jobqueue.Filter{IDs: []string{id}})
			if n != 1 {
				f.Errorf("%d deleted, want the job that waits", n)
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var bad, quick atomic.Int64
				f.add("long", jobqueue.Policy{}, sleep(5*time.Second))
				f.add("bad", jobqueue.Policy{}, counter(&bad))
				f.add("quick", jobqueue.Policy{}, counter(&quick))
				f.dangerous("bad", 1, time.Second)
				f.push("long", 1)
				done := f.goRun(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 30 * time.Second})
				time.Sleep(3 * time.Second)
				f.push("quick", 100)
				time.Sleep(time.Second)
				if quick.Load() > 0 {
					t.Error("jobs are claimed while one waits to be alone")
				}
				if err := take(f, f.entry("bad").ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if bad.Load() != 0 || quick.Load() != 100 {
					t.Errorf("%d and %d others ran, want 0 and 100", bad.Load(), quick.Load())
				}
				f.counted(<-done, runner.Counts{Done: 101, GivenBack: 1})
			})
		})
	}
}

// Where the answer to the claim of a job that may start gets lost, it starts later, and nothing is counted.
func TestAloneAnswerLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("long", jobqueue.Policy{}, sleep(5*time.Second))
		f.add("bad", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if c := jobqueue.FromContext(ctx); c.Expiries != 2 {
				t.Errorf("%d expiries, want 2", c.Expiries)
			}
			f.held(1)
			return sleep(time.Second)(ctx, n)
		})
		f.dangerous("bad", 1, time.Second)
		f.push("long", 1)
		done := f.goRun(t.Context(), runner.Options{Workers: 4})
		time.Sleep(3 * time.Second)
		f.faults.mu.Lock()
		f.faults.late = failing(jobqueue.ErrUnavailable, "pop")
		f.faults.mu.Unlock()
		time.Sleep(4 * time.Second)
		f.stored("bad", 0, 0, 1, 0) // claimed, and nobody knows
		f.faults.mu.Lock()
		f.faults.late = nil
		f.faults.mu.Unlock()
		f.counted(<-done, runner.Counts{Done: 2, GivenBack: 1})
	})
}

// Several runners share dangerous jobs and a stream of others: each job is alone where it runs, and all get done.
func TestAloneAmongRunners(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var bad, good atomic.Int64
		runners := make([]<-chan *runner.Result, 3)
		f.add("bad", jobqueue.Policy{}, sleep(0))
		f.dangerous("bad", 20, time.Second)
		for i := range runners {
			mine := *f
			mine.reg = &jobqueue.Registry{}
			var running atomic.Int64
			mine.add("bad", jobqueue.Policy{}, func(ctx context.Context, n int) error {
				defer running.Add(-1)
				if n := running.Add(1); n != 1 {
					t.Errorf("%d run beside it, want none", n-1)
				}
				if c := jobqueue.FromContext(ctx); c.Expiries != 2 || c.Failures != 0 {
					t.Errorf("%d expiries and %d failures, want 2 and 0", c.Expiries, c.Failures)
				}
				bad.Add(1)
				return sleep(100*time.Millisecond)(ctx, n)
			})
			mine.add("good", jobqueue.Policy{}, func(ctx context.Context, n int) error {
				running.Add(1)
				defer running.Add(-1)
				good.Add(1)
				return sleep(time.Duration(n%10)*100*time.Millisecond)(ctx, n)
			})
			runners[i] = mine.goRun(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 2 * time.Minute})
		}
		for range 60 {
			f.push("good", 10)
			time.Sleep(time.Second)
		}
		if bad.Load() != 20 || good.Load() < 500 {
			t.Errorf("%d ran alone and %d beside others, want 20 and nearly 600", bad.Load(), good.Load())
		}
		done, lost := 0, 0
		for _, r := range runners {
			res := <-r
			done, lost = done+res.Counts.Done, lost+res.Counts.Lost
		}
		if done != 620 || lost > 0 {
			t.Errorf("%d done and %d lost, want 620 and none", done, lost)
		}
	})
}

// Dangerous jobs keep their rate, and get their turns.
func TestThrottledDangerous(t *testing.T) {
	for what, tt := range map[string]struct {
		expiries, jobs int
		rate           float64
		most           time.Duration
	}{
		"suspects": {1, 20, 10, 2500 * time.Millisecond},
		"alone":    {2, 5, 1, 6 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				var last time.Time
				var ran atomic.Int64
				least := time.Duration(float64(time.Second) / tt.rate)
				f.add("a", jobqueue.Policy{Rate: tt.rate}, func(context.Context, int) error {
					if d := time.Since(last); d < least {
						t.Errorf("started %v after the one before, want %v at least", d, least)
					}
					last = time.Now()
					ran.Add(1)
					return nil
				})
				f.push("a", tt.jobs)
				f.expire("a", tt.expiries)
				done := f.goRun(t.Context(), runner.Options{Workers: 8, Wait: true, MaxTime: time.Minute})
				time.Sleep(tt.most)
				if n := int(ran.Load()); n != tt.jobs {
					t.Errorf("%d ran within %v, want %d", n, tt.most, tt.jobs)
				}
				if res := <-done; res.Counts.Done != tt.jobs || res.Counts.Lost > 0 {
					t.Errorf("%v, want %d done", res, tt.jobs)
				}
			})
		})
	}
}

// One that finds its turn taken once it is alone holds up nothing, and has another.
func TestAloneTurnTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var bad, quick atomic.Int64
		f.add("long", jobqueue.Policy{}, sleep(5*time.Second))
		f.add("bad", jobqueue.Policy{Rate: 1}, counter(&bad))
		f.add("quick", jobqueue.Policy{}, counter(&quick))
		f.dangerous("bad", 1, time.Second)
		f.push("long", 1)
		done := f.goRun(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 2 * time.Minute})
		time.Sleep(4 * time.Second)
		f.faults.set(func(_ context.Context, op string) error {
			if op == "charge" {
				f.faults.set(nil)
				_, err := f.store.Charge(t.Context(), jobqueue.Charge{Key: "bad@1", Items: 30, PerSecond: 1})
				return err
			}
			return nil
		})
		f.push("quick", 100)
		time.Sleep(10 * time.Second)
		if bad.Load() != 0 || quick.Load() != 100 {
			t.Errorf("%d and %d others ran, want 0 and 100", bad.Load(), quick.Load())
		}
		time.Sleep(time.Minute)
		if bad.Load() != 1 {
			t.Errorf("%d ran, want 1", bad.Load())
		}
		if res := <-done; res.Counts.Done != 102 || res.Counts.Lost > 0 {
			t.Errorf("%v, want 102 done", res)
		}
	})
}

// A stream of other jobs of the type does not keep suspects from their turns.
func TestSuspectsInStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var suspects atomic.Int64
		f.add("a", jobqueue.Policy{Rate: 10}, func(ctx context.Context, _ int) error {
			if jobqueue.FromContext(ctx).Suspect() {
				suspects.Add(1)
			}
			return nil
		})
		f.push("a", 20)
		f.expire("a", 1)
		f.push("a", 1000)
		res := f.run(t.Context(), runner.Options{Workers: 8, Wait: true, MaxTime: 105 * time.Second})
		if suspects.Load() != 20 || res.Counts.Done != 1020 {
			t.Errorf("%v, of them %d suspects, want 1020 done, 20 of them suspects", res, suspects.Load())
		}
	})
}

// Behind jobs that take long nothing waits to be alone for long, and other work goes on.
func TestAloneGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var bad, quick atomic.Int64
		f.add("long", jobqueue.Policy{Timeout: 2 * time.Hour}, sleep(time.Hour))
		f.add("bad", jobqueue.Policy{}, counter(&bad))
		f.add("quick", jobqueue.Policy{}, counter(&quick))
		f.dangerous("bad", 3, 15*time.Second)
		f.push("long", 1)
		done := f.goRun(t.Context(), runner.Options{Workers: 8, Wait: true, MaxTime: 3 * time.Hour})
		time.Sleep(20 * time.Second)
		begin, slow := time.Now(), 0
		for range 50 * 60 {
			f.push("quick", 1)
			time.Sleep(time.Second)
			if quick.Swap(0) == 0 {
				slow++
			}
		}
		if slow > 375 {
			t.Errorf("for %d of %v seconds nothing was run, want an eighth at most", slow, time.Since(begin).Seconds())
		}
		if bad.Load() != 0 {
			t.Error("it ran beside another")
		}
		res := <-done
		if bad.Load() != 3 || res.Counts.Lost > 0 {
			t.Errorf("%d ran alone, %v, want 3 when the long job was over", bad.Load(), res)
		}
	})
}

// A store that takes no results keeps no job of another store from being alone, nor what comes after it.
func TestAloneOtherStoreAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away := &faults{Backend: queuememory.New()}
		f := newFarm(t, func(r *jobqueue.Routes) { r.Types = map[string]jobqueue.Backend{"b": away} })
		var bad, quick atomic.Int64
		f.add("b", jobqueue.Policy{}, sleep(0))
		f.add("bad", jobqueue.Policy{}, counter(&bad))
		f.add("quick", jobqueue.Policy{}, counter(&quick))
		f.dangerous("bad", 1, 15*time.Second)
		f.push("b", 1)
		away.set(failing(jobqueue.ErrUnavailable, "settle"))
		done := f.goRun(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: time.Hour})
		time.Sleep(time.Minute)
		f.push("quick", 100)
		time.Sleep(10 * time.Second)
		if bad.Load() != 1 || quick.Load() != 100 {
			t.Errorf("%d ran alone and %d others, want 1 and 100", bad.Load(), quick.Load())
		}
		f.counted(<-done, runner.Counts{Done: 101, Unsettled: 1})
	})
}

// A run ends though results cannot be recorded, whatever waits for them.
func TestResultsRefused(t *testing.T) {
	for what, tt := range map[string]struct {
		policy   jobqueue.Policy
		expiries int
		workers  int
	}{
		"plain":                    {jobqueue.Policy{}, 0, 4},
		"at most once":             {jobqueue.Policy{AtMostOnce: true}, 0, 4},
		"at most once, one worker": {jobqueue.Policy{AtMostOnce: true}, 0, 1},
		"alone":                    {jobqueue.Policy{}, 2, 4},
		"alone, at most once":      {jobqueue.Policy{AtMostOnce: true}, 2, 4},
	} {
		for _, wait := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, waiting %v", what, wait), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFarm(t)
					f.add("a", tt.policy, sleep(0))
					f.push("a", 1)
					if tt.expiries > 0 {
						f.expire("a", tt.expiries)
					}
					f.faults.set(failing(jobqueue.ErrUnavailable, "settle"))
					o, want, most := runner.Options{Workers: tt.workers}, runner.Exception, time.Minute
					if wait {
						o.Wait, o.MaxTime, want, most = true, time.Hour, runner.TimeLimit, time.Hour+31*time.Second
					}
					res := f.run(t.Context(), o)
					f.reached(res, want)
					f.counted(res, runner.Counts{Unsettled: 1})
					if res.Elapsed > most {
						t.Errorf("ended after %v, want %v at most", res.Elapsed, most)
					}
				})
			})
		}
	}
}
