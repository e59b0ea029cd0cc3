package ondemand_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// Runs that take long do not keep other domains from their places on deck, and leave a due domain to another process.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		slow := func(context.Context, string) (int, error) { time.Sleep(30 * time.Second); return 0, nil }
		a := newSite(t, c, slow, func(o *ondemand.Options) { o.Concurrent = 2 })
		b := newSite(t, c, nothing)
		b.Poke("old") // so that it is not due
		synctest.Wait()
		for _, domain := range []string{"x", "y", "due", "old"} {
			a.Poke(domain)
			synctest.Wait()
		}
		old, err := a.leases.Read(t.Context(), "old")
		if err != nil || old.Next.ID == "" {
			t.Errorf("behind two runs nobody is on deck: %+v, %v", old, err)
		}
		a.began(t, 0, 0)
		b.Poke("due")
		synctest.Wait()
		b.began(t, 0, 0)
		pause(time.Minute + 30*time.Second)
		// due waits for its interval now; old had its turn after a minute.
		a.began(t, 0, 0, time.Minute, time.Minute)
	})
}

// What a process had wanted when it died is found by the next one that starts, and nothing else is run.
func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		leases := &lease.Store{Control: c}
		take := func(domain string, onDeck bool) lease.Grant {
			t.Helper()
			g, err := leases.Take(t.Context(), domain, lease.Party{ID: fmt.Sprint(domain, onDeck), Owner: "dead"}, onDeck)
			if err != nil || g.Place == lease.Refused {
				t.Fatal(g, err)
			}
			return g
		}
		take("at work", false)
		done := take("done", false)
		deck := take("on deck", false)
		for domain, g := range map[string]lease.Grant{"done": done, "on deck": deck} {
			if err := leases.End(t.Context(), domain, g.Token, "", 0); err != nil {
				t.Fatal(err)
			}
		}
		take("on deck", true)
		alive := newSite(t, c, func(context.Context, string) (int, error) { time.Sleep(5 * time.Minute); return 0, nil })
		alive.Poke("alive")
		synctest.Wait()

		var ran []string
		s := newSite(t, c, func(_ context.Context, domain string) (int, error) { ran = append(ran, domain); return 0, nil })
		if err := s.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d domains are wanted at once", n)
		}
		pause(20 * time.Minute)
		slices.Sort(ran)
		if want := []string{"at work", "on deck"}; !slices.Equal(ran, want) {
			t.Errorf("%q were run, want %q", ran, want)
		}
		if r, err := leases.Read(t.Context(), "at work"); err != nil || len(r.Past) != 2 || r.Past[0].Outcome != lease.Crashed || r.Past[1].Gap > 61*time.Second {
			t.Errorf("%+v, %v", r.Past, err)
		}
	})
}

// Panics of what a program has set end neither the process nor the runs of others.
func TestHookPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing, func(o *ondemand.Options) {
			o.Switch = func(domain string) ondemand.Switch {
				if domain == "odd" {
					panic("no such switch")
				}
				return ondemand.Switch{}
			}
			o.OnRun = func(ondemand.Run) { panic("no such run") }
		})
		s.Poke("odd")
		s.Poke("wiki")
		pause(time.Second / 2)
		s.began(t, 0)
		st, err := s.Explain(t.Context(), "odd")
		if err != nil || st.Status != ondemand.StatusReadOnly || !strings.Contains(s.log.String(), "no such switch") || !strings.Contains(s.log.String(), "no such run") {
			t.Errorf("%+v, %v; the log says:\n%s", st, err, &s.log)
		}
	})
}

// A process on deck warns of another's run that goes on for too long, after 30, 90, 210 and 450 s.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a := newSite(t, c, func(context.Context, string) (int, error) { time.Sleep(11*time.Minute + time.Second/2); return 0, nil })
		b := newSite(t, c, nothing)
		a.Poke("wiki")
		synctest.Wait()
		b.Poke("wiki")
		pause(10 * time.Minute)
		if st, err := b.Explain(t.Context(), "wiki"); err != nil || st.Status != ondemand.StatusHung || !strings.Contains(st.Why, "10m0s") {
			t.Errorf("%+v, %v", st, err)
		}
		pause(2 * time.Minute)
		var got []time.Duration
		for line := range strings.Lines(b.log.String()) {
			_, after, _ := strings.Cut(line, "overdue=")
			d, _ := time.ParseDuration(strings.TrimSpace(after))
			got = append(got, d.Truncate(2*time.Second))
		}
		if want := []time.Duration{30 * time.Second, 90 * time.Second, 210 * time.Second, 450 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("warned at %v, want %v:\n%s", got, want, &b.log)
		}
		if n := b.Stats().Overruns; n != 4 {
			t.Errorf("%d are counted", n)
		}
		b.began(t, 11*time.Minute+time.Second)
	})
}

