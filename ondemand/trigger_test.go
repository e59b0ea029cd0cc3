package ondemand_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

const secret = "a secret that nobody may read"

// A lock makes a log of many goroutines.
type lock struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lock) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lock) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A visited is a site whose jobs a Trigger runs.
type visited struct {
	*ondemand.Trigger
	group *jobqueue.Group
	log   lock
	ran   chan string // the domains of jobs that ran
}

func newVisited(t *testing.T, change ...func(*visited)) *visited {
	v := &visited{group: jobqueue.NewGroup("a", jobqueue.Routes{Default: queuememory.New()}), ran: make(chan string, 1000)}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job {
		return &greet{func(ctx context.Context) {
			c := jobqueue.FromContext(ctx)
			v.ran <- c.Domain
		}}
	}, jobqueue.Policy{})
	v.Trigger = &ondemand.Trigger{Group: v.group, Registry: reg, Secret: []byte(secret), Rate: 1, Options: runner.Options{Unlogged: true, Workers: 1},
		Logger: slog.New(slog.NewTextHandler(&v.log, nil))}
	for _, f := range change {
		f(v)
	}
	t.Cleanup(func() {
		if err := v.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if strings.Contains(v.log.String(), secret) {
			t.Errorf("the log has the secret:\n%s", &v.log)
		}
	})
	return v
}

func (v *visited) push(t *testing.T, domain string, n int) {
	t.Helper()
	for range n {
		if _, err := v.group.On(domain).Push(t.Context(), jobqueue.Spec{Type: "greet"}); err != nil {
			t.Fatal(err)
		}
	}
}

var fine http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

func hostOf(req *http.Request) string { return req.Host }

// visit serves a request, and lets be done what follows from it.
func visit(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	synctest.Wait()
	return w
}

// A wire is a network of its own.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) { return w(req) }

// to returns a wire to a handler.
func to(h http.Handler, calls *atomic.Int64) wire {
	return func(req *http.Request) (*http.Response, error) {
		calls.Add(1)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w.Result(), nil
	}
}

// Jobs run where the endpoint is, as many as a request is worth, and for such requests alone as may be worth any.
func TestTrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		v := newVisited(t)
		away := newVisited(t, func(w *visited) {
			w.Rate, w.Trigger.Group, w.Registry = 2.9, v.Trigger.Group, &jobqueue.Registry{} // which runs nothing by itself
			w.URL = func(domain string) string { return "https://" + domain + "/run%20jobs" }
			w.Client = &http.Client{Transport: to(v.Handler(), &calls)}
		})
		h := away.Middleware(fine, hostOf, nil)
		v.push(t, "wiki", 5)
		v.push(t, "other", 1)
		visit(h, http.MethodHead, "http://wiki/")
		visit(h, http.MethodGet, "http://wiki/", "If-Modified-Since", "Mon, 23 Nov 2026 12:00:00 GMT")
		visit(h, http.MethodGet, "http://wiki/", "If-None-Match", `"a"`)
		visit(h, http.MethodGet, "http://wiki/run%20jobs")
		visit(h, http.MethodGet, "http://idle/")
		if n := calls.Load(); n != 0 {
			t.Fatalf("asked %d times", n)
		}
		for _, want := range []int64{2, 4, 5, 5} {
			visit(h, http.MethodGet, "http://wiki/")
			if n := int64(len(v.ran)); n != want {
				t.Errorf("%d jobs ran, want %d", n, want)
			}
		}
		if n := calls.Load(); n != 3 {
			t.Errorf("asked %d times, of which the last without jobs", n)
		}
		for len(v.ran) > 0 {
			if d := <-v.ran; d != "wiki" {
				t.Errorf("a job of %s ran", d)
			}
		}
		if log := v.log.String() + away.log.String(); log != "" {
			t.Errorf("the logs say:\n%s", log)
		}
	})
}

