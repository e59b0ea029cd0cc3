package ondemand_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A faulty store is away, loses the answers to writes, takes none, answers late, or not at all.
type faulty struct {
	jobqueue.Control
	away, lose, refuse, silent atomic.Bool
	slow                       time.Duration // each way
	late                       atomic.Int64  // nanoseconds from a write to its answer
}

var errFaulty = errors.New("no answer")

func (f *faulty) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if f.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.away.Load() {
		return nil, errFaulty
	}
	time.Sleep(f.slow)
	defer time.Sleep(f.slow)
	return f.Control.Values(ctx, prefix)
}

func (f *faulty) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if f.away.Load() || f.refuse.Load() {
		return v, false, errFaulty
	}
	time.Sleep(f.slow)
	defer time.Sleep(f.slow)
	now, ok, err := f.Control.SetValue(ctx, v)
	if v.Version > 0 {
		time.Sleep(time.Duration(f.late.Load()))
		if f.lose.Load() {
			return v, false, errFaulty
		}
	}
	return now, ok, err
}

// crowded returns work that takes so long, and the most that were at it at once.
func crowded(takes time.Duration) (do func(context.Context, string) (int, error), most *atomic.Int64) {
	var at atomic.Int64
	most = &atomic.Int64{}
	return func(ctx context.Context, _ string) (int, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		select {
		case <-time.After(takes):
			return 1, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}, most
}

// Who has a lease and does not know it, as the answer was lost and the store away, begins when it hears so: nobody else does within
// the interval or beside it.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queuememory.New()
		c := &faulty{Control: m}
		do, most := crowded(20 * time.Second)
		a, b := newSite(t, c, do), newSite(t, m, do)
		c.lose.Store(true)
		a.Poke("wiki")
		synctest.Wait()
		c.lose.Store(false)
		c.away.Store(true)
		pause(50 * time.Second) // it is tried after 1, 3, 7, 15, 31 and 63 s
		c.away.Store(false)
		pause(14 * time.Second)
		b.Poke("wiki")
		pause(5 * time.Minute)
		a.began(t, 63*time.Second)
		b.began(t, 123*time.Second)
		all, err := b.leases.All(t.Context())
		if r := ondemand.Audit(all, lease.Rules{}); err != nil || most.Load() > 1 || r.Broken(lease.Rules{}) != nil {
			t.Errorf("%d ran at once; %v, %v", most.Load(), r, err)
		}
	})
}

// The life of a holder counts from when it asked, not from when it heard.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queuememory.New()
		c := &faulty{Control: m}
		c.late.Store(int64(9 * time.Second))
		do, most := crowded(2 * time.Minute)
		rules := func(o *ondemand.Options) { o.Leases.Rules = lease.Rules{Interval: 10 * time.Second} }
		a, b := newSite(t, c, do, rules), newSite(t, m, do, rules)
		a.Poke("wiki")
		pause(8 * time.Second)
		b.Poke("wiki")
		pause(time.Second + time.Millisecond)
		c.away.Store(true)
		pause(time.Minute)
		if most.Load() > 1 {
			t.Errorf("two at once: %v, %v", a.runs, b.runs)
		}
		c.away.Store(false)
		c.late.Store(0)
	})
}

// A run that was ended as the store was away for too long is followed by another.
func TestAwayInRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faulty{Control: queuememory.New()}
		do, _ := crowded(40 * time.Second)
		s := newSite(t, c, do)
		s.Poke("wiki")
		pause(time.Second)
		c.away.Store(true)
		pause(40 * time.Second)
		c.away.Store(false)
		pause(10 * time.Minute)
		if len(s.runs) != 2 || s.runs[1] > 2*time.Minute {
			t.Errorf("runs began at %v\n%s", s.runs, &s.log)
		}
	})
}

// That a run has ended is said again if the store does not take it.
func TestEndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faulty{Control: queuememory.New()}
		s := newSite(t, c, func(context.Context, string) (int, error) {
			c.refuse.Store(true)
			time.AfterFunc(2*time.Second, func() { c.refuse.Store(false) })
			return 3, nil
		})
		s.Poke("wiki")
		pause(time.Minute)
		if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || !r.Over || r.Outcome != "3 jobs" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A store that does not answer does not keep a process from its end.
func TestCloseSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faulty{Control: queuememory.New()}
		r := ondemand.New(ondemand.Options{Leases: &lease.Store{Control: c}})
		for range 2 {
			r.Poke("wiki")
			synctest.Wait()
		}
		c.silent.Store(true)
		begun := time.Now()
		if err := r.Close(context.Background()); err == nil || time.Since(begun) > 10*time.Second {
			t.Errorf("Close = %v, after %v", err, time.Since(begun))
		}
	})
}

// Work that ends its goroutine is work that died: the next run replaces it.
func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) {
			if n++; n == 1 {
				runtime.Goexit()
			}
			return 0, nil
		})
		for range 2 {
			s.Poke("wiki")
			pause(2 * time.Minute)
		}
		if n != 2 || s.Stats().Running != 0 {
			t.Errorf("%d runs, %+v", n, s.Stats())
		}
	})
}

// Signs of life move the beginning of a run a little, as each is on its way for a while. Nobody takes what was asked for after it for what
// was asked for before, and the audit does not take that for an overlap.
func TestDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &faulty{Control: queuememory.New(), slow: 20 * time.Millisecond}
		var runs atomic.Int64
		a := newSite(t, c, func(context.Context, string) (int, error) {
			runs.Add(1)
			time.Sleep(25 * time.Second)
			return 0, nil
		})
		b := newSite(t, c, nothing)
		for _, s := range []*site{a, a, b} {
			s.Poke("wiki")
			pause(time.Second)
		}
		for runs.Load() < 2 {
			pause(time.Millisecond)
		}
		pause(5 * time.Millisecond) // the second run of a has begun
		b.Poke("wiki")
		pause(5 * time.Minute)
		if len(b.runs) != 1 || b.runs[0] > 130*time.Second {
			t.Errorf("b ran at %v", b.runs)
		}
		long := newSite(t, c, func(context.Context, string) (int, error) { time.Sleep(30 * time.Minute); return 0, nil })
		for range 2 {
			long.Poke("long")
			pause(time.Second)
		}
		pause(31 * time.Minute)
		all, err := long.leases.All(t.Context())
		if broken := ondemand.Audit(all, lease.Rules{}).Broken(lease.Rules{}); err != nil || broken != nil {
			t.Errorf("%v, %v, of %+v", broken, err, all["long"].Past)
		}
		pause(time.Hour)
	})
}
