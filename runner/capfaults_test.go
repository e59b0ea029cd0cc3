package runner_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// blind is a Control that cannot read what runners announced under caps while it is told so, or takes
// its time to keep it.
type blind struct {
	jobqueue.Control
	dark, slow atomic.Bool
}

func (b *blind) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if b.dark.Load() && strings.HasPrefix(prefix, "cap/") {
		return nil, fmt.Errorf("%w: dark", jobqueue.ErrUnavailable)
	}
	return b.Control.Values(ctx, prefix)
}

func (b *blind) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if b.slow.Load() && strings.HasPrefix(v.Key, "cap/") {
		<-ctx.Done()
		return jobqueue.Value{}, false, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, ctx.Err())
	}
	return b.Control.SetValue(ctx, v)
}

// blinded returns a farm with such a Control.
func blinded(t *testing.T) (f *farm, b *blind) {
	b = &blind{}
	f = newFarm(t, sharing, func(r *jobqueue.Routes) {
		b.Control = r.Default.(jobqueue.Control)
		r.Control = b
	})
	return f, b
}

// A runner that has announced jobs, but does not know what others have, runs none of them.
func TestCapsBlind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, b := blinded(t)
		g := newGauge()
		f.add("capped", jobqueue.Policy{}, g.run("capped", 100*time.Millisecond))
		f.push("capped", 20)
		v := jobqueue.Value{Key: "cap/other", Data: []byte(`{"types":{"capped":2}}`), Version: jobqueue.AnyVersion}
		if _, _, err := f.store.SetValue(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		b.dark.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Caps: runner.Caps{Types: map[string]int{"capped": 2}}})
		time.Sleep(20 * time.Second)
		if _, ran := g.read(); ran["capped"] > 0 {
			t.Errorf("%d capped jobs ran beside those of another runner", ran["capped"])
		}
		b.dark.Store(false)
		v.Data = nil
		if _, _, err := f.store.SetValue(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		stop()
		<-done
		if g.ran["capped"] != 20 || g.top["capped"] != 2 {
			t.Errorf("after that %d capped jobs ran, %d at once; want 20 and 2", g.ran["capped"], g.top["capped"])
		}
	})
}

// A Control that does not answer keeps only those waiting that have a cap.
func TestCapsSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, b := blinded(t)
		g := newGauge()
		f.add("capped", jobqueue.Policy{}, g.run("capped", 10*time.Millisecond))
		f.add("free", jobqueue.Policy{}, g.run("free", 300*time.Millisecond))
		for i := range 20 {
			f.pushOn(fmt.Sprint("wiki", i), "capped", 10)
		}
		f.pushOn("other", "free", 400)
		b.slow.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Caps: runner.Caps{Types: map[string]int{"capped": 4}}})
		time.Sleep(30 * time.Second)
		// The workers could do 400 of them.
		if _, ran := g.read(); ran["capped"] > 0 || ran["free"] < 240 {
			t.Errorf("%v ran, want no capped ones, and 240 free ones at least", ran)
		}
		b.slow.Store(false)
		time.Sleep(30 * time.Second)
		stop()
		<-done
		if g.ran["capped"] != 200 || g.ran["free"] != 400 {
			t.Errorf("after that %v ran", g.ran)
		}
	})
}

// A run that does not wait says so when it ends before capped jobs.
func TestCapsFailAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, b := blinded(t)
		f.add("capped", jobqueue.Policy{}, sleep(0))
		f.push("capped", 3)
		b.dark.Store(true)
		f.reached(f.run(t.Context(), runner.Options{Caps: runner.Caps{Domain: 2}}), runner.Throttled)
		f.stored("capped", 3, 0, 0, 0)
	})
}

// There may be more domains with a cap than can be announced in one value.
func TestCapsOfMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		f.add("a", jobqueue.Policy{}, sleep(time.Millisecond))
		const domains, name = 1500, "a-name-that-needs-some-room-as-it-says-so-very-much-of-all-that-is-there-"
		for i := range domains {
			f.pushOn(fmt.Sprint(name, i), "a", 2)
		}
		res := f.run(t.Context(), runner.Options{Workers: 100, Caps: runner.Caps{Domain: 5}})
		f.counted(res, runner.Counts{Done: 2 * domains})
	})
}