// What is left out, switched off or read-only is not asked for, and the endpoint runs nothing else either.
func TestTriggerLeavesOut(t *testing.T) {
	for name, change := range map[string]func(*visited){
		"excluded": func(v *visited) {
			v.Trigger.Group = jobqueue.NewGroup("a", jobqueue.Routes{Default: v.group.Backends()[0], Exclude: []string{"greet"}})
		},
		"other types": func(v *visited) { v.Options.Types = []string{"mail"} },
		"disabled":    func(v *visited) { v.Switch = func(string) ondemand.Switch { return ondemand.Switch{Disabled: true} } },
		"read-only": func(v *visited) {
			v.Switch = func(string) ondemand.Switch { return ondemand.Switch{ReadOnly: "moves"} }
		},
		"a bad reply": func(*visited) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				v := newVisited(t, change, func(v *visited) {
					v.URL = func(domain string) string { return "https://" + domain + "/run" }
					v.Client = &http.Client{Transport: to(http.NotFoundHandler(), &calls)}
				})
				v.push(t, "wiki", 1)
				next := fine
				if name == "a bad reply" {
					next = http.NotFound
				}
				visit(v.Middleware(next, hostOf, nil), http.MethodGet, "http://wiki/")
				if calls.Load() != 0 || len(v.ran) != 0 || v.log.String() != "" {
					t.Errorf("asked %d times, %d jobs ran:\n%s", calls.Load(), len(v.ran), &v.log)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		v := newVisited(t, func(v *visited) {
			v.Trigger.Group = jobqueue.NewGroup("a", jobqueue.Routes{Default: v.group.Backends()[0], Exclude: []string{"greet"}})
			v.Options.Types = []string{"greet"} // asked for by name
		})
		v.push(t, "wiki", 1)
		visit(v.Middleware(fine, hostOf, nil), http.MethodGet, "http://wiki/")
		if len(v.ran) != 1 {
			t.Errorf("%d jobs ran", len(v.ran))
		}
	})
}

func TestTriggerRate(t *testing.T) {
	for _, c := range []struct {
		rate        float64
		least, most int64
	}{{0, 0, 0}, {-1, 0, 0}, {0.25, 350, 650}, {1, 2000, 2000}} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			v := newVisited(t, func(v *visited) {
				v.Rate = c.rate
				v.URL = func(domain string) string { return "https://" + domain + "/run" }
				v.Client = &http.Client{Transport: to(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }), &calls)}
			})
			v.push(t, "wiki", 1)
			h := v.Middleware(fine, hostOf, nil)
			for range 2000 {
				visit(h, http.MethodGet, "http://wiki/")
			}
			if n := calls.Load(); n < c.least || n > c.most {
				t.Errorf("at the rate %v 2000 requests asked %d times, want %d to %d", c.rate, n, c.least, c.most)
			}
		})
	}
}

// What asks in vain runs here, and says so once a minute.
func TestTriggerFallsBack(t *testing.T) {
	gone := errors.New("connection refused")
	for name, c := range map[string]struct {
		client wire
		after  time.Duration
	}{
		"refused": {func(*http.Request) (*http.Response, error) { return nil, gone }, 0},
		"silent": {func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, 2 * time.Second},
		"not accepted": {to(http.NotFoundHandler(), new(atomic.Int64)), 0},
		"elsewhere":    {to(http.RedirectHandler("https://elsewhere/", http.StatusTemporaryRedirect), new(atomic.Int64)), 0},
		"no endpoint":  {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVisited(t, func(v *visited) {
					if c.client != nil {
						v.URL = func(domain string) string { return "https://" + domain + "/run" }
						v.Client = &http.Client{Transport: c.client, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
					}
				})
				v.push(t, "wiki", 3)
				h := v.Middleware(fine, hostOf, nil)
				visit(h, http.MethodGet, "http://wiki/")
				if c.after > 0 {
					if pause(c.after - time.Millisecond); len(v.ran) > 0 {
						t.Error("did not wait for the answer")
					}
					pause(time.Millisecond)
				}
				if len(v.ran) != 1 {
					t.Fatalf("%d jobs ran, want 1", len(v.ran))
				}
				visit(h, http.MethodGet, "http://wiki/")
				pause(c.after)
				lines := strings.Count(v.log.String(), "the endpoint was not reached")
				if len(v.ran) != 2 || c.client != nil && lines != 1 || c.client == nil && v.log.String() != "" {
					t.Errorf("%d jobs ran:\n%s", len(v.ran), &v.log)
				}
				pause(time.Minute)
				visit(h, http.MethodGet, "http://wiki/")
				pause(c.after)
				if c.client != nil && strings.Count(v.log.String(), "the endpoint was not reached") != 2 {
					t.Errorf("after a minute:\n%s", &v.log)
				}
			})
		})
	}
}

