package ondemand_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A farm is a web server that pushes what it is asked for, with real jobs.
type farm struct {
	*ondemand.Runner
	t     *testing.T
	begun time.Time
	group *jobqueue.Group
	ran   map[string]time.Duration // jobs, by what they say, and when
	then  map[string]func()        // what a job does
	http.Handler
}

// newFarm returns a farm; after its jobs each run does hook. It is closed when the test ends.
func newFarm(t *testing.T, hook func()) *farm {
	store := queuememory.New()
	f := &farm{t: t, begun: time.Now(), group: jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store}), ran: map[string]time.Duration{}, then: map[string]func(){}}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &said{farm: f} }, jobqueue.Policy{})
	f.Runner = ondemand.New(ondemand.Options{
		Leases: &lease.Store{Control: store},
		Work: []ondemand.Work{
			ondemand.Jobs(f.group, reg, runner.Options{Workers: 1, Unlogged: true}),
			{Name: "hooks", Do: func(context.Context, string) (int, error) { hook(); return 0, nil }},
		},
	})
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	f.Handler = f.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f.push(r.FormValue("job")) }),
		func(*http.Request) string { return "wiki" }, nil)
	return f
}

func (f *farm) push(text string) {
	if _, err := f.group.Push(f.t.Context(), jobqueue.Spec{Job: &said{Text: text}}); err != nil {
		f.t.Error(err)
	}
}

func (f *farm) visit(job string) {
	f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?job="+job, nil))
}

type said struct {
	Text string
	farm *farm
}

func (s *said) Type() string { return "said" }
func (s *said) Run(context.Context) error {
	s.farm.ran[s.Text] = time.Since(s.farm.begun)
	if then := s.farm.then[s.Text]; then != nil {
		then()
	}
	return nil
}

// What is pushed during a run, by one of its jobs, by a request while it has jobs and by one when it has none any more, runs
// within the interval and a second.
func TestPushedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, func() { time.Sleep(20 * time.Second) })
		f.then["first"] = func() {
			f.push("inside")
			time.Sleep(10 * time.Second)
		}
		f.visit("first")
		time.Sleep(5 * time.Second)
		f.visit("meanwhile")
		time.Sleep(15 * time.Second)
		f.visit("late")
		pause(20 * time.Minute)
		for job, most := range map[string]time.Duration{"first": time.Second, "inside": 11 * time.Second, "meanwhile": 11 * time.Second, "late": 61 * time.Second} {
			if at, ran := f.ran[job]; !ran || at > most {
				t.Errorf("the job %s ran at %v (%v), want %v at most", job, at, ran, most)
			}
		}
		// As much is promised to what is pushed at any moment of a run and after it.
		for s := range 90 {
			name := string(rune('A'+s/26)) + string(rune('a'+s%26))
			f.visit(name + "-first")
			time.Sleep(time.Duration(s) * time.Second)
			pushed := time.Since(f.begun)
			f.visit(name)
			pause(5 * time.Minute)
			if at, ran := f.ran[name]; !ran || at-pushed > 61*time.Second {
				t.Errorf("what was pushed %d s after a run began ran %v later (%v)", s, at-pushed, ran)
			}
		}
	})
}

// A burst of changes is one run when it is pushed as a delayed job that is there once: it begins when the first of them is as old as
// the delay, and finds what all of them have written.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t, func() {})
		var changes, merged []int
		f.then["hook"] = func() { merged, changes = append(merged, len(changes)), nil }
		for i := range 10 {
			changes = append(changes, i)
			spec := jobqueue.Spec{Job: &said{Text: "hook"}, DedupeKey: "hook", Delay: 60 * time.Second}
			if _, err := f.group.Push(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		for range 3 {
			f.Poke("wiki")
			pause(2 * time.Minute)
		}
		if !slices.Equal(merged, []int{10}) {
			t.Errorf("runs found %v changes, want one of 10", merged)
		}
	})
}

// A run inside a run would wait for its own end.
func TestNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *site
		var errs []error
		s = newSite(t, queuememory.New(), func(ctx context.Context, domain string) (int, error) {
			for _, d := range []string{domain, "other"} {
				_, ran, err := s.Once(ctx, d, ondemand.Once{})
				if ran {
					t.Errorf("%s ran", d)
				}
				errs = append(errs, err)
			}
			return 0, nil
		})
		s.Poke("wiki")
		pause(time.Second)
		if !slices.Equal(errs, []error{ondemand.ErrNested, ondemand.ErrNested}) {
			t.Errorf("inside a run: %v", errs)
		}
	})
}
