package ondemand_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

func call(h http.Handler) (string, http.Header) {
	w := run(h, http.MethodPost, "http://wiki/run")
	return http.StatusText(w.Code) + " " + strings.TrimSpace(w.Body.String()), w.Header()
}

// Jobs that take longer than the budget are done by one call after the other, as one run.
func TestRunHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := 0
		store := queuememory.New()
		g := jobqueue.NewGroup("a", jobqueue.Routes{Default: store})
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job {
			return &slow{run: func(context.Context) error { time.Sleep(900 * time.Millisecond); done++; return nil }}
		}, jobqueue.Policy{})
		for range 8 {
			if _, err := g.On("wiki").Push(t.Context(), jobqueue.Spec{Type: "slow"}); err != nil {
				t.Fatal(err)
			}
		}
		s := newSite(t, store, nothing, func(o *ondemand.Options) {
			o.Work = []ondemand.Work{ondemand.Jobs(g, reg, runner.Options{Workers: 1, Unlogged: true})}
		})
		h := s.RunHandler(secret, hostOf, 2*time.Second)
		var got []string
		tokens := map[int64]bool{}
		for range 4 {
			begun := time.Now()
			said, _ := call(h)
			got = append(got, said)
			if d := time.Since(begun); d > 3*time.Second {
				t.Errorf("answered after %v", d)
			}
			r, err := s.leases.Read(t.Context(), "wiki")
			if err != nil || !r.Over || tokens[r.Token] || r.NotBefore > time.Minute-time.Duration(len(got)-1)*time.Second {
				t.Errorf("after call %d: %+v, %v", len(got), r, err)
			}
			tokens[r.Token] = true
		}
		if want := "OK 1,OK 1,OK 0,OK 0"; strings.Join(got, ",") != want || done != 8 {
			t.Errorf("answered %q, want %q; %d jobs are done", got, want, done)
		}
		pause(5 * time.Minute)
		if said, _ := call(h); said != "OK 0" {
			t.Errorf("answered %q", said)
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d domains wait", n)
		}
	})
}

// There are never two runs at once: not of two calls, and not of a call and who is poked or on deck.
func TestRunHandlerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, most, runs := 0, 0, 0
		do := func(ctx context.Context, _ string) (int, error) {
			at++
			runs++
			most = max(most, at)
			time.Sleep(3 * time.Second)
			at--
			return 1, nil
		}
		c := queuememory.New()
		a, b := newSite(t, c, do), newSite(t, c, do)
		ha, hb := a.RunHandler(secret, hostOf, time.Minute), b.RunHandler(secret, hostOf, time.Minute)
		go call(ha)
		pause(time.Second)
		b.Poke("wiki") // on deck
		synctest.Wait()
		if said, header := call(hb); said != "OK 1" || header.Get("Retry-After") == "" {
			t.Errorf("while another runs: %q %v", said, header)
		}
		pause(2 * time.Second)
		for range 3 {
			if said, _ := call(hb); said != "OK 0" {
				t.Errorf("while another is on deck: %q", said)
			}
		}
		pause(46*time.Second + time.Second/2)
		go call(ha) // until 2 s after its turn
		pause(5 * time.Minute)
		if most != 1 || runs != 6 {
			t.Errorf("%d runs, %d at once", runs, most)
		}
		r, err := a.leases.Read(t.Context(), "wiki")
		if err != nil || r.Started != -5*time.Minute+3*time.Second+time.Second/2 { // a look each second from its turn on
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A run that died is no one's to go on with before its interval is over.
func TestRunHandlerCrashed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		if g, err := s.leases.Take(t.Context(), "wiki", lease.Party{ID: "killed"}, false); err != nil || g.Place != lease.Current {
			t.Fatalf("%+v, %v", g, err)
		}
		h := s.RunHandler(secret, hostOf, 0)
		pause(45 * time.Second)
		if said, header := call(h); said != "OK 1" || header.Get("Retry-After") != "15" {
			t.Errorf("%q %v", said, header)
		}
		s.began(t)
		pause(15 * time.Second)
		if said, _ := call(h); said != "OK 0" {
			t.Errorf("%q", said)
		}
		s.began(t, time.Minute)
	})
}

