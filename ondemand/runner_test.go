package ondemand_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A site is a process with a Runner, whose runs are noted.
type site struct {
	*ondemand.Runner
	leases *lease.Store

	mu   sync.Mutex
	runs []time.Duration // when they began, since the site was made
	log  bytes.Buffer
}

// newSite returns a process of a farm. It is closed when the test ends.
func newSite(t *testing.T, c jobqueue.Control, do func(ctx context.Context, domain string) (int, error), change ...func(*ondemand.Options)) *site {
	s := &site{leases: &lease.Store{Control: c}}
	begun := time.Now()
	o := ondemand.Options{Leases: s.leases, Logger: slog.New(slog.NewTextHandler(&s.log, nil))}
	o.Work = []ondemand.Work{{Name: "jobs", Do: func(ctx context.Context, domain string) (int, error) {
		s.mu.Lock()
		s.runs = append(s.runs, time.Since(begun))
		s.mu.Unlock()
		return do(ctx, domain)
	}}}
	for _, f := range change {
		f(&o)
	}
	s.Runner = ondemand.New(o)
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) began(t *testing.T, want ...time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.runs, want) {
		t.Errorf("runs began at %v, want %v", s.runs, want)
	}
}

func nothing(context.Context, string) (int, error) { return 0, nil }

// pause lets d pass, and what is then due be done.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		for range 10 {
			s.Poke("wiki")
			pause(time.Second)
		}
		s.began(t, 0)
		pause(10 * time.Minute)
		s.began(t, 0, time.Minute)
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d domains wait after 10 idle minutes", n)
		}
	})
}

// What is pushed while a run is at work, by it or by a request, is done by the next.
func TestNoLostWakeup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *site
		s = newSite(t, queuememory.New(), func(context.Context, string) (int, error) {
			s.mu.Lock()
			first := len(s.runs) == 1
			s.mu.Unlock()
			if first {
				s.Poke("wiki")
			}
			time.Sleep(80*time.Second + time.Second/2)
			return 0, nil
		})
		s.Poke("wiki")
		pause(5 * time.Minute)
		s.began(t, 0, 81*time.Second)
	})
}

// Two processes share a lease. One that is on deck and dies is replaced by the one that was poked beside it.
func TestProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, nothing), newSite(t, c, nothing)
		a.Poke("wiki")
		pause(time.Second)
		if g, err := a.leases.Take(t.Context(), "wiki", lease.Party{ID: "killed"}, true); err != nil || g.Place != lease.OnDeck {
			t.Fatalf("%+v, %v", g, err)
		}
		b.Poke("wiki")
		pause(5 * time.Minute)
		a.began(t, 0)
		b.began(t, time.Minute+time.Second) // a second after the turn of who died
	})
}

func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, nothing), newSite(t, c, nothing)
		a.Poke("wiki")
		synctest.Wait()
		a.Poke("wiki")
		synctest.Wait()
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Poke("wiki")
		a.Poke("wiki")
		pause(5 * time.Minute)
		a.began(t, 0)
		b.began(t, time.Minute)
	})
}

// A run whose lease is lost ends, and what it writes late is refused.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		s := newSite(t, queuememory.New(), func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 0, nil
		})
		s.Poke("wiki")
		pause(time.Hour)
		s.began(t, 0)
		if err := s.leases.Reset(t.Context(), "wiki"); err != nil {
			t.Fatal(err)
		}
		pause(10 * time.Second)
		if !errors.Is(cause, lease.ErrStale) {
			t.Errorf("the run ended with %v, want %v", cause, lease.ErrStale)
		}
	})
}

func TestOverrunWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) {
			time.Sleep(11 * time.Minute)
			return 0, nil
		})
		s.Poke("wiki")
		pause(15 * time.Minute)
		var got []string
		for line := range strings.Lines(s.log.String()) {
			_, after, _ := strings.Cut(line, "running=")
			got = append(got, strings.TrimSpace(after))
		}
		if want := []string{"1m30s", "2m30s", "4m30s", "8m30s"}; !slices.Equal(got, want) {
			t.Errorf("warned at %q, want %q:\n%s", got, want, &s.log)
		}
	})
}

