package runner_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A claim that was lost is reported once, however long its job goes on.
func TestLossLoggedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("deaf", jobqueue.Policy{}, func(context.Context, int) error {
			time.Sleep(10 * time.Minute)
			return nil
		})
		f.push("deaf", 1)
		time.AfterFunc(time.Second, func() {
			if n, err := f.store.Delete(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed}}); n != 1 || err != nil {
				t.Errorf("Delete = %d, %v, want 1", n, err)
			}
		})
		log := &plain{}
		f.counted(f.run(t.Context(), runner.Options{Workers: 1, Logger: slog.New(log)}), runner.Counts{Lost: 1})
		if n := strings.Count(log.b.String(), "claim lost"); n != 1 {
			t.Errorf("the loss was logged %d times, want once:\n%s", n, log.b.String())
		}
	})
}

// A heartbeat that comes too late for a claim that is being settled is no loss.
func TestSettledIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(2600*time.Millisecond))
		f.push("a", 1)
		f.faults.set(func(_ context.Context, op string) error {
			if op == "extend" { // at 2.5 s
				time.Sleep(500 * time.Millisecond)
			}
			return nil
		})
		f.faults.late = func(_ context.Context, op string) error {
			if op == "settle" {
				time.Sleep(time.Second)
			}
			return nil
		}
		log := &plain{}
		res := f.run(t.Context(), runner.Options{Workers: 1, Wait: true, MaxTime: 10 * time.Second, Logger: slog.New(log)})
		f.counted(res, runner.Counts{Done: 1})
		if f.faults.calls("extend") == 0 || strings.Contains(log.b.String(), "lost") {
			t.Errorf("after %d heartbeats the log is %q, want nothing of a loss", f.faults.calls("extend"), log.b.String())
		}
	})
}

// An owner is a label: who comes after a killed runner of that name waits for its leases as anybody does.
func TestSameOwner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(0))
		f.push("a", 3)
		l := jobqueue.Lease{Token: [16]byte{7}, TTL: time.Minute, Owner: "host:1"}
		claims, err := f.store.Pop(t.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "a"}, Max: 2})
		if err != nil || len(claims) != 2 {
			t.Fatalf("Pop = %v, %v, want two jobs", claims, err)
		}
		f.counted(f.run(t.Context(), runner.Options{Owner: l.Owner}), runner.Counts{Done: 1})
		f.stored("a", 0, 0, 2, 0)
	})
}

// A lease of less than a second is one of a second: jobs do not go to and fro.
func TestShortLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{Lease: time.Millisecond}, sleep(10*time.Millisecond))
		f.push("a", 100)
		f.faults.set(func(context.Context, string) error {
			time.Sleep(5 * time.Millisecond)
			return nil
		})
		f.counted(f.run(t.Context(), runner.Options{}), runner.Counts{Done: 100})
	})
}

// At the time limit a context, and what is made of it, says that its deadline is exceeded.
func TestDeadlineExceeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("slow", jobqueue.Policy{MaxTries: 1, Timeout: time.Second}, func(ctx context.Context, _ int) error {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			for _, c := range []context.Context{ctx, child} {
				if c.Err() != context.DeadlineExceeded || context.Cause(c) != runner.ErrTimeout {
					t.Errorf("Err = %v, Cause = %v, want DeadlineExceeded and ErrTimeout", c.Err(), context.Cause(c))
				}
			}
			return ctx.Err()
		})
		f.add("stopped", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			if ctx.Err() != context.Canceled || context.Cause(ctx) != runner.ErrStopped {
				t.Errorf("Err = %v, Cause = %v, want Canceled and ErrStopped", ctx.Err(), context.Cause(ctx))
			}
			return ctx.Err()
		})
		f.push("slow", 1)
		f.push("stopped", 1)
		abort := make(chan struct{})
		time.AfterFunc(5*time.Second, func() { close(abort) })
		f.counted(f.run(t.Context(), runner.Options{Abort: abort}), runner.Counts{Failed: 1, Abandoned: 1, GivenBack: 1})
	})
}

// An uneven store hands out all jobs but the first with little of their lease left, as the parts of one may that is asked
// again. It does so once.
type uneven struct {
	jobqueue.Backend
	done atomic.Bool
}

func (u *uneven) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	claims, err := u.Backend.Pop(ctx, l, wants...)
	if len(claims) > 0 && u.done.CompareAndSwap(false, true) {
		for _, c := range claims[1:] {
			c.Expires = c.Expires.Add(time.Second - l.TTL)
		}
	}
	return claims, err
}

// A job of which two thirds of the lease are over is not started before it is extended, whatever the lease of the first one
// that came with it.
func TestUneven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: &uneven{Backend: f.faults}, Policy: f.reg.Policy})
		f.add("a", jobqueue.Policy{Lease: 9 * time.Second}, func(ctx context.Context, _ int) error {
			if left := time.Until(jobqueue.FromContext(ctx).Expires); left < 3*time.Second {
				t.Errorf("started %v before the end of its lease", left)
			}
			return nil
		})
		f.push("a", 4)
		if res := f.run(t.Context(), runner.Options{Workers: 4}); res.Counts.Done != 4 {
			t.Errorf("counts are %+v, want 4 done", res.Counts)
		}
	})
}