func TestExplain(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	me, next := lease.Party{ID: "a", Owner: "web1:7"}, lease.Party{ID: "b", Owner: "web2:9"}
	past := []lease.Past{{Token: 3, Took: time.Second, Outcome: "3 jobs"}}
	for want, c := range map[string]struct {
		r lease.Record
		s ondemand.Switch
	}{
		"never: nobody has asked for a run; never":                                                                                               {},
		"idle: nobody has asked for another run, which may begin at 12:00:13; moments ago":                                                       {r: lease.Record{Token: 3, Current: me, Over: true, Past: past, Started: -47 * time.Second, NotBefore: 13 * time.Second}},
		"idle: nobody has asked for another run, which may begin at once; 2.5 hours ago":                                                         {r: lease.Record{Token: 3, Current: me, Over: true, Past: past, Started: -150 * time.Minute, NotBefore: -149 * time.Minute}},
		"on deck: web2:9 is on deck until 12:00:13; moments ago":                                                                                 {r: lease.Record{Token: 3, Current: me, Over: true, Past: past, Started: -47 * time.Second, NotBefore: 13 * time.Second, Next: next, NextExpires: 43 * time.Second}},
		"crashed: web2:9 was on deck and did not come; the next request is followed by a run; 10 minutes ago":                                    {r: lease.Record{Token: 3, Current: me, Over: true, Past: past, Started: -10 * time.Minute, NotBefore: -9 * time.Minute, Next: next, NextExpires: -time.Second}},
		"running: web1:7 has been at work for 20s; moments ago":                                                                                  {r: lease.Record{Token: 3, Current: me, Past: past, Started: -20 * time.Second, NotBefore: 40 * time.Second, Beat: -time.Second}},
		"hung: web1:7 has been at work for 1m30s, which is longer than 1m0s; 1 minutes ago":                                                      {r: lease.Record{Token: 3, Current: me, Past: past, Started: -90 * time.Second, NotBefore: -30 * time.Second, Beat: -time.Second}},
		"crashed: web1:7 began 40s ago and has given no sign of life for 31s; the next request after 12:00:20 is followed by a run; moments ago": {r: lease.Record{Token: 3, Current: me, Past: past, Started: -40 * time.Second, NotBefore: 20 * time.Second, Beat: -31 * time.Second}},
		"disabled: disabled: only who asks for a run by name gets one; 3.0 days ago":                                                             {r: lease.Record{Token: 3, Over: true, Past: past, Started: -72 * time.Hour}, s: ondemand.Switch{Disabled: true}},
		"read-only: read-only: the database moves; never":                                                                                        {s: ondemand.Switch{ReadOnly: "the database moves"}},
	} {
		st := ondemand.Explain("wiki", c.r, c.s, lease.Rules{}, at)
		if got := fmt.Sprintf("%s: %s; %s", st.Status, st.Why, st.LastRun); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if want := map[bool]string{true: "3 jobs"}[len(c.r.Past) > 0]; st.Outcome != want {
			t.Errorf("outcome %q, want %q", st.Outcome, want)
		}
	}
}

// broken is a store that cannot be reached.
type broken struct{ jobqueue.Control }

func (broken) Values(context.Context, string) ([]jobqueue.Value, error) {
	return nil, errors.New("no route to host")
}

