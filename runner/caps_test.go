package runner_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A gauge counts how many jobs run at once, by a key.
type gauge struct {
	mu       sync.Mutex
	now, top map[string]int
	ran      map[string]int
	last     map[string]time.Time // when one started
}

func newGauge() *gauge {
	return &gauge{now: map[string]int{}, top: map[string]int{}, ran: map[string]int{}, last: map[string]time.Time{}}
}

func (g *gauge) add(key string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[key] += n
	g.top[key] = max(g.top[key], g.now[key])
	if n > 0 {
		g.ran[key]++
		g.last[key] = time.Now()
	}
}

// read returns how many ran at once at most, and in all.
func (g *gauge) read() (top, ran map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.top), maps.Clone(g.ran)
}

// run runs for a while, which differs from job to job.
func (g *gauge) run(typ string, each time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		domain := jobqueue.FromContext(ctx).Domain
		g.add(typ, 1)
		g.add(domain, 1)
		time.Sleep(each/2 + each*time.Duration(n%10)/9)
		g.add(typ, -1)
		g.add(domain, -1)
		return nil
	}
}

// Never do more jobs of a capped type or domain run in the farm than the cap says, and it is used up.
func TestCaps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		g := newGauge()
		f.add("capped", jobqueue.Policy{}, g.run("capped", 100*time.Millisecond))
		f.add("free", jobqueue.Policy{}, g.run("free", 20*time.Millisecond))
		f.push("capped", 500)
		for i := range 20 {
			f.pushOn(fmt.Sprint("wiki", i), "free", 100)
		}
		f.pushOn("small", "free", 300)
		caps := runner.Caps{Types: map[string]int{"capped": 5}, Domains: map[string]int{"small": 2, "wiki": 100}, Domain: 3}
		ctx, stop := context.WithCancel(t.Context())
		var ended []<-chan *runner.Result
		for range 4 {
			ended = append(ended, f.goRun(ctx, runner.Options{Workers: 8, Wait: true, Caps: caps}))
		}
		begin := time.Now()
		time.Sleep(time.Minute)
		stop()
		for _, done := range ended {
			<-done
		}
		if g.top["capped"] != 5 || g.top["small"] != 2 {
			t.Errorf("%d capped jobs ran at once, want 5; %d of small, want 2", g.top["capped"], g.top["small"])
		}
		for i := range 20 {
			if d := fmt.Sprint("wiki", i); g.top[d] > 3 || g.ran[d] != 100 {
				t.Errorf("%d jobs of %s ran, %d at once; want 100 and 3", g.ran[d], d, g.top[d])
			}
		}
		// 500 jobs of 100 ms by five are 10 s.
		if took := g.last["capped"].Sub(begin); g.ran["capped"] != 500 || took > 13*time.Second {
			t.Errorf("%d capped jobs ran, the last after %v; want 500 in 10s", g.ran["capped"], took)
		}
		t.Logf("capped jobs took %v, %d claims, %d values set, %d read", g.last["capped"].Sub(begin),
			f.faults.calls("pop"), f.faults.calls("setvalue"), f.faults.calls("values"))
	})
}

// What a runner had that died is free again a while later, and nothing is kept by those that ended.
func TestCapsOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		g := newGauge()
		f.add("capped", jobqueue.Policy{}, g.run("capped", 100*time.Millisecond))
		f.push("capped", 10)
		v := jobqueue.Value{Key: "cap/dead", Data: []byte(`{"types":{"capped":2}}`), TTL: 15 * time.Second, Version: jobqueue.AnyVersion}
		if _, _, err := f.store.SetValue(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		o := runner.Options{Workers: 8, Caps: runner.Caps{Types: map[string]int{"capped": 2}}}
		f.reached(f.run(t.Context(), o), runner.Throttled)
		if g.ran["capped"] > 0 {
			t.Errorf("%d capped jobs ran", g.ran["capped"])
		}
		o.Wait, o.MaxJobs = true, 10
		begin := time.Now()
		f.counted(f.run(t.Context(), o), runner.Counts{Done: 10})
		if took := time.Since(begin); took > 17*time.Second || g.top["capped"] != 2 {
			t.Errorf("they took %v, %d at once", took, g.top["capped"])
		}
		values, err := f.store.Values(t.Context(), "cap/")
		if err != nil || len(values) > 0 {
			t.Errorf("after the end there are %v, %v", values, err)
		}
	})
}

// While it is not known what others have, nothing capped starts, and all else goes on.
func TestCapsFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		g := newGauge()
		f.add("capped", jobqueue.Policy{}, g.run("capped", 50*time.Millisecond))
		f.add("free", jobqueue.Policy{}, g.run("free", 50*time.Millisecond))
		f.push("capped", 20)
		f.push("free", 20)
		f.faults.set(failing(jobqueue.ErrUnavailable, "setvalue"))
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Caps: runner.Caps{Types: map[string]int{"capped": 2}}})
		time.Sleep(20 * time.Second)
		if _, ran := g.read(); ran["capped"] > 0 || ran["free"] != 20 {
			t.Errorf("%v ran, want 20 free ones", ran)
		}
		f.faults.set(nil)
		time.Sleep(10 * time.Second)
		if top, ran := g.read(); ran["capped"] != 20 || top["capped"] != 2 {
			t.Errorf("after that %v ran, %v at once", ran, top)
		}
		stop()
		<-done
	})
}

