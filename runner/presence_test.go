package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A shared backend is a faulty one that also keeps what runners have in common.
type shared struct {
	*faults
	store *queuememory.Backend
}

// sharing gives a farm such a backend.
func sharing(r *jobqueue.Routes) {
	b := r.Default.(*faults)
	r.Default = &shared{b, b.Backend.(*queuememory.Backend)}
}

func (b *shared) Values(ctx context.Context, prefix string) (values []jobqueue.Value, err error) {
	err = b.do(ctx, "values", func() error {
		values, err = b.store.Values(ctx, prefix)
		return err
	})
	return values, err
}

func (b *shared) SetValue(ctx context.Context, v jobqueue.Value) (now jobqueue.Value, ok bool, err error) {
	err = b.do(ctx, "setvalue", func() error {
		now, ok, err = b.store.SetValue(ctx, v)
		return err
	})
	return now, ok, err
}

func (b *shared) Charge(ctx context.Context, charges ...jobqueue.Charge) (waits []time.Duration, err error) {
	err = b.do(ctx, "charge", func() error {
		waits, err = b.store.Charge(ctx, charges...)
		return err
	})
	return waits, err
}

// alive returns the runners, so many.
func (f *farm) alive(n int) []runner.Presence {
	f.Helper()
	all, err := runner.Runners(f.Context(), f.group)
	if err != nil || len(all) != n {
		f.Fatalf("Runners = %+v, %v, want %d", all, err, n)
	}
	return all
}

// That handlers are at fault, and that they work again, a runner says at once, and of many of them together.
func TestPresenceNews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var good atomic.Bool
		types := make([]string, 15)
		for i := range types {
			types[i] = fmt.Sprintf("t%d", i)
			f.add(types[i], jobqueue.Policy{}, func(context.Context, int) error {
				if good.Load() {
					return nil
				}
				return jobqueue.Fault(errors.New("away"))
			})
		}
		done := f.goRun(t.Context(), runner.Options{Wait: true, Workers: 4, Poll: 50 * time.Millisecond, MaxTime: 20 * time.Second})
		time.Sleep(11 * time.Second) // a second after it said so by itself
		before := f.faults.calls("setvalue")
		for _, typ := range types {
			f.push(typ, 1)
		}
		time.Sleep(400 * time.Millisecond)
		good.Store(true)
		if n := len(f.alive(1)[0].Faults); n != len(types) {
			t.Errorf("soon after the faults it says so of %d types, want %d", n, len(types))
		}
		if n := f.faults.calls("setvalue") - before; n < 1 || n > 2 {
			t.Errorf("it said so in %d calls, want one or two", n)
		}
		time.Sleep(2 * time.Second)
		if p := f.alive(1)[0]; len(p.Faults) > 0 {
			t.Errorf("faults are %v, want none when all is well again", p.Faults)
		}
		<-done
	})
}

// A running runner says what it is and does, until it ends.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing, func(r *jobqueue.Routes) { r.Exclude = []string{"rare"} })
		ended := make(chan struct{})
		hold := func(context.Context, int) error {
			<-ended
			return nil
		}
		f.add("work", jobqueue.Policy{}, hold)
		f.add("rare", jobqueue.Policy{}, hold)
		f.push("work", 3)
		begin := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{
			Workers: 2, Wait: true, Owner: "label", Label: func(c *jobqueue.Claim) string { return "main:" + c.ID }, Domains: func() []string { return []string{"wiki", "other"} },
		})
		other := f.goRun(ctx, runner.Options{Wait: true, Types: []string{"rare"}})
		time.Sleep(7 * time.Second)
		var p runner.Presence
		for _, q := range f.alive(2) {
			if q.Owner == "label" {
				p = q
			} else if !q.AllDomains || fmt.Sprint(q.Types) != "[rare]" || q.Busy != 0 || q.ID == p.ID {
				t.Errorf("the other runner says %+v", q)
			}
		}
		if p.ID == "" || p.PID != os.Getpid() || p.Host == "" || p.Version == "" || !p.Started.Equal(begin) || p.Workers != 2 {
			t.Errorf("the runner says %+v", p)
		}
		if fmt.Sprint(p.Types, p.TypeCount, p.Others, p.Domains, p.DomainCount, p.AllDomains) != "[work] 1 false [other wiki] 2 false" {
			t.Errorf("the runner says %+v of what it runs", p)
		}
		if p.Beat != 2*time.Second {
			t.Errorf("the last beat was %v ago, want 2s", p.Beat)
		}
		if p.Busy != 2 || len(p.Running) != 2 {
			t.Fatalf("the runner says that these run: %+v", p.Running)
		}
		if j := p.Running[0]; j.Domain != "wiki" || j.Type != "work" || !strings.HasPrefix(j.ID, "main:") || j.Attempt != 1 || j.Since.Sub(begin) > time.Second {
			t.Errorf("the runner says that this runs: %+v", j)
		}
		time.Sleep(time.Minute)
		f.alive(2)
		close(ended)
		synctest.Wait()
		stop()
		<-done
		<-other
		f.alive(0)
	})
}

