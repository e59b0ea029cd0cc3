package federated_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A partition that is down is probed at once, left out from then on, and asked again when it is back.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		f[0].down()
		began := time.Now()
		for _, p := range c.push(uniques(90)...) {
			if p.ID[:3] == "q1:" {
				t.Fatalf("%s is at the partition that is down", p.ID)
			}
		}
		if passed := time.Since(began); passed != 0 {
			t.Errorf("a push waited for %v", passed)
		}
		calls := 0
		f[0].fail(func(op string) error {
			calls++
			return errDown
		})
		for range 100 {
			c.push(record(1))
			c.pop(1)
		}
		if calls > 0 {
			t.Errorf("the partition was called %d times while it was away", calls)
		}
		f[0].up()
		<-time.After(2 * time.Second)
		c.pop(1) // It is time for a probe.
		synctest.Wait()
		at := map[string]int{}
		for _, p := range c.push(uniques(1000)[100:]...) {
			at[p.ID[:2]]++
		}
		if at["q1"] < 200 {
			t.Errorf("the jobs went to %v, want a third of them to go to q1, which is back", at)
		}
	})
}

// Probes come after 1, 2, 4 seconds and so on, up to 30, give or take a quarter, if somebody calls; whoever fails again soon after
// begins where it ended.
func TestProbesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 2)
		f[0].down()
		next := func() time.Duration {
			t.Helper()
			before, began := f[0].probes.Load(), time.Now()
			for time.Since(began) < 2*time.Minute {
				c.pop(1)
				if synctest.Wait(); f[0].probes.Load() > before {
					return time.Since(began)
				}
				<-time.After(10 * time.Millisecond)
			}
			t.Fatal("no probe in two minutes")
			return 0
		}
		if d := next(); d != 0 {
			t.Fatalf("the first probe came after %v", d)
		}
		want := time.Second
		for range 8 {
			if d := next(); d < want*3/4 || d > want*5/4+20*time.Millisecond {
				t.Errorf("a probe came after %v, want about %v", d, want)
			}
			want = min(2*want, 30*time.Second)
		}
		<-time.After(time.Hour)
		if n := f[0].probes.Load(); n != 9 {
			t.Errorf("there were %d probes while nobody called, want none", n-9)
		}
		f[0].up()
		next()
		f[0].down()
		c.pop(1)
		if d := next(); d < 0 || d > 30*time.Second*5/4 {
			t.Errorf("a probe came after %v", d)
		}
		if d := next(); d < 20*time.Second {
			t.Errorf("a partition that was back for a moment is probed after %v, want about 30s", d)
		}
	})
}

// Whoever has claims at a partition finds out within two seconds that it is back, however long it was away.
func TestProbedForClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 2)
		claims := c.popAfter(uniques(10))
		at := slices.IndexFunc(claims, func(c *jobqueue.Claim) bool { return c.ID[:2] == "q1" })
		f[0].down()
		beat := func() error {
			<-time.After(100 * time.Millisecond)
			_, err := c.b.Extend(t.Context(), time.Hour, claims[at].Token)
			return err
		}
		for range 3000 {
			c.missing(beat(), "q1")
		}
		f[0].up()
		began := time.Now()
		for beat() != nil {
			if time.Since(began) > 2*time.Second {
				t.Fatal("the partition has been back for two seconds")
			}
		}
		f[0].down()
		for range 300 {
			beat()
		}
		f[0].up()
		began = time.Now()
		for {
			if _, err := c.b.Settle(t.Context(), done(claims[at])...); err == nil {
				break
			}
			if <-time.After(100 * time.Millisecond); time.Since(began) > 2*time.Second {
				t.Fatal("the partition has been back for two seconds")
			}
		}
	})
}

// A partition that does not answer is given up after half a second and a probe of another.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 3)
		c.push(uniques(30)...)
		f[0].hung.Store(true)
		began := time.Now()
		if claims := c.pop(30); len(claims) == 0 {
			t.Error("Pop handed out nothing")
		}
		c.push(uniques(300)[30:]...)
		if d := time.Since(began); d > time.Second {
			t.Errorf("Push and Pop waited for %v, want a second at most", d)
		}
		began = time.Now()
		c.push(uniques(600)[300:]...)
		c.pop(10)
		if d := time.Since(began); d > 0 {
			t.Errorf("the next calls waited for %v", d)
		}
	})
}

// A partition that is slow but answers probes may take its time.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 1)
		f[0].busy.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := c.b.Pop(ctx, lease(), jobqueue.Want{Name: name, Max: 1})
		if d := time.Since(began); d != time.Minute || !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Pop ended after %v with %v, want a minute, as the caller wished", d, err)
		}
		if f[0].probes.Load() < 100 {
			t.Errorf("%d probes in a minute, want two a second", f[0].probes.Load())
		}
		f[0].busy.Store(false)
		c.push(record(1))
	})
}

// That a caller has gone is no fault of a partition.
func TestCallerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 2)
		f[0].hung.Store(true)
		f[1].hung.Store(true)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := c.b.Pop(ctx, lease(), jobqueue.Want{Name: name, Max: 1}); !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Errorf("Pop = %v, want ErrUnavailable", err)
			}
			cancel()
		}
		f[0].hung.Store(false)
		f[1].hung.Store(false)
		c.push(uniques(20)...)
		if n := f[0].probes.Load() + f[1].probes.Load(); n > 0 {
			t.Errorf("%d probes, want none", n)
		}
	})
}

