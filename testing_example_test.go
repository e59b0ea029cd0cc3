package jobqueue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
	"github.com/wikifarm/jobqueue/runner"
)

// A Purge drops a page from a cache. The cache is what a test replaces.
type Purge struct {
	URL  string
	drop func(url string) error
}

func (*Purge) Type() string { return "purge" }

func (p *Purge) Run(context.Context) error { return p.drop(p.URL) }

// A wiki is what every test of purges needs: a queue, and a cache that
// notes what is dropped.
type wiki struct {
	group   *jobqueue.Group
	reg     jobqueue.Registry
	dropped []string
	down    error // why the cache does not answer
}

func newWiki(b jobqueue.Backend) *wiki {
	w := &wiki{}
	drop := func(url string) error {
		if w.down == nil {
			w.dropped = append(w.dropped, url)
		}
		return w.down
	}
	w.reg.Add(func() jobqueue.Job { return &Purge{drop: drop} }, jobqueue.Policy{Dedupe: true})
	w.group = jobqueue.NewGroup("mywiki", jobqueue.Routes{Default: b, Policy: w.reg.Policy})
	return w
}

// run runs jobs until none is ready.
func (w *wiki) run(t *testing.T) *runner.Result {
	t.Helper()
	result, err := runner.Run(t.Context(), w.group, &w.reg, &runner.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// jobs returns the stored jobs.
func (w *wiki) jobs(t *testing.T) (all []jobqueue.Entry) {
	t.Helper()
	for e, err := range w.group.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func (w *wiki) push(t *testing.T, specs ...jobqueue.Spec) {
	t.Helper()
	if _, err := w.group.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
}

// What was pushed is there, once, and gone when it has run.
func TestPurge(t *testing.T) {
	w := newWiki(queuememory.New())
	w.push(t,
		jobqueue.Spec{Job: &Purge{URL: "/a"}},
		jobqueue.Spec{Job: &Purge{URL: "/b"}},
		jobqueue.Spec{Job: &Purge{URL: "/a"}})
	if jobs := w.jobs(t); len(jobs) != 2 || string(jobs[0].Params) != `{"URL":"/a"}` {
		t.Errorf("jobs = %v, want one for /a and one for /b", jobs)
	}
	w.run(t)
	if jobs := w.jobs(t); len(jobs) != 0 {
		t.Errorf("jobs = %v, want none", jobs)
	}
	if want := []string{"/a", "/b"}; !slices.Equal(w.dropped, want) {
		t.Errorf("dropped %q, want %q", w.dropped, want)
	}
}

// In a bubble of testing/synctest a day passes at once.
func TestPurgeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWiki(queuememory.New())
		w.push(t, jobqueue.Spec{Job: &Purge{URL: "/a"}, Delay: 24 * time.Hour})

		time.Sleep(24*time.Hour - time.Second)
		w.run(t)
		if jobs := w.jobs(t); len(jobs) != 1 || jobs[0].State != jobqueue.Delayed {
			t.Errorf("jobs = %v a second too early, want one that is delayed", jobs)
		}

		time.Sleep(time.Second)
		if r := w.run(t); r.Counts.Done != 1 || len(w.dropped) != 1 {
			t.Errorf("run = %v, dropped %q; want one of each", r, w.dropped)
		}
	})
}

// A job that fails waits for its back-off with the reason, and runs again.
func TestPurgeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWiki(queuememory.New())
		w.push(t, jobqueue.Spec{Job: &Purge{URL: "/a"}})

		w.down = errors.New("no route to the cache")
		w.run(t)
		jobs := w.jobs(t)
		if len(jobs) != 1 || jobs[0].Failures != 1 || jobs[0].LastError != "no route to the cache" {
			t.Fatalf("jobs = %+v, want one that failed once", jobs)
		}

		w.down = nil
		time.Sleep(time.Until(jobs[0].ReadyAt))
		if r := w.run(t); r.Counts.Done != 1 {
			t.Errorf("run = %v, want it done", r)
		}
	})
}

// The first call of each kind takes effect and its answer gets lost, as when a
// connection breaks; no job is doubled for it, and none runs twice.
func TestPurgeWhenAnswersGetLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := []string{"push", "pop", "settle"}
		lost := queuetest.After(fmt.Errorf("%w: connection reset", jobqueue.ErrUnavailable))
		var once sync.Map
		w := newWiki(queuetest.Faulty(queuememory.New(), func(op string) error {
			if _, again := once.LoadOrStore(op, true); again || !slices.Contains(calls, op) {
				return nil
			}
			return lost
		}))
		w.push(t, jobqueue.Spec{Job: &Purge{URL: "/a"}}, jobqueue.Spec{Job: &Purge{URL: "/b"}})
		w.run(t)
		if want := []string{"/a", "/b"}; !slices.Equal(w.dropped, want) {
			t.Errorf("dropped %q, want %q", w.dropped, want)
		}
		if jobs := w.jobs(t); len(jobs) != 0 {
			t.Errorf("jobs = %v, want none", jobs)
		}
		for _, op := range calls {
			if _, called := once.Load(op); !called {
				t.Errorf("no answer of %s got lost", op)
			}
		}
	})
}