// Runners say when they last got something done, and nothing while they do not.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		last := func(want time.Duration) {
			t.Helper()
			ago, ok, err := runner.Progress(t.Context(), f.group)
			if ago != want || !ok || err != nil {
				t.Errorf("Progress = %v, %v, %v, want %v", ago, ok, err, want)
			}
		}
		f.add("fails", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error { return errors.New("no") })
		f.add("away", jobqueue.Policy{}, func(context.Context, int) error { return jobqueue.Fault(errors.New("away")) })
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Minute)
		if ago, ok, err := runner.Progress(t.Context(), f.group); ok || err != nil {
			t.Errorf("before all else: Progress = %v, %v, %v, want none", ago, ok, err)
		}
		f.push("fails", 3)
		time.Sleep(6 * time.Second)
		last(time.Second)
		if n := f.alive(1)[0].Ended; n != 3 {
			t.Errorf("it says that %d runs ended, want 3", n)
		}
		f.push("away", 1)
		time.Sleep(time.Minute)
		last(61 * time.Second)
		f.push("fails", 1)
		time.Sleep(2 * time.Second)
		stop()
		<-done
		last(0)
		time.Sleep(time.Hour)
		last(time.Hour)
	})
}

// A type whose handler is at fault is named, until it works again.
func TestPresenceFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		var works atomic.Bool
		f.add("mail", jobqueue.Policy{}, func(context.Context, int) error {
			if works.Load() {
				return nil
			}
			return jobqueue.Fault(errors.New("no\nmailer" + strings.Repeat("!", 300)))
		})
		f.push("mail", 5)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(6 * time.Second)
		if reason := f.alive(1)[0].Faults["mail"]; !strings.HasPrefix(reason, `no\nmailer!!!`) || len(reason) != 200 {
			t.Errorf("the fault of mail is %q", reason)
		}
		works.Store(true)
		time.Sleep(2 * time.Minute)
		if faults := f.alive(1)[0].Faults; len(faults) > 0 {
			t.Errorf("the faults are %v, want none", faults)
		}
		stop()
		<-done
		f.stored("mail", 0, 0, 0, 0)
	})
}

// A runner that was killed counts for three beats.
func TestPresenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true})
		time.Sleep(time.Second)
		f.alive(1)
		f.faults.set(failing(jobqueue.ErrUnavailable, "setvalue"))
		time.Sleep(13 * time.Second)
		f.alive(1)
		time.Sleep(2 * time.Second)
		f.alive(0)
		f.faults.set(nil)
		time.Sleep(6 * time.Second)
		f.alive(1)
		stop()
		<-done
	})
}

// That it cannot say so stops no runner, and is told once.
func TestPresenceFails(t *testing.T) {
	for name, fault := range map[string]func(context.Context, string) error{
		"fails": failing(fmt.Errorf("%w: \x1baway", jobqueue.ErrUnavailable), "setvalue"),
		"hangs": hanging("setvalue"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFarm(t, sharing)
				f.faults.set(fault)
				f.add("work", jobqueue.Policy{}, func(context.Context, int) error {
					time.Sleep(time.Second)
					return nil
				})
				f.push("work", 60)
				var log bytes.Buffer
				res := f.run(t.Context(), runner.Options{Workers: 2, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				f.reached(res, runner.NoneReady)
				f.counted(res, runner.Counts{Done: 60})
				if res.Elapsed > 32*time.Second {
					t.Errorf("the run took %v, want 30 s and at most a second more", res.Elapsed)
				}
				if n := strings.Count(log.String(), "cannot say that it is alive"); n != 1 || strings.ContainsRune(log.String(), '\x1b') {
					t.Errorf("told %d times, want once: %s", n, log.String())
				}
			})
		})
	}
}