// A call that fails once is made again, under the same id, and nobody is left out because of it.
func TestFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 1)
		for _, err := range []error{errDown, queuetest.After(errDown)} {
			f[0].once("push", err)
			c.push(record(1))
			f[0].once("pop", err)
			claims := c.pop(10)
			if len(claims) != 1 {
				t.Fatalf("Pop = %d claims, want 1", len(claims))
			}
			f[0].once("settle", err)
			if lost, err := c.b.Settle(t.Context(), done(claims...)...); err != nil || len(lost) > 0 {
				t.Fatalf("Settle = %v, %v", lost, err)
			}
		}
	})
}

// Nothing is never the answer of nobody.
func TestAllDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := fakes(t, 2)
		claims := append(c.pop(1), c.popAfter(uniques(10))...)
		f[0].down()
		f[1].down()
		began := time.Now()
		for range 2 { // when it is found out, and when it is known
			for op, err := range c.everything(claims) {
				if !errors.Is(err, jobqueue.ErrUnavailable) {
					t.Errorf("%s = %v, want ErrUnavailable", op, err)
				}
			}
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("all that took %v", d)
		}
		_, err := c.b.Push(t.Context(), uuid.New(), uniques(3))
		want := "store is unavailable: no partition takes the jobs: q1: store is unavailable: connection refused; q2: store is unavailable: connection refused"
		if err == nil || err.Error() != want {
			t.Errorf("Push says %v, want %s", err, want)
		}
	})
}

// popAfter pushes records and pops them.
func (c *client) popAfter(records []jobqueue.Record) []*jobqueue.Claim {
	c.Helper()
	c.push(records...)
	claims := c.pop(len(records))
	if len(claims) != len(records) {
		c.Fatalf("Pop = %d claims, want %d", len(claims), len(records))
	}
	return claims
}

// everything calls every method and returns the errors.
func (c *client) everything(claims []*jobqueue.Claim) map[string]error {
	ctx, errs := c.Context(), map[string]error{}
	_, errs["push"] = c.b.Push(ctx, uuid.New(), uniques(3))
	_, errs["pop"] = c.b.Pop(ctx, lease(), jobqueue.Want{Name: name, Max: 1})
	_, errs["settle"] = c.b.Settle(ctx, done(claims...)...)
	_, errs["extend"] = c.b.Extend(ctx, time.Minute, claims[0].Token)
	_, errs["mark roots"] = c.b.MarkRoots(ctx, jobqueue.Mark{Name: name, Key: "k"})
	_, errs["counts"] = c.b.Counts(ctx)
	_, errs["delete"] = c.b.Delete(ctx, jobqueue.Filter{})
	_, errs["requeue"] = c.b.Requeue(ctx, jobqueue.Filter{})
	_, errs["maintain"] = c.b.Maintain(ctx)
	_, errs["values"] = c.b.Values(ctx, "never asked for before")
	_, _, errs["set value"] = c.b.SetValue(ctx, jobqueue.Value{Key: "k", Data: []byte("x")})
	_, errs["charge"] = c.b.Charge(ctx, jobqueue.Charge{Key: "k", Items: 1, PerSecond: 1})
	for _, err := range c.b.Ready(ctx) {
		errs["ready"] = err
	}
	for _, err := range c.b.List(ctx, jobqueue.Filter{}) {
		errs["list"] = err
	}
	if len(errs) != 14 {
		c.Errorf("%d calls have ended with an error or nothing, want 14", len(errs))
	}
	return errs
}

// A partition that is away when the farm starts is opened when it is there; one that never can be is an error.
func TestOpenedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newFake(), newFake()
		down := true
		closedAt := 0
		parts := []federated.Partition{
			{Name: "q1", Weight: 1, Backend: first},
			{Name: "q2", Weight: 1, Open: func(context.Context) (jobqueue.Backend, io.Closer, error) {
				if down {
					return nil, nil, errDown
				}
				return second, closer(func() error { closedAt++; return nil }), nil
			}},
		}
		b, err := federated.New(t.Context(), parts, &federated.Options{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t, b}
		c.push(uniques(20)...)
		c.holds(first, 20)
		_, err = b.Counts(t.Context())
		c.missing(err, "q2")
		down = false
		<-time.After(2 * time.Second)
		c.pop(1)
		synctest.Wait()
		c.push(uniques(40)[20:]...)
		if counts, err := second.store.Counts(t.Context(), name); err != nil || counts[0].Ready == 0 {
			t.Errorf("the partition that was opened later has %+v, %v", counts, err)
		}
		if err := b.Close(); err != nil || closedAt != 1 {
			t.Errorf("Close = %v, and the partition was closed %d times", err, closedAt)
		}
		for op, err := range c.everything([]*jobqueue.Claim{{ID: "q1:1"}}) {
			if !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Errorf("%s after Close = %v, want ErrUnavailable", op, err)
			}
		}
		odd := fmt.Errorf("%w: it needs a newer program", jobqueue.ErrInvalid)
		parts[1].Open = func(context.Context) (jobqueue.Backend, io.Closer, error) { return nil, nil, odd }
		if _, err := federated.New(t.Context(), parts, nil); !errors.Is(err, odd) {
			t.Errorf("New = %v, want %v", err, odd)
		}
	})
}

type closer func() error

func (c closer) Close() error { return c() }

// Without a partition that answers there is nothing to begin with.
func TestNoneOpens(t *testing.T) {
	parts := []federated.Partition{{Name: "q1", Weight: 1, Open: func(context.Context) (jobqueue.Backend, io.Closer, error) { return nil, nil, errDown }}}
	if _, err := federated.New(t.Context(), parts, &federated.Options{Logger: quiet}); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("New = %v, want ErrUnavailable", err)
	}
}
