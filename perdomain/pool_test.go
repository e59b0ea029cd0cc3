package perdomain_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/perdomain"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// settings are those of a domain, which must not be used once they are closed.
type settings struct {
	domain string
	closed atomic.Bool
}

// A farm counts what is open.
type farm struct {
	pool       perdomain.Pool[*settings]
	mu         sync.Mutex
	open, most int
}

func newFarm(most int) *farm {
	f := &farm{}
	f.pool.Max = most
	f.pool.Open = func(_ context.Context, domain string) (*settings, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open++
		f.most = max(f.most, f.open)
		return &settings{domain: domain}, nil
	}
	f.pool.Close = func(s *settings) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.closed.Swap(true) {
			panic("closed twice: " + s.domain)
		}
		f.open--
	}
	return f
}

// greet sees the settings of its own domain.
type greet struct {
	f     *farm
	wrong *atomic.Int64
}

func (*greet) Type() string { return "greet" }

func (g *greet) Run(ctx context.Context) error {
	if s := g.f.pool.From(ctx); s.domain != jobqueue.FromContext(ctx).Domain || s.closed.Load() {
		g.wrong.Add(1)
	}
	return nil
}

// A thousand domains share four workers: each job sees its own domain, and few domains are open at a time.
func TestManyDomains(t *testing.T) {
	const domains, jobs, most = 1000, 10, 20
	f, wrong, reg := newFarm(most), &atomic.Int64{}, &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &greet{f, wrong} }, jobqueue.Policy{})
	g := jobqueue.NewGroup("home", jobqueue.Routes{Default: queuememory.New()})
	var specs []jobqueue.Spec
	for i := range domains * jobs {
		specs = append(specs, jobqueue.Spec{Type: "greet", Domain: fmt.Sprint("wiki", i%domains)})
	}
	if _, err := g.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
	res, err := runner.Run(t.Context(), g, reg, &runner.Options{Workers: 4, Middleware: f.pool.Middleware})
	if err != nil || res.Counts.Done != domains*jobs {
		t.Fatalf("%v, %v, want all done", res, err)
	}
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d jobs saw another domain, or a closed one", n)
	}
	if f.most > most+4 || f.open > most || f.pool.Opened() < domains {
		t.Errorf("at most %d were open and %d are, %d times one was opened; want no more than %d and the workers'", f.most, f.open, f.pool.Opened(), most)
	}
	if f.pool.Shut(); f.open != 0 {
		t.Errorf("%d are open after all were to be closed", f.open)
	}
}

// Who asks for a domain that is being opened waits for it, and no longer than their context lets them.
func TestOpenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(0)
		open := f.pool.Open
		f.pool.Open = func(ctx context.Context, domain string) (*settings, error) {
			time.Sleep(time.Minute)
			return open(ctx, domain)
		}
		var got [10]*settings
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				s, done, err := f.pool.Get(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = s
				done()
				done() // harmless
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := f.pool.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the context", err)
		}
		all.Wait()
		for _, s := range got {
			if s == nil || s != got[0] {
				t.Fatalf("got %v, want all the same", got)
			}
		}
		if f.pool.Opened() != 1 || f.open != 1 {
			t.Errorf("opened %d times, %d are open, want one", f.pool.Opened(), f.open)
		}
	})
}

// A domain that cannot be opened is tried again by who asks next.
func TestOpenFails(t *testing.T) {
	f := newFarm(1)
	open := f.pool.Open
	away := errors.New("no such database")
	f.pool.Open = func(context.Context, string) (*settings, error) { return nil, away }
	if _, _, err := f.pool.Get(t.Context(), "a"); !errors.Is(err, away) {
		t.Errorf("%v, want why it cannot be opened", err)
	}
	f.pool.Open = func(context.Context, string) (*settings, error) { panic("at the disco") }
	func() {
		defer func() { _ = recover() }()
		f.pool.Get(t.Context(), "a")
		t.Error("the panic was kept back")
	}()
	f.pool.Open = open
	s, done, err := f.pool.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	done()
	f.pool.Shut()
	if !s.closed.Load() || f.open != 0 {
		t.Errorf("%d are open, want none", f.open)
	}
}

// What is forgotten is opened anew, and closed once nobody uses it.
func TestForget(t *testing.T) {
	f := newFarm(10)
	get := func() (*settings, func()) {
		t.Helper()
		s, done, err := f.pool.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		return s, done
	}
	old, done := get()
	f.pool.Forget("a")
	f.pool.Forget("b")
	if old.closed.Load() {
		t.Error("it was closed in use")
	}
	fresh, doneToo := get()
	if fresh == old {
		t.Error("what was forgotten is used still")
	}
	done()
	doneToo()
	if !old.closed.Load() || fresh.closed.Load() {
		t.Errorf("closed: %t and %t, want only what was forgotten", old.closed.Load(), fresh.closed.Load())
	}
	f.pool.Forget("a")
	if !fresh.closed.Load() {
		t.Error("one that nobody uses stays open when it is forgotten")
	}
}
