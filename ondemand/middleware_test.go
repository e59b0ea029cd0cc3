package ondemand_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

func serve(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// The statuses that poke, and what the handler finds in its writer, are those of the server without the middleware.
func TestMiddleware(t *testing.T) {
	poked := make(chan string, 100)
	r := ondemand.New(ondemand.Options{Leases: &lease.Store{Control: queuememory.New()},
		Work: []ondemand.Work{{Name: "poke", Do: func(_ context.Context, domain string) (int, error) { poked <- domain; return 1, nil }}}})
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	inner := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		w.Header().Set("Can", fmt.Sprint(flushes, hijacks, http.NewResponseController(w).SetWriteDeadline(time.Time{})))
		switch status, _ := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/")); status {
		case 0:
			if req.URL.Path == "/panic" {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, "hello")
			http.NewResponseController(w).Flush()
		default:
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(status)
		}
	})
	domainOf := func(req *http.Request) string { return req.Method + req.URL.Path }
	for _, http2 := range []bool{false, true} {
		for name, trigger := range map[string]func(int) bool{"default": nil, "fossil": ondemand.FossilTrigger} {
			want := map[string]bool{"/": true, "/200": true, "/201": trigger == nil, "/204": trigger == nil, "/303": trigger == nil, "/302": false, "/304": false, "/404": false, "/500": false, "/panic": false}
			bare, s := serve(t, inner, http2), serve(t, r.Middleware(inner, func(req *http.Request) string { return name + fmt.Sprint(http2) + domainOf(req) }, trigger), http2)
			client := s.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			for path := range want {
				for _, method := range []string{http.MethodHead, http.MethodGet} {
					req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := client.Do(req)
					if (err != nil) != (path == "/panic") {
						t.Fatal(path, err)
					}
					if err == nil {
						resp.Body.Close()
					}
					if err == nil && path == "/" && method == http.MethodGet {
						plain, err := bare.Client().Get(bare.URL + path)
						if err != nil {
							t.Fatal(err)
						}
						plain.Body.Close()
						if got, want := resp.Header.Get("Can"), plain.Header.Get("Can"); got != want || resp.ProtoMajor != plain.ProtoMajor {
							t.Errorf("HTTP/%d: a handler can %q, without the middleware %q", resp.ProtoMajor, got, want)
						}
					}
				}
			}
			s.Close() // every handler has returned
			got := map[string]bool{}
			for n := 0; n < count(want); n++ {
				got[<-poked] = true
			}
			for path, pokes := range want {
				if got[name+fmt.Sprint(http2)+"GET"+path] != pokes {
					t.Errorf("HTTP/2 %v, %s trigger: GET %s poked: %v, want %v", http2, name, path, !pokes, pokes)
				}
			}
			if n := r.Waiting(); n != 0 {
				t.Errorf("%d more domains wait", n)
			}
		}
	}
}

func count(m map[string]bool) (n int) {
	for _, is := range m {
		if is {
			n++
		}
	}
	return n
}