// Groups have workers of their own, and what they list as low leaves the rest nine tenths.
func TestGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		g := newGauge()
		for typ, each := range map[string]time.Duration{"a": 10, "low": 10, "upload": 500, "nobody": 1} {
			f.add(typ, jobqueue.Policy{}, g.run(typ, each*time.Millisecond))
			f.push(typ, 4000)
		}
		groups := []schedule.Group{
			{Name: "upload", Workers: 2, Include: []string{"upload"}},
			{Name: "basic", Workers: 4, Include: []string{"*"}, Exclude: []string{"nobody"}, Low: []string{"low", "upload"}},
		}
		f.counted(f.run(t.Context(), runner.Options{Groups: groups, Types: []string{"nobody"}, MaxJobs: 5}), runner.Counts{Done: 5})
		clear(g.ran)
		res := f.run(t.Context(), runner.Options{Groups: groups, MaxTime: 9 * time.Second})
		f.reached(res, runner.TimeLimit)
		if g.top["upload"] != 2 || g.top["wiki"] != 6 || g.ran["nobody"] > 0 {
			t.Errorf("at once %v, ran %v; want two upload, six in all, and of nobody none", g.top, g.ran)
		}
		if part := float64(g.ran["low"]) / float64(g.ran["low"]+g.ran["a"]); part < 0.07 || part > 0.13 || g.ran["a"] < 2000 {
			t.Errorf("%.3f of the jobs were low ones, want 0.1; ran %v", part, g.ran)
		}
	})
}

// With fewer workers than the groups together have, each group gets its part of them.
func TestGroupsOfFewWorkers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		g := newGauge()
		for _, typ := range []string{"video", "a"} {
			f.add(typ, jobqueue.Policy{}, g.run(typ, 100*time.Millisecond))
			f.push(typ, 4000)
		}
		groups := []schedule.Group{
			{Name: "video", Workers: 2, Include: []string{"video"}}, {Name: "basic", Workers: 14, Include: []string{"*"}},
		}
		f.reached(f.run(t.Context(), runner.Options{Groups: groups, Workers: 4, MaxTime: time.Minute}), runner.TimeLimit)
		if part := float64(g.ran["video"]) / float64(g.ran["video"]+g.ran["a"]); part < 0.10 || part > 0.15 || g.top["wiki"] != 4 {
			t.Errorf("%.3f of the jobs were videos, want 1/8; %v ran, %v at once", part, g.ran, g.top)
		}
	})
}

// A runner says that it runs the types of its groups, and no others.
func TestPresenceOfGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, sharing)
		for _, typ := range []string{"a", "b", "c"} {
			f.add(typ, jobqueue.Policy{}, sleep(0))
		}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, runner.Options{Wait: true, Groups: []schedule.Group{{Workers: 3, Include: []string{"a", "c"}, Exclude: []string{"c"}}}})
		time.Sleep(time.Second)
		if p := f.alive(1)[0]; fmt.Sprint(p.Types, p.Others, p.Except, p.Workers) != "[a] false [c] 3" {
			t.Errorf("the runner says %+v", p)
		}
		stop()
		<-done
	})
}

// Reserved workers are there for what is more urgent.
func TestReserved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, direct)
		g := newGauge()
		classes := map[string]int{"urgent": 0, "normal": 1, "low": 2}
		for typ := range classes {
			f.add(typ, jobqueue.Policy{}, g.run(typ, time.Second))
		}
		o := runner.Options{Workers: 10, Wait: true, Reserved: []int{3, 2}, Plan: schedule.Plan{
			Shares: []float64{6, 3, 1}, Class: func(typ string) int { return classes[typ] },
		}}
		ctx, stop := context.WithCancel(t.Context())
		done := f.goRun(ctx, o)
		f.push("low", 100)
		time.Sleep(5 * time.Second)
		f.push("normal", 100)
		time.Sleep(5 * time.Second)
		if top, _ := g.read(); top["low"] != 5 || top["normal"] > 7 || top["wiki"] != 7 {
			t.Errorf("at once %v, want five low ones, and seven in all", top)
		}
		begin := time.Now()
		f.push("urgent", 3)
		time.Sleep(time.Second)
		stop()
		<-done
		if g.ran["urgent"] != 3 || g.last["urgent"].Sub(begin) > 50*time.Millisecond {
			t.Errorf("%d urgent jobs started, the last after %v", g.ran["urgent"], g.last["urgent"].Sub(begin))
		}
	})
}
