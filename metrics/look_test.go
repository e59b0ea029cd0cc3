package metrics_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A moody store may be away, or not answer at all.
type moody struct {
	*queuememory.Backend
	looks atomic.Int64
	away  atomic.Bool
	torn  atomic.Bool   // Ready lacks a part
	deaf  chan struct{} // not nil: Ready waits for it, whatever its context says
}

func (b *moody) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	b.looks.Add(1)
	if b.deaf != nil {
		<-b.deaf
	}
	if b.away.Load() {
		return func(yield func(jobqueue.Backlog, error) bool) { yield(jobqueue.Backlog{}, jobqueue.ErrUnavailable) }
	}
	if b.torn.Load() {
		return func(yield func(jobqueue.Backlog, error) bool) {
			for q, err := range b.Backend.Ready(ctx, names...) {
				if !yield(q, err) {
					return
				}
			}
			yield(jobqueue.Backlog{}, &jobqueue.PartError{})
		}
	}
	return b.Backend.Ready(ctx, names...)
}

// What is read from the stores is as it is there.
func TestStoresAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{Types: []string{"a", "b", "c", "d"}, CountEvery: time.Second})
		store := &moody{Backend: queuememory.New()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Trace: m.Trace()})
		m.Watch(g, metrics.Store{Name: "main", Backend: store})
		push := func(typ, domain string) {
			if _, err := g.Push(t.Context(), jobqueue.Spec{Type: typ, Domain: domain}); err != nil {
				t.Fatal(err)
			}
		}
		push("a", "one")
		time.Sleep(time.Minute)
		push("a", "two")
		push("b", "one")
		push("c", "one")
		if err := g.Pause(t.Context(), jobqueue.Pause{Type: "b"}); err != nil {
			t.Fatal(err)
		}
		// A runner that waits, for type c alone.
		ctx, stop := context.WithCancel(t.Context())
		o := &runner.Options{Wait: true, Types: []string{"c"}, Workers: 3, Logger: quiet()}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runner.Run(ctx, g, registry("a", "b", "c"), o)
		}()
		time.Sleep(time.Minute)
		push("c", "two")
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "c", Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		got := values(t, m, "jobqueue_store_up", "jobqueue_oldest_ready_seconds", "jobqueue_ready_queues", "jobqueue_uncovered_queues",
			"jobqueue_paused_queues", "jobqueue_domain_oldest_ready_seconds", "jobqueue_domain_ready_queues", "jobqueue_stored_jobs", "jobqueue_domain_stored_jobs",
			"jobqueue_control_up", "jobqueue_runners", "jobqueue_workers", "jobqueue_workers_busy", "jobqueue_pauses")
		for key, want := range map[string]float64{
			"jobqueue_store_up main": 1, "jobqueue_control_up": 1, "jobqueue_runners": 1, "jobqueue_workers": 3, "jobqueue_workers_busy": 0, "jobqueue_pauses": 1,
			"jobqueue_oldest_ready_seconds main a": 121, "jobqueue_ready_queues main a": 2, "jobqueue_uncovered_queues main a": 2,
			"jobqueue_oldest_ready_seconds main b": 0, "jobqueue_ready_queues main b": 0, "jobqueue_paused_queues main": 1,
			"jobqueue_oldest_ready_seconds main c": 0, "jobqueue_ready_queues main c": 0, "jobqueue_uncovered_queues main c": 0,
			"jobqueue_domain_oldest_ready_seconds one main": 121, "jobqueue_domain_ready_queues two main": 1,
			"jobqueue_stored_jobs ready main a": 2, "jobqueue_stored_jobs ready main d": 0, "jobqueue_stored_jobs delayed main c": 1,
			"jobqueue_domain_stored_jobs one ready main": 2, "jobqueue_domain_stored_jobs two ready main": 1, "jobqueue_domain_stored_jobs wiki delayed main": 1,
		} {
			if v, ok := got[key]; !ok || v != want {
				t.Errorf("%s is %v (%t), want %v", key, v, ok, want)
			}
		}
		if idle := values(t, m, "jobqueue_progress_seconds")["jobqueue_progress_seconds"]; idle < 1 || idle > 121 {
			t.Errorf("runners got something done %v s ago", idle)
		}
		stop()
		<-ended
	})
}

