package runner_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// Jobs whose claim ran out before are claimed for free workers alone.
func TestSuspects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if jobqueue.FromContext(ctx).Suspect() {
				return sleep(10*time.Second)(ctx, n)
			}
			return nil
		})
		f.push("a", 50)
		f.expire("a", 1)
		f.push("a", 50) // behind the suspects
		done := f.goRun(t.Context(), runner.Options{Workers: 4})
		time.Sleep(5 * time.Second)
		f.stored("a", 96, 0, 4, 0)
		f.counted(<-done, runner.Counts{Done: 100})
	})
}

// Suspects that turn up where more was asked for are given back at once, uncounted.
func TestSuspectsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if jobqueue.FromContext(ctx).Suspect() {
				return sleep(10*time.Second)(ctx, n)
			}
			return nil
		})
		f.push("a", 50)
		f.expire("a", 1)
		// First a lot of quick jobs, then the suspects, which go to the back when given back.
		f.push("a", 500)
		l := jobqueue.Lease{Token: [16]byte{7}, TTL: time.Hour}
		claims, err := f.store.Pop(t.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "a"}, Max: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range claims {
			if _, err := f.store.Settle(t.Context(), jobqueue.Outcome{Claim: c, Do: jobqueue.ActionGiveBack}); err != nil || !c.Suspect() {
				t.Fatalf("Settle = %v of %+v", err, c)
			}
		}
		done := f.goRun(t.Context(), runner.Options{Workers: 4})
		time.Sleep(5 * time.Second)
		f.held(4)
		res := <-done
		if res.Counts.Done != 550 || res.Counts.GivenBack == 0 || res.Counts.Failed > 0 {
			t.Errorf("%v, want 550 done and some given back", res)
		}
	})
}

// From the second expiry on a job runs with nothing else in the process, and with nothing else in hand.
func TestAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var running, ran atomic.Int64
		run := func(ctx context.Context, n int) error {
			running.Add(1)
			defer running.Add(-1)
			if !jobqueue.FromContext(ctx).Alone() {
				return sleep(time.Duration(n%3)*time.Second)(ctx, n)
			}
			ran.Add(1)
			for range 10 {
				f.held(1)
				if n := running.Load(); n != 1 {
					t.Errorf("%d jobs run beside it, want none", n-1)
				}
				if err := sleep(time.Second)(ctx, n); err != nil {
					return err
				}
			}
			return nil
		}
		f.add("bad", jobqueue.Policy{}, run)
		f.add("good", jobqueue.Policy{}, run)
		f.push("bad", 3)
		f.expire("bad", 2)
		f.push("good", 60)
		f.push("bad", 20)
		res := f.run(t.Context(), runner.Options{Workers: 4})
		f.reached(res, runner.NoneReady)
		if ran.Load() != 3 || res.Counts.Done != 83 || res.Counts.Lost > 0 {
			t.Errorf("%d ran alone, %v, want 3 and 83 done", ran.Load(), res)
		}
	})
}

// held fails the test unless so many jobs are claimed.
func (f *farm) held(want int) {
	f.Helper()
	counts, err := f.store.Counts(f.Context())
	if err != nil {
		f.Error(err)
	}
	n := 0
	for _, c := range counts {
		n += c.Claimed
	}
	if n != want {
		f.Errorf("%d jobs are claimed, want %d", n, want)
	}
}

// Where a job cannot be alone, as another never ends, it is left to other runners.
func TestNotAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		free := make(chan struct{})
		f.add("deaf", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(context.Context, int) error {
			<-free
			return nil
		})
		var ran atomic.Int64
		f.add("bad", jobqueue.Policy{}, func(context.Context, int) error {
			ran.Add(1)
			return nil
		})
		f.push("bad", 1)
		f.expire("bad", 2)
		l := jobqueue.Lease{Token: [16]byte{7}, TTL: time.Hour}
		claims, err := f.store.Pop(t.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "bad"}, Max: 1})
		if err != nil || len(claims) != 1 || !claims[0].Alone() {
			t.Fatalf("Pop = %v, %v, want a job that must run alone", claims, err)
		}
		if _, err := f.store.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionGiveBack, Delay: 15 * time.Second}); err != nil {
			t.Fatal(err)
		}
		f.push("deaf", 1)
		done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: 2 * time.Minute})
		time.Sleep(time.Minute)
		if ran.Load() != 0 {
			t.Error("it ran beside another")
		}
		f.held(0)
		close(free)
		res := <-done
		if ran.Load() != 1 || res.Counts.Done != 1 || res.Counts.GivenBack < 3 || res.Counts.GivenBack > 6 {
			t.Errorf("%d ran, %v, want one in the end, given back every ten seconds before", ran.Load(), res)
		}
	})
}

// A job that runs alone and ends its claim again and again is abandoned.
func TestExhausted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("bad", jobqueue.Policy{MaxTries: 1}, sleep(0))
		f.push("bad", 1)
		f.expire("bad", 3)
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Abandoned: 1})
		f.stored("bad", 0, 0, 0, 1)
	})
}

// Jobs that were claimed ahead do not wait for long behind slow ones of their type.
func TestStall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			if n == 100 || n == 101 {
				return sleep(time.Minute)(ctx, n)
			}
			return nil
		})
		f.push("a", 300)
		done := f.goRun(t.Context(), runner.Options{Workers: 2})
		time.Sleep(500 * time.Millisecond)
		f.stored("a", 0, 0, 200, 0)
		time.Sleep(30 * time.Second)
		f.stored("a", 198, 0, 2, 0)
		f.counted(<-done, runner.Counts{Done: 300, GivenBack: 198})
	})
}

