package ondemand_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// took visits and returns how long the request's goroutine was at it.
func took(h http.Handler) time.Duration {
	begun := time.Now()
	visit(h, http.MethodGet, "http://wiki/")
	return time.Since(begun)
}

// A request runs what is due after its reply, and what is not due leaves it to a later one.
func TestInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *httptest.ResponseRecorder
		var works time.Duration
		s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) {
			if !w.Flushed || w.Body.String() != "hello" {
				t.Error("ran before the reply was written")
			}
			time.Sleep(works)
			return 1, nil
		})
		h := s.Inline(http.HandlerFunc(func(to http.ResponseWriter, _ *http.Request) { io.WriteString(to, "hello") }), hostOf, nil, 0)
		get := func() time.Duration {
			w = httptest.NewRecorder()
			begun := time.Now()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
			return time.Since(begun)
		}
		works = time.Second / 2
		if d := get(); d != works {
			t.Errorf("was at it for %v", d)
		}
		before, err := s.leases.Control.Values(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if d := get(); d != 0 {
			t.Errorf("waited for %v", d)
		}
		after, err := s.leases.Control.Values(t.Context(), "")
		if err != nil || len(after) != 1 || after[0].Version != before[0].Version {
			t.Errorf("wrote %+v, %v", after, err)
		}
		pause(5 * time.Minute)
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d domains wait", n)
		}
		get()
		s.began(t, 0, 5*time.Minute+works)
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		pause(5 * time.Minute)
		get()
		s.began(t, 0, 5*time.Minute+works)
	})
}

// When its time is over the run ends, has not failed, and what it had no time for is left.
func TestInlineBudget(t *testing.T) {
	for _, budget := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var runs []ondemand.Run
			s := newSite(t, queuememory.New(), func(ctx context.Context, _ string) (int, error) {
				if d, ok := ctx.Deadline(); !ok || time.Until(d) != max(budget, time.Second) {
					t.Errorf("the deadline is %v, %v", d, ok)
				}
				<-ctx.Done()
				return 2, ctx.Err()
			}, func(o *ondemand.Options) {
				o.Work = append(o.Work, ondemand.Work{Name: "late", Do: func(context.Context, string) (int, error) { t.Error("began late"); return 0, nil }})
				o.OnRun = func(run ondemand.Run) { runs = append(runs, run) }
			})
			h := s.Inline(fine, hostOf, nil, budget)
			if d := took(h); d != max(budget, time.Second) {
				t.Errorf("was at it for %v", d)
			}
			r, err := s.leases.Read(t.Context(), "wiki")
			if err != nil || !r.Over || r.Outcome != "2 jobs" || len(runs) != 1 || runs[0].Err != nil || s.log.Len() > 0 {
				t.Errorf("%+v, %v, runs %+v:\n%s", r, err, runs, &s.log)
			}
			pause(5 * time.Minute)
			s.began(t, 0)
		})
	}
}

// Jobs that run when the time is over are given back, as if they had not begun; the next request runs them.
func TestInlineJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := queuememory.New()
		g := jobqueue.NewGroup("a", jobqueue.Routes{Default: store})
		var mu sync.Mutex
		need, done, tries := 20*time.Second, 0, 0
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job {
			return &slow{run: func(ctx context.Context) error {
				mu.Lock()
				tries = jobqueue.FromContext(ctx).Attempt
				d := need
				mu.Unlock()
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(d):
				}
				mu.Lock()
				done++
				mu.Unlock()
				return nil
			}}
		}, jobqueue.Policy{MaxTries: 1})
		for range 3 {
			if _, err := g.On("wiki").Push(t.Context(), jobqueue.Spec{Type: "slow"}); err != nil {
				t.Fatal(err)
			}
		}
		s := newSite(t, store, nothing, func(o *ondemand.Options) {
			o.Work = []ondemand.Work{ondemand.Jobs(g, reg, runner.Options{Workers: 1, Unlogged: true})}
		})
		h := s.Inline(fine, hostOf, nil, 0)
		for range 5 {
			if d := took(h); d != time.Second {
				t.Errorf("was at it for %v", d)
			}
			pause(time.Minute)
		}
		need = 300 * time.Millisecond
		took(h)
		if done != 3 || tries != 1 {
			t.Errorf("%d jobs are done, the last at its attempt %d:\n%s", done, tries, &s.log)
		}
	})
}

type slow struct {
	run func(ctx context.Context) error
}

func (s *slow) Type() string                  { return "slow" }
func (s *slow) Run(ctx context.Context) error { return s.run(ctx) }

// A mute store answers nothing until the caller has had enough.
type mute struct {
	jobqueue.Control
	reads, writes bool
}

func (m *mute) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if m.reads {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.Control.Values(ctx, prefix)
}

func (m *mute) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if m.writes {
		<-ctx.Done()
		return jobqueue.Value{}, false, ctx.Err()
	}
	return m.Control.SetValue(ctx, v)
}

func TestInlineStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mute{Control: queuememory.New(), reads: true}
		s := newSite(t, m, nothing)
		h := s.Inline(fine, hostOf, nil, 0)
		if d := took(h); d != time.Second || !strings.Contains(s.log.String(), "cannot be run now") {
			t.Errorf("was at it for %v:\n%s", d, &s.log)
		}
		s.began(t)
	})
	synctest.Test(t, func(t *testing.T) {
		m := &mute{Control: queuememory.New()}
		s := newSite(t, m, func(context.Context, string) (int, error) { m.writes = true; return 1, nil })
		if d := took(s.Inline(fine, hostOf, nil, 0)); d != time.Second {
			t.Errorf("was at it for %v", d)
		}
		s.began(t, 0)
	})
}

func TestInlineSwitch(t *testing.T) {
	for _, sw := range []ondemand.Switch{{Disabled: true}, {ReadOnly: "it moves"}, {NoDelay: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) { o.Switch = func(string) ondemand.Switch { return sw } })
			took(s.Inline(fine, hostOf, nil, 0))
			if sw.NoDelay {
				s.began(t, 0)
			} else {
				s.began(t)
			}
			if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || (r.Token != 0) != sw.NoDelay {
				t.Errorf("%+v: %+v, %v", sw, r, err)
			}
		})
	}
}