// A visitor waits for nothing, what is asked for meanwhile is added up, and Close ends what it began.
func TestTriggerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan string, 100)
		v := newVisited(t, func(v *visited) {
			v.URL = func(domain string) string { return "https://" + domain + "/run" }
			v.Client = &http.Client{Transport: wire(func(req *http.Request) (*http.Response, error) {
				if err := req.ParseForm(); err != nil {
					t.Error(err)
				}
				bodies <- req.PostForm.Get("maxjobs")
				time.Sleep(time.Second)
				return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
			})}
		})
		v.push(t, "wiki", 1)
		h := v.Middleware(fine, hostOf, nil)
		begun := time.Now()
		for range 10 {
			visit(h, http.MethodGet, "http://wiki/")
		}
		if time.Since(begun) != 0 {
			t.Errorf("visitors waited for %v", time.Since(begun))
		}
		pause(time.Minute)
		if len(bodies) != 2 || <-bodies != "1" || <-bodies != "9" {
			t.Errorf("asked in another way")
		}
		visit(h, http.MethodGet, "http://wiki/")
		if err := v.Close(t.Context()); err != nil {
			t.Error(err)
		}
		visit(h, http.MethodGet, "http://wiki/")
		if len(bodies) != 1 {
			t.Errorf("asked %d times when it closed", len(bodies))
		}
	})
}

// Over a real connection: two servers, HTTP/1 and HTTP/2, and an endpoint that is gone.
func TestTriggerServers(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		v := newVisited(t)
		s := serve(t, v.Handler(), http2)
		front := newVisited(t, func(f *visited) {
			f.URL = func(string) string { return s.URL + "/run" }
			f.Trigger.Group = v.group
			if http2 {
				f.Client = s.Client()
			}
		})
		h := front.Middleware(fine, hostOf, nil)
		v.push(t, "wiki", 1)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
		if d := <-v.ran; d != "wiki" || w.Body.String() != "hello" {
			t.Errorf("a job of %q, %q", d, w.Body)
		}
		if err := front.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		late := newVisited(t, func(f *visited) {
			f.URL = func(string) string { return s.URL + "/run" }
			f.Trigger.Group = v.group
		})
		v.push(t, "wiki", 2)
		late.Middleware(fine, hostOf, nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
		if d := <-late.ran; d != "wiki" || !strings.Contains(late.log.String(), "the endpoint was not reached") {
			t.Errorf("a job of %q:\n%s", d, &late.log)
		}
		if err := late.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What is signed is not taken elsewhere.
		elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was sent on") }), false)
		moved := serve(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect), false)
		sent := newVisited(t, func(f *visited) {
			f.URL = func(string) string { return moved.URL + "/run" }
			f.Trigger.Group = v.group
		})
		sent.Middleware(fine, hostOf, nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
		if d := <-sent.ran; d != "wiki" || !strings.Contains(sent.log.String(), "307") {
			t.Errorf("a job of %q:\n%s", d, &sent.log)
		}
	}
}

func TestTriggerSecret(t *testing.T) {
	bare := &ondemand.Trigger{URL: func(string) string { return "https://a/" }}
	for name, f := range map[string]func(){
		"Handler":    func() { bare.Handler() },
		"Middleware": func() { bare.Middleware(fine, hostOf, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s without a secret did not panic", name)
				}
			}()
			f()
		}()
	}
}

// Neither passwords nor queries of a URL are in the log, whatever goes wrong.
func TestTriggerSecrets(t *testing.T) {
	for name, url := range map[string]string{"status": "https://farm:hunter2@wiki/run?token=hunter3", "request": "https://farm:hunter2@wiki:port/run"} {
		synctest.Test(t, func(t *testing.T) {
			v := newVisited(t, func(v *visited) {
				v.URL = func(string) string { return url }
				v.Client = &http.Client{Transport: to(http.NotFoundHandler(), new(atomic.Int64))}
			})
			v.push(t, "wiki", 1)
			visit(v.Middleware(fine, hostOf, nil), http.MethodGet, "http://wiki/")
			if log := v.log.String(); log == "" || strings.Contains(log, "hunter") {
				t.Errorf("%s: the log is\n%s", name, log)
			}
		})
	}
}