func TestRunHandlerAnswers(t *testing.T) {
	var err error
	sw := map[string]ondemand.Switch{"moving": {ReadOnly: "it moves"}, "off": {Disabled: true}}
	s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) { return 0, err },
		func(o *ondemand.Options) { o.Switch = func(domain string) ondemand.Switch { return sw[domain] } })
	h := s.RunHandler(secret, func(req *http.Request) string {
		if req.Host == "none" {
			return ""
		}
		return req.Host
	}, 0)
	in := func(values url.Values) string { return values.Encode() }
	for name, c := range map[string]struct {
		method, url, body, auth string
		status                  int
		says                    string
	}{
		"bearer":            {"GET", "http://a/run", "", "Bearer " + secret, 200, "0"},
		"form":              {"POST", "http://b/run", in(url.Values{"key": {secret}}), "", 200, "0"},
		"query":             {"GET", "http://c/run?" + in(url.Values{"key": {secret}}), "", "", 200, "0"},
		"disabled":          {"POST", "http://off/run", "", "bearer " + secret, 200, "0"},
		"none":              {"GET", "http://d/run", "", "", 403, "Wrong key.\n"},
		"empty":             {"GET", "http://d/run?key=", "", "Bearer ", 403, "Wrong key.\n"},
		"wrong":             {"GET", "http://d/run?key=guess", "", "", 403, "Wrong key.\n"},
		"wrong, then right": {"GET", "http://d/run?" + in(url.Values{"key": {secret}}), "", "Bearer guess", 403, "Wrong key.\n"},
		"half":              {"POST", "http://d/run", in(url.Values{"key": {secret[:10]}}), "", 403, "Wrong key.\n"},
		"basic":             {"GET", "http://d/run", "", "Basic " + secret, 403, "Wrong key.\n"},
		"long":              {"POST", "http://d/run", strings.Repeat("x", 5000) + "&" + in(url.Values{"key": {secret}}), "", 403, "Wrong key.\n"},
		"no domain":         {"GET", "http://none/run", "", "Bearer " + secret, 404, "No such domain.\n"},
		"head":              {"HEAD", "http://d/run", "", "Bearer " + secret, 405, "Only GET and POST are allowed.\n"},
		"read-only":         {"POST", "http://moving/run", "", "Bearer " + secret, 503, "Service Unavailable\n"},
	} {
		req := httptest.NewRequest(c.method, c.url, strings.NewReader(c.body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c.auth != "" {
			req.Header.Set("Authorization", c.auth)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, req); w.Code != c.status || w.Body.String() != c.says || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v, want %d %q", name, w.Code, w.Body, w.Header(), c.status, c.says)
		}
	}
	if n := len(s.runs); n != 4 {
		t.Errorf("%d runs, want 4", n)
	}
	err = errors.New("no disk")
	if w := run(h, http.MethodGet, "http://e/run"); w.Code != 500 || strings.Contains(w.Body.String(), "disk") || !strings.Contains(s.log.String(), "no disk") {
		t.Errorf("a run that failed: %d %q\n%s", w.Code, w.Body, &s.log)
	}
	away := newSite(t, &mute{Control: queuememory.New(), reads: true}, nothing)
	if w := run(away.RunHandler(secret, hostOf, time.Millisecond), http.MethodGet, "http://e/run"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a store that is away: %d %q", w.Code, w.Body)
	}
	if strings.Contains(s.log.String()+away.log.String(), secret) {
		t.Error("the log has the secret")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if w := run(h, http.MethodGet, "http://f/run"); w.Code != 503 {
		t.Errorf("after Close: %d %q", w.Code, w.Body)
	}
}

// run calls with the right key.
func run(h http.Handler, method, url string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, url, nil)
	req.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func TestRunHandlerSecret(t *testing.T) {
	s := newSite(t, queuememory.New(), nothing)
	defer func() {
		if recover() == nil {
			t.Error("an empty secret did not panic")
		}
	}()
	s.RunHandler("", hostOf, 0)
}