func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sw atomic.Pointer[ondemand.Switch]
		s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) {
			o.Switch = func(string) ondemand.Switch { return *sw.Load() }
		})
		sw.Store(&ondemand.Switch{Disabled: true})
		s.Poke("wiki")
		pause(10 * time.Second)
		s.began(t)
		sw.Store(&ondemand.Switch{ReadOnly: "the database moves"})
		s.Poke("wiki")
		pause(10 * time.Second)
		s.began(t)
		sw.Store(&ondemand.Switch{})
		pause(4 * time.Second) // tried at 11, 13, 17 and 25 s
		s.began(t)
		pause(time.Second)
		s.began(t, 25*time.Second)
		sw.Store(&ondemand.Switch{NoDelay: true})
		s.Poke("wiki")
		pause(5 * time.Minute)
		s.began(t, 25*time.Second)
	})
}

func TestPanicAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) { return 3, nil }, func(o *ondemand.Options) {
			o.Work = append(o.Work, ondemand.Work{Name: "mails", Do: func(context.Context, string) (int, error) { panic("no server") }},
				ondemand.Work{Name: "hooks", Do: func(context.Context, string) (int, error) { return 1, nil }})
		})
		s.Poke("wiki")
		synctest.Wait()
		r, err := s.leases.Read(t.Context(), "wiki")
		if err != nil || !r.Over || r.Outcome != "3 jobs 1 hooks failed" {
			t.Errorf("the record says %+v, %v", r, err)
		}
		if !strings.Contains(s.log.String(), "mails: panic: no server") {
			t.Errorf("the log says:\n%s", &s.log)
		}
	})
}

func TestManyDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		before := runtime.NumGoroutine()
		for range 2 {
			for i := range 10_000 {
				s.Poke(fmt.Sprint("wiki", i))
			}
			synctest.Wait()
		}
		if n, waiting := runtime.NumGoroutine()-before, s.Waiting(); n > 5 || waiting != 10_000 {
			t.Errorf("%d domains wait with %d more goroutines", waiting, n)
		}
		pause(2 * time.Minute)
		if n := s.Waiting(); n != 0 || len(s.runs) != 20_000 {
			t.Errorf("%d domains wait after %d runs", n, len(s.runs))
		}
	})
}

type greet struct{ run func(ctx context.Context) }

func (g *greet) Type() string                  { return "greet" }
func (g *greet) Run(ctx context.Context) error { g.run(ctx); return nil }

// The jobs of the domain alone are run, and know the token.
func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuememory.New()
		g := jobqueue.NewGroup("a", jobqueue.Routes{Default: store})
		var ran atomic.Int64
		var token int64
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job {
			return &greet{func(ctx context.Context) { ran.Add(1); token, _ = lease.Token(ctx) }}
		}, jobqueue.Policy{})
		for _, domain := range []string{"a", "b"} {
			if _, err := g.On(domain).Push(t.Context(), jobqueue.Spec{Type: "greet"}); err != nil {
				t.Fatal(err)
			}
		}
		leases := &lease.Store{Control: store}
		var runs []ondemand.Run
		r := ondemand.New(ondemand.Options{Leases: leases, Work: []ondemand.Work{ondemand.Jobs(g, reg, runner.Options{Unlogged: true})}, OnRun: func(run ondemand.Run) { runs = append(runs, run) }})
		defer r.Close(context.Background())
		r.Poke("b")
		pause(time.Second)
		if ran.Load() != 1 || len(runs) != 1 || runs[0].Counts[0] != 1 || runs[0].Err != nil || token == 0 || token != runs[0].Token {
			t.Errorf("%d jobs ran with the token %d: %+v", ran.Load(), token, runs)
		}
		if n, err := g.Counts(t.Context()); err != nil || len(n) != 1 || n[0].Domain != "a" {
			t.Errorf("left are %+v, %v", n, err)
		}
	})
}
