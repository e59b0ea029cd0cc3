package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wikifarm/jobqueue/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A host runs a set until the test ends it.
type host struct {
	*testing.T
	service.Set
	options service.Options
	begin   time.Time
	stop    func() error // ends it, and returns its error
}

func (h *host) run() {
	if h.options.Logger == nil {
		h.options.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	ctx, cancel := context.WithCancel(h.Context())
	done := make(chan error, 1)
	h.begin = time.Now()
	go func() { done <- h.Set.Run(ctx, h.options) }()
	h.stop = func() error {
		cancel()
		return <-done
	}
	h.Cleanup(func() { cancel() })
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(h *host)) {
	synctest.Test(t, func(t *testing.T) { test(&host{T: t}) })
}

// stopped ends the set, which must go well.
func (h *host) stopped() {
	h.Helper()
	if err := h.stop(); err != nil {
		h.Error(err)
	}
}

// state returns the state of a service.
func (h *host) state(name, domain string) service.State {
	h.Helper()
	for _, st := range h.States() {
		if st.Name == name && st.Domain == domain {
			return st
		}
	}
	h.Fatalf("there is no %s on %q", name, domain)
	return service.State{}
}

// wait goes on until ctx ends.
func wait(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A service that fails, in whatever way, is called again, later each time; the one beside it goes on.
func TestServiceIsRestarted(t *testing.T) {
	bubble(t, func(h *host) {
		var calls []time.Time
		h.Add(service.Service{Name: "flaky", Run: func(context.Context, string) error {
			calls = append(calls, time.Now())
			switch len(calls) % 3 {
			case 0:
				panic("boom")
			case 1:
				runtime.Goexit()
			}
			return errors.New("peer away")
		}})
		h.Add(service.Service{Name: "steady", Run: wait})
		h.run()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i, least := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			got, most := calls[i+1].Sub(calls[i]), least*time.Second
			if got > most || got < most*2/3 {
				t.Errorf("after failure %d it waits %v, want two thirds of %v to all of it", i+1, got, most)
			}
		}
		if st := h.state("steady", ""); st.Status != service.Running || st.Calls != 1 || !st.Since.Equal(h.begin) {
			t.Errorf("the other one is %+v", st)
		}
		st := h.state("flaky", "")
		if st.Status != service.Waiting || st.Calls != len(calls) || st.Failures != len(calls) || st.Error == "" ||
			!st.Next.After(time.Now()) || !st.FailedAt.Equal(calls[len(calls)-1]) {
			t.Errorf("it is %+v after %d calls", st, len(calls))
		}
		h.stopped()
	})
}

// What went on for a minute has the first, short wait again.
func TestBackoffEndsWithHealth(t *testing.T) {
	bubble(t, func(h *host) {
		var calls, ends []time.Time
		h.Add(service.Service{Name: "s", Run: func(ctx context.Context, _ string) error {
			calls = append(calls, time.Now())
			if len(calls) == 8 {
				time.Sleep(61 * time.Second)
			}
			ends = append(ends, time.Now())
			return errors.New("bad")
		}})
		h.run()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if before, after := calls[7].Sub(ends[6]), calls[8].Sub(ends[7]); before < 30*time.Second || after > time.Second {
			t.Errorf("it waited %v before, and %v after it was healthy", before, after)
		}
		h.stopped()
	})
}

// Where it panicked is told, and the same failure once.
func TestFailureIsLoggedOnce(t *testing.T) {
	bubble(t, func(h *host) {
		var log bytes.Buffer
		h.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		h.Add(service.Service{Name: "s", Run: func(context.Context, string) error { panic("boom\n") }})
		h.run()
		time.Sleep(10 * time.Minute)
		h.stopped()
		if n := strings.Count(log.String(), "service failed"); n != 1 || !strings.Contains(log.String(), "set_test.go:") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}

// A service that returns nil is over.
func TestServiceIsOver(t *testing.T) {
	bubble(t, func(h *host) {
		h.Add(service.Service{Name: "s", Run: func(context.Context, string) error { return nil }})
		h.run()
		time.Sleep(time.Hour)
		if st := h.state("s", ""); st.Status != service.Over || st.Calls != 1 || st.Failures != 0 {
			t.Errorf("it is %+v", st)
		}
		h.stopped()
	})
}

// Domains are a list that changes.
type domains struct {
	mu   sync.Mutex
	list []string
}

func (d *domains) set(list ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = list
}

func (d *domains) get() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list
}

// Each domain has a service of its own, which comes and goes with it and fails for itself.
func TestServicePerDomain(t *testing.T) {
	bubble(t, func(h *host) {
		d := &domains{}
		d.set("a", "b")
		h.options.Domains = d.get
		var mu sync.Mutex
		causes, running := map[string]error{}, map[string]int{}
		h.Add(service.Service{Name: "s", PerDomain: true, Run: func(ctx context.Context, domain string) error {
			mu.Lock()
			if running[domain]++; running[domain] > 1 {
				t.Errorf("there are two for %s", domain)
			}
			mu.Unlock()
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				running[domain]--
			}()
			if domain == "b" {
				return errors.New("bad")
			}
			<-ctx.Done()
			mu.Lock()
			causes[domain] = context.Cause(ctx)
			mu.Unlock()
			time.Sleep(10 * time.Second) // It takes its time.
			return nil
		}})
		h.run()
		time.Sleep(20 * time.Second)
		if a, b := h.state("s", "a"), h.state("s", "b"); a.Status != service.Running || a.Calls != 1 || b.Failures < 3 {
			t.Errorf("they are %+v and %+v", a, b)
		}
		d.set("b", "c")
		time.Sleep(2 * time.Second)
		if a, c := h.state("s", "a"), h.state("s", "c"); a.Status != service.Ending || c.Status != service.Running {
			t.Errorf("they are %+v and %+v", a, c)
		}
		mu.Lock()
		if err := causes["a"]; !errors.Is(err, service.ErrGone) {
			t.Errorf("a has ended because of %v", err)
		}
		mu.Unlock()
		// One that comes back does so when what there was has ended.
		d.set("a", "c")
		time.Sleep(5 * time.Second)
		if a := h.state("s", "a"); a.Status != service.Ending {
			t.Errorf("a is %+v", a)
		}
		time.Sleep(5 * time.Second)
		if a := h.state("s", "a"); a.Status != service.Running || a.Calls != 1 {
			t.Errorf("a is %+v", a)
		}
		if n := len(h.States()); n != 2 {
			t.Errorf("there are %d", n)
		}
		d.set()
		time.Sleep(15 * time.Second)
		if n := len(h.States()); n != 0 {
			t.Errorf("there are %d, though there is no domain", n)
		}
		h.stopped()
	})
}

// A tick comes at its time: neither twice at once, nor twice for one that was missed.
func TestTicks(t *testing.T) {
	bubble(t, func(h *host) {
		var begins, ends []time.Time
		h.Add(service.Service{Name: "s", Every: time.Minute, Run: func(context.Context, string) error {
			begins = append(begins, time.Now())
			if len(begins) == 3 {
				time.Sleep(5*time.Minute + 30*time.Second)
			}
			ends = append(ends, time.Now())
			if len(begins) == 10 {
				panic("boom")
			}
			return nil
		}})
		h.run()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if first := begins[0].Sub(h.begin); first > time.Minute+6*time.Second {
			t.Errorf("the first one comes after %v", first)
		}
		for i := 1; i < len(begins); i++ {
			gap := begins[i].Sub(begins[i-1])
			switch {
			case begins[i].Before(ends[i-1]):
				t.Errorf("call %d begins before the one before it has ended", i)
			case i == 3:
				if gap < 5*time.Minute+30*time.Second || gap > 6*time.Minute+6*time.Second {
					t.Errorf("after the long one the next comes after %v", gap)
				}
			case gap < 54*time.Second || gap > 66*time.Second:
				t.Errorf("call %d comes %v after the one before it", i, gap)
			}
		}
		if n := len(begins); n < 23 || n > 26 {
			t.Errorf("%d calls, want those of the minutes but the five that were missed", n)
		}
		if st := h.state("s", ""); st.Failures != 1 || st.Calls != len(begins) || !strings.Contains(st.Error, "panic: boom") {
			t.Errorf("it is %+v", st)
		}
		h.stopped()
	})
}

// At the end services have the grace; those that go on are named.
func TestGrace(t *testing.T) {
	bubble(t, func(h *host) {
		h.options.Grace = 5 * time.Second
		free := make(chan struct{})
		h.Add(service.Service{Name: "slow", Run: func(ctx context.Context, _ string) error {
			<-ctx.Done()
			time.Sleep(4 * time.Second)
			return nil
		}})
		h.Add(service.Service{Name: "deaf", Run: func(context.Context, string) error {
			<-free
			return nil
		}})
		h.run()
		time.Sleep(time.Second)
		at := time.Now()
		err := h.stop()
		if err == nil || err.Error() != "services ignore the end of their context: deaf" || time.Since(at) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(at))
		}
		close(free)
	})
}

// Without anything that says which domains there are nothing runs that is for each, and the log says so.
func TestNoDomains(t *testing.T) {
	bubble(t, func(h *host) {
		var log bytes.Buffer
		h.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		h.Add(service.Service{Name: "s", PerDomain: true, Run: wait})
		h.run()
		time.Sleep(time.Minute)
		if n := len(h.States()); n != 0 || strings.Count(log.String(), "nothing says which there are") != 1 {
			t.Errorf("%d services, log:\n%s", n, log.String())
		}
		h.stopped()
	})
}

func TestAddPanics(t *testing.T) {
	run := func(context.Context, string) error { return nil }
	bad := []service.Service{{Run: run}, {Name: "a"}, {Name: "a", Run: run, Every: -1}, {Name: "taken", Run: run}}
	if i := slices.IndexFunc(bad, func(v service.Service) (fine bool) {
		defer func() { fine = recover() == nil }()
		s := &service.Set{}
		s.Add(service.Service{Name: "taken", Run: run})
		s.Add(v)
		return true
	}); i >= 0 {
		t.Errorf("adding %d does not panic", i)
	}
}