// Whatever a runner has to say fits into a value, and what is left out counts as covered.
func TestPresenceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		ctx, stop := context.WithCancel(t.Context())
		long := func(kind string, i int) string { return fmt.Sprintf("%s %d %s", kind, i, strings.Repeat("\u2028", 80)) }
		var domains, types []string
		for i := range 500 {
			domains, types = append(domains, long("domain", i)), append(types, long("type", i))
		}
		for _, typ := range types {
			f.add(typ, jobqueue.Policy{}, func(ctx context.Context, _ int) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
			f.pushOn(domains[0], typ, 1)
		}
		done := f.goRun(ctx, runner.Options{Workers: 200, Wait: true, Grace: -1, Domains: func() []string { return domains }})
		time.Sleep(6 * time.Second)
		p := f.alive(1)[0]
		if p.Busy != 200 || p.DomainCount != 500 || p.TypeCount != 500 || len(p.Running) == 0 || len(p.Domains) == 0 || len(p.Types) == 0 {
			t.Errorf("of %d jobs, %d domains and %d types it lists %d, %d and %d",
				p.Busy, p.DomainCount, p.TypeCount, len(p.Running), len(p.Domains), len(p.Types))
		}
		if !p.Covers(jobqueue.Name{Domain: domains[499], Type: types[499]}) {
			t.Error("what is cut off is not covered")
		}
		stop()
		<-done
	})
}

func TestCovers(t *testing.T) {
	some := runner.Presence{Types: []string{"a", "b"}, TypeCount: 2, Domains: []string{"x"}, DomainCount: 1}
	any := runner.Presence{Types: []string{"a"}, TypeCount: 1, Others: true, Except: []string{"rare"}, AllDomains: true}
	for _, test := range []struct {
		p           runner.Presence
		domain, typ string
		want        bool
	}{
		{some, "x", "a", true},
		{some, "x", "b", true},
		{some, "x", "c", false},
		{some, "y", "a", false},
		{any, "y", "a", true},
		{any, "y", "c", true},
		{any, "y", "rare", false},
		{runner.Presence{}, "x", "a", false},
	} {
		if got := test.p.Covers(jobqueue.Name{Domain: test.domain, Type: test.typ}); got != test.want {
			t.Errorf("%+v covers %s/%s: %v, want %v", test.p, test.domain, test.typ, got, test.want)
		}
	}
}

func TestRunnersUnsupported(t *testing.T) {
	group := newFarm(t).group
	if _, err := runner.Runners(t.Context(), group); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Runners = %v, want %v", err, errors.ErrUnsupported)
	}
	if _, _, err := runner.Progress(t.Context(), group); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Progress = %v, want %v", err, errors.ErrUnsupported)
	}
}

// All runners together maintain a store as often as one does, and at most one at a time.
func TestMaintenanceTurns(t *testing.T) {
	for _, runners := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			f := newFarm(t, sharing)
			var mu sync.Mutex
			var at []time.Time
			f.faults.set(func(_ context.Context, op string) error {
				if op == "maintain" {
					mu.Lock()
					defer mu.Unlock()
					at = append(at, time.Now())
				}
				return nil
			})
			ctx, stop := context.WithCancel(t.Context())
			var ended []<-chan *runner.Result
			for range runners {
				ended = append(ended, f.goRun(ctx, runner.Options{Wait: true}))
			}
			time.Sleep(10 * time.Minute)
			stop()
			for _, done := range ended {
				<-done
			}
			if n := len(at); n < 18 || n > 24 {
				t.Errorf("%d runners maintained the store %d times in ten minutes, want 18 to 24", runners, n)
			}
			for i := range at[1:] {
				if gap := at[i+1].Sub(at[i]); gap < 25*time.Second {
					t.Errorf("with %d runners, %v after another", runners, gap)
				}
			}
		})
	}
}