// No domain starves, whatever another pushes.
func TestDomainsTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		var order []string
		run := func(ctx context.Context, n int) error {
			order = append(order, jobqueue.FromContext(ctx).Domain)
			return sleep(time.Second)(ctx, n)
		}
		f.add("a", jobqueue.Policy{}, run)
		f.add("b", jobqueue.Policy{}, run)
		f.pushOn("big", "a", 500)
		f.pushOn("big", "b", 500)
		f.pushOn("small", "a", 5)
		f.pushOn("tiny", "b", 2)
		f.reached(f.run(t.Context(), runner.Options{Workers: 1, MaxJobs: 20}), runner.JobLimit)
		got := map[string]int{}
		for _, d := range order {
			got[d]++
		}
		if diff := cmp.Diff(map[string]int{"big": 13, "small": 5, "tiny": 2}, got); diff != "" {
			t.Errorf("of 20 runs (-want +got):\n%s", diff)
		}
	})
}

func TestDomains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.pushOn("x", "a", 3)
		f.pushOn("y", "a", 4)
		only := func(domains ...string) runner.Options {
			return runner.Options{Domains: func() []string { return domains }}
		}
		f.counted(f.run(t.Context(), only()), runner.Counts{})
		f.counted(f.run(t.Context(), only("x", "z")), runner.Counts{Done: 3})
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 4})
	})
}

// One backend in trouble does not hold up the others.
func TestOtherBackend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away := newFarm(t)
		away.faults.set(hanging("pop", "settle", "ready", "extend", "maintain"))
		f := newFarm(t, func(r *jobqueue.Routes) { r.Types = map[string]jobqueue.Backend{"a": away.faults} })
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.add("b", jobqueue.Policy{Lease: 2 * time.Second}, sleep(time.Second))
		f.add("c", jobqueue.Policy{}, sleep(time.Second))
		f.push("a", 1)
		f.push("b", 200)
		f.push("c", 200)
		res := f.run(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: 200 * time.Second})
		f.counted(res, runner.Counts{Done: 400})
	})
}

// Bounds of what is claimed and has not started.
func TestPrefetch(t *testing.T) {
	for took, most := range map[time.Duration]int{
		time.Microsecond:       1000 + 4,
		50 * time.Millisecond:  4*5 + 4,
		time.Second:            4,
		300 * time.Millisecond: 4,
	} {
		t.Run(took.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t)
				peak := 0
				var mu sync.Mutex
				f.add("a", jobqueue.Policy{}, func(ctx context.Context, n int) error {
					c, err := f.store.Counts(ctx, jobqueue.Name{Domain: "wiki", Type: "a"})
					if err != nil {
						return err
					}
					mu.Lock()
					// Those done and not settled are claimed as well.
					peak = max(peak, c[0].Claimed)
					mu.Unlock()
					return sleep(took)(ctx, n)
				})
				f.push("a", 3000)
				f.counted(f.run(t.Context(), runner.Options{Workers: 4}), runner.Counts{Done: 3000})
				if took > time.Millisecond && peak > most+4 {
					t.Errorf("%d in hand, want at most %d", peak, most)
				}
				if took == time.Microsecond && (peak < 500 || peak > 4000) {
					t.Errorf("%d in hand, want hundreds", peak)
				}
			})
		})
	}
}

// The next jobs are claimed while half of the last are left, also if those were some more as workers were
// idle, and though nothing is settled meanwhile.
func TestPrefetchWhileHalfIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const few, many, workers = 101, 3000, 16
		var ran, claims atomic.Int64
		var before [2]int64 // how many had run before each of the first claims of the many
		claimed := make(chan struct{})
		f := newFarm(t)
		f.faults.set(func(ctx context.Context, op string) error {
			switch {
			case op == "pop" && ran.Load() >= few:
				if n := claims.Add(1); n <= 2 {
					before[n-1] = ran.Load()
					if n == 2 {
						close(claimed)
					}
				}
			case op == "settle" && claims.Load() > 0:
				<-claimed
			}
			return nil
		})
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error { // so that the others are known to be quick
			if ran.Add(1) == few {
				f.push("a", many)
			}
			time.Sleep(time.Microsecond)
			return nil
		})
		f.push("a", few)
		f.counted(f.run(t.Context(), runner.Options{Workers: workers}), runner.Counts{Done: few + many})
		if left := before[0] + 1000 + workers - before[1]; left < 400 {
			t.Errorf("claimed again with %d jobs left, want about 500", left)
		}
	})
}

// What a job says cannot forge a line in the log, even where a handler does not escape.
func TestLogIsNotForged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error {
			return fmt.Errorf("one\ntwo\x1b[2J\u202e")
		})
		f.pushOn("wiki \u2028x", "a", 1)
		h := &plain{}
		f.run(t.Context(), runner.Options{Logger: slog.New(h)})
		if h.b.Len() == 0 || strings.ContainsFunc(h.b.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("log is %q, want it printable", h.b.String())
		}
	})
}

// plain is a handler that escapes nothing.
type plain struct {
	mu sync.Mutex
	b  strings.Builder
}

func (*plain) Enabled(context.Context, slog.Level) bool { return true }
func (h *plain) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h *plain) WithGroup(string) slog.Handler          { return h }

func (h *plain) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		h.b.WriteString(a.Value.String())
		return true
	})
	return nil
}

func TestResultString(t *testing.T) {
	r := &runner.Result{
		Reached: runner.Exception,
		Counts:  runner.Counts{Done: 3, Failed: 2, Retried: 1, Abandoned: 1},
		Elapsed: 1500 * time.Millisecond,
		Err:     fmt.Errorf("no\nroute"),
	}
	if got, want := r.String(), `3 done, 2 failed, 1 retried, 1 abandoned in 1.5s: exception: no\nroute`; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}