// However often metrics are asked for, a store is looked at once in a while; one that is away is told so, and
// what it said last stays.
func TestLooksAreFewAndOutlastAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{Every: 10 * time.Second})
		store := &moody{Backend: queuememory.New()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Trace: m.Trace()})
		m.Watch(g)
		if err := g.Pause(t.Context(), jobqueue.Pause{Domain: "other"}); err != nil {
			t.Fatal(err)
		}
		g.Push(t.Context(), jobqueue.Spec{Type: "a"})
		for range 100 {
			values(t, m)
			time.Sleep(time.Second)
		}
		if n := store.looks.Load(); n < 9 || n > 11 {
			t.Errorf("%d looks in 100 s", n)
		}
		store.away.Store(true)
		time.Sleep(20 * time.Second)
		got := values(t, m, "jobqueue_store_up", "jobqueue_ready_queues", "jobqueue_store_seen_seconds")
		if got["jobqueue_store_up 0"] != 0 || got["jobqueue_ready_queues 0 a"] != 1 || got["jobqueue_store_seen_seconds 0"] < 20 {
			t.Errorf("while the store is away: %v", got)
		}
		if err := m.Ready(t.Context(), 0); !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("ready: %v", err)
		}
		store.away.Store(false)
		time.Sleep(20 * time.Second)
		if err := m.Ready(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

// A store of which a part is away is shown without it, says so, and is ready.
func TestAStoreWithAPartAwayIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		store := &moody{Backend: queuememory.New()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Trace: m.Trace()})
		m.Watch(g)
		g.Push(t.Context(), jobqueue.Spec{Type: "a"})
		names := []string{"jobqueue_store_up", "jobqueue_store_incomplete", "jobqueue_ready_queues"}
		if got := values(t, m, names...); got["jobqueue_store_incomplete 0"] != 0 || got["jobqueue_ready_queues 0 a"] != 1 {
			t.Errorf("whole: %v", got)
		}
		store.torn.Store(true)
		g.Push(t.Context(), jobqueue.Spec{Type: "a", Domain: "two"})
		time.Sleep(time.Minute)
		got := values(t, m, names...)
		if got["jobqueue_store_up 0"] != 1 || got["jobqueue_store_incomplete 0"] != 1 || got["jobqueue_ready_queues 0 a"] != 2 {
			t.Errorf("in part: %v", got)
		}
		if err := m.Ready(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

// A store that never answers holds nobody up for longer than a second, is asked once, and hides none of the others.
func TestDeafStoreHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{Types: []string{"b"}})
		deaf, fine := &moody{Backend: queuememory.New(), deaf: make(chan struct{})}, queuememory.New()
		defer close(deaf.deaf)
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: deaf, Types: map[string]jobqueue.Backend{"b": fine}, Trace: m.Trace()})
		m.Watch(g, metrics.Store{Name: "deaf", Backend: deaf}, metrics.Store{Name: "fine", Backend: fine})
		g.Push(t.Context(), jobqueue.Spec{Type: "b"})
		for range 20 {
			began := time.Now()
			got := values(t, m, "jobqueue_store_up", "jobqueue_ready_queues")
			if took := time.Since(began); took > time.Second {
				t.Fatalf("a scrape took %v", took)
			}
			if got["jobqueue_store_up deaf"] != 0 || got["jobqueue_store_up fine"] != 1 || got["jobqueue_ready_queues fine b"] != 1 {
				t.Fatal(got)
			}
			time.Sleep(5 * time.Second)
		}
		if n := deaf.looks.Load(); n != 1 {
			t.Errorf("asked %d times at once", n)
		}
		began := time.Now()
		if err := m.Ready(t.Context(), 0); err == nil || time.Since(began) > time.Second {
			t.Errorf("ready: %v, after %v", err, time.Since(began))
		}
	})
}

// The process is healthy as long as the loop of its runner moves, and ready while its stores answer, no job is
// too old and it does not stop.
func TestHealthAndReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{Every: time.Second})
		h := m.Handler()
		get := func(path string) (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			body, _ := io.ReadAll(w.Result().Body)
			return w.Code, string(body)
		}
		check := func(path string, code int, text string) {
			t.Helper()
			if c, body := get(path); c != code || !strings.Contains(body, text) {
				t.Errorf("%s: %d %s, want %d %s", path, c, body, code, text)
			}
		}
		check("/healthz", 200, "ok")
		check("/readyz", 503, "no store is watched yet")
		store := &moody{Backend: queuememory.New()}
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Trace: m.Trace()})
		m.Watch(g)
		check("/readyz", 200, "ok")

		ctx, stop := context.WithCancel(t.Context())
		o := &runner.Options{Wait: true, Types: []string{"c"}, Logger: quiet()}
		alive := 0
		o.Alive = func() { alive++ }
		m.Runner(o)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runner.Run(ctx, g, registry("c"), o)
		}()
		time.Sleep(time.Hour)
		check("/healthz", 200, "ok")
		g.Push(t.Context(), jobqueue.Spec{Type: "a"})
		time.Sleep(9 * time.Minute)
		check("/readyz", 200, "ok")
		time.Sleep(2 * time.Minute)
		check("/readyz", 503, "the oldest ready job has waited for 11m")
		check("/healthz", 200, "ok")
		stop()
		<-ended
		if alive == 0 {
			t.Error("the program's own hook was forgotten")
		}
		time.Sleep(3 * time.Minute)
		check("/healthz", 503, "no sign of life for 3m")
		m.Stopping()
		check("/healthz", 200, "ok")
		check("/readyz", 503, "stopping")
		check("/metrics", 200, "jobqueue_store_up")
	})
}

// When other stores are watched, what was asked of the earlier ones ends.
func TestNoLookOutlastsItsGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		store := &patient{Backend: queuememory.New(), ended: make(chan time.Time, 1)}
		m.Watch(jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store}))
		values(t, m)
		m.Watch(jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New()}))
		if now, ended := time.Now(), <-store.ended; ended.After(now) {
			t.Errorf("the look ended %v later", ended.Sub(now))
		}
	})
}

// A patient store waits until nobody wants its answer any more.
type patient struct {
	*queuememory.Backend
	ended chan time.Time
}

func (b *patient) Ready(ctx context.Context, _ ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	<-ctx.Done()
	b.ended <- time.Now()
	return func(yield func(jobqueue.Backlog, error) bool) { yield(jobqueue.Backlog{}, ctx.Err()) }
}