// A process tells what only it knows: that it waits for a place, or for the store.
func TestExplainHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSite(t, queuememory.New(), func(context.Context, string) (int, error) { time.Sleep(time.Minute); return 0, nil }, func(o *ondemand.Options) { o.Concurrent = 1 })
		a.Poke("x")
		synctest.Wait()
		a.Poke("y")
		synctest.Wait()
		for domain, want := range map[string]string{"x": ondemand.StatusRunning, "y": ondemand.StatusWaiting, "z": ondemand.StatusNever} {
			if st, err := a.Explain(t.Context(), domain); err != nil || st.Status != want {
				t.Errorf("%s: %+v, %v", domain, st, err)
			}
		}
		if _, err := a.Explain(t.Context(), "\xff"); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("what is no domain: %v", err)
		}
		b := newSite(t, broken{}, nothing)
		b.Poke("x")
		pause(time.Second / 2)
		if st, err := b.Explain(t.Context(), "x"); err != nil || st.Status != ondemand.StatusUnreachable || !strings.Contains(st.Why, "no route to host") {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestAudit(t *testing.T) {
	past := func(gap, waited, took time.Duration, outcome string) lease.Past {
		return lease.Past{Gap: gap, Waited: waited, Took: took, Outcome: outcome}
	}
	me := lease.Party{ID: "a"}
	for _, c := range []struct {
		name   string
		record lease.Record
		want   string
		broken string
	}{
		{"well", lease.Record{Current: me, Over: true, Past: []lease.Past{past(0, 0, 59*time.Second, "no-op"), past(time.Minute, 58*time.Second, time.Second, "no-op")}},
			"domains=1 runs=2 crashed=0 overlaps=0 min_gap=1m0s max_wait=58s lost=0", ""},
		{"overlap", lease.Record{Past: []lease.Past{past(0, 0, 61*time.Second, lease.Crashed), past(time.Minute, 0, 0, "")}},
			"domains=1 runs=2 crashed=1 overlaps=1 min_gap=1m0s max_wait=0s lost=0", "1 runs went on when the next had begun"},
		{"gap", lease.Record{Past: []lease.Past{past(0, 0, 0, ""), past(59*time.Second, 0, 0, "")}},
			"domains=1 runs=2 crashed=0 overlaps=0 min_gap=59s max_wait=0s lost=0", "two runs began within 59s, less than the interval of 1m0s"},
		{"reset", lease.Record{Past: []lease.Past{past(0, 0, time.Second, lease.WasReset), past(0, 0, 0, "")}},
			"domains=1 runs=2 crashed=0 overlaps=0 min_gap=0s max_wait=0s lost=0", ""},
		{"behind a long run", lease.Record{Past: []lease.Past{past(0, 0, 3*time.Minute, ""), past(3*time.Minute, 3*time.Minute, 0, "")}},
			"domains=1 runs=2 crashed=0 overlaps=0 min_gap=3m0s max_wait=1m0s lost=0", ""},
		{"behind a forgotten run", lease.Record{Past: []lease.Past{past(3*time.Minute, 3*time.Minute, 0, "")}},
			"domains=1 runs=1 crashed=0 overlaps=0 min_gap=0s max_wait=0s lost=0", ""},
		{"wait", lease.Record{Past: []lease.Past{past(0, 92*time.Second, 0, "")}},
			"domains=1 runs=1 crashed=0 overlaps=0 min_gap=0s max_wait=1m32s lost=0", "a run was waited for for 1m32s, more than 1m31s"},
		{"deck", lease.Record{Over: true, Current: me, Next: me, NextExpires: -31 * time.Second},
			"domains=1 runs=0 crashed=0 overlaps=0 min_gap=0s max_wait=0s lost=1", "1 domains wait for somebody who has died"},
		{"silent", lease.Record{Current: me, Beat: -91 * time.Second},
			"domains=1 runs=0 crashed=0 overlaps=0 min_gap=0s max_wait=0s lost=1", "1 domains wait for somebody who has died"},
		{"not yet", lease.Record{Current: me, Beat: -89 * time.Second, Next: me, NextExpires: -29 * time.Second},
			"domains=1 runs=0 crashed=0 overlaps=0 min_gap=0s max_wait=0s lost=0", ""},
	} {
		r := ondemand.Audit(map[string]lease.Record{"wiki": c.record}, lease.Rules{})
		if r.String() != c.want || fmt.Sprint(r.Broken(lease.Rules{})) != map[bool]string{true: c.broken, false: "<nil>"}[c.broken != ""] {
			t.Errorf("%s: %v; %v\nwant %s; %s", c.name, r, r.Broken(lease.Rules{}), c.want, c.broken)
		}
	}
}

func TestStatusHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		s.Poke("wiki")
		synctest.Wait()
		get := func(method, query string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.StatusHandler().ServeHTTP(w, httptest.NewRequest(method, "/status?"+query, nil))
			return w
		}
		text := get(http.MethodGet, "domain=wiki").Body.String()
		for _, want := range []string{"pokes: 1\n", "runs: ok 1, failed 0, lost 0\n", "wiki: idle: ", "last run: moments ago\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %q in:\n%s", want, text)
			}
		}
		var said struct {
			ondemand.Stats
			State ondemand.State
		}
		if err := json.Unmarshal(get(http.MethodGet, "domain=wiki&format=json").Body.Bytes(), &said); err != nil || said.Runs["ok"] != 1 || said.State.Outcome != "no-op" {
			t.Errorf("%+v, %v", said, err)
		}
		for request, want := range map[[2]string]int{{"POST", ""}: 405, {"GET", "format=xml"}: 400, {"GET", "domain=%ff"}: 503, {"GET", ""}: 200} {
			if w := get(request[0], request[1]); w.Code != want {
				t.Errorf("%v: %d, want %d", request, w.Code, want)
			}
		}
	})
}

// A counted store counts what is written.
type counted struct {
	jobqueue.Control
	reads, writes atomic.Int64
}

func (c *counted) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	c.reads.Add(1)
	return c.Control.Values(ctx, prefix)
}

func (c *counted) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	c.writes.Add(1)
	return c.Control.SetValue(ctx, v)
}

// However many requests come while both places are taken, nothing is written, and little is read.
func TestNoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Control: queuememory.New()}
		for _, id := range []string{"at work", "on deck"} {
			if _, err := (&lease.Store{Control: c}).Take(t.Context(), "wiki", lease.Party{ID: id}, true); err != nil {
				t.Fatal(err)
			}
		}
		s := newSite(t, c, nothing)
		h := s.Middleware(fine, hostOf, nil)
		reads, writes := c.reads.Load(), c.writes.Load()
		for range 1000 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
			pause(time.Millisecond)
		}
		if n := c.writes.Load() - writes; n > 0 {
			t.Errorf("%d writes", n)
		}
		if n := c.reads.Load() - reads; n > 2 {
			t.Errorf("%d reads", n)
		}
	})
}

// BenchmarkMiddleware is what a request costs beyond its handler while both places are taken.
func BenchmarkMiddleware(b *testing.B) {
	c := &counted{Control: queuememory.New()}
	leases := &lease.Store{Control: c}
	for _, id := range []string{"at work", "on deck"} {
		if _, err := leases.Take(b.Context(), "wiki", lease.Party{ID: id}, true); err != nil {
			b.Fatal(err)
		}
	}
	r := ondemand.New(ondemand.Options{Leases: leases})
	defer r.Close(context.Background())
	h := r.Middleware(fine, hostOf, nil)
	req := httptest.NewRequest(http.MethodGet, "http://wiki/", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	for r.Stats().Looks == 0 {
		runtime.Gosched()
	}
	before := c.writes.Load()
	took := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		began := time.Now()
		fine.ServeHTTP(w, req)
		bare := time.Since(began)
		began = time.Now()
		h.ServeHTTP(w, req)
		took = append(took, time.Since(began)-bare)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	b.ReportMetric(float64(c.writes.Load()-before), "writes")
}

// Who found another process on deck has what it wanted when that one runs.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, nothing), newSite(t, c, nothing)
		for _, s := range []*site{a, a, b} {
			s.Poke("wiki")
			synctest.Wait()
		}
		pause(10 * time.Minute)
		a.began(t, 0, time.Minute)
		b.began(t)
		if n := b.Waiting(); n != 0 || b.Stats().Refused != 1 {
			t.Errorf("%d domains wait, %+v", n, b.Stats())
		}
	})
}

// What is asked for when the run that somebody waits behind has begun needs another one.
func TestAfterBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, nothing), newSite(t, c, nothing)
		for _, s := range []*site{a, a, b} {
			s.Poke("wiki")
			synctest.Wait()
		}
		pause(time.Minute + 10*time.Second)
		b.Poke("wiki")
		pause(10 * time.Minute)
		a.began(t, 0, time.Minute)
		b.began(t, 2*time.Minute)
		if r, err := b.leases.Read(t.Context(), "wiki"); err != nil || len(r.Past) != 3 || r.Past[2].Waited < 50*time.Second {
			t.Errorf("%+v, %v; it waited for 50 s at least", r.Past, err)
		}
	})
}
