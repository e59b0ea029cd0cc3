package ondemand_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// Probes and hosts that are none of the farm's poke nothing, and are served with the very writer of the server.
func TestProbes(t *testing.T) {
	for name, c := range map[string]struct {
		probes []string
		pokes  map[string]bool
	}{
		"default": {nil, map[string]bool{"/healthz": false, "/health": false, "/livez": false, "/readyz": false, "/ping": false, "/metrics": false, "/healthz/": true, "/": true}},
		"own":     {[]string{"/up"}, map[string]bool{"/up": false, "/healthz": true}},
		"none":    {[]string{}, map[string]bool{"/healthz": true}},
	} {
		for path, pokes := range c.pokes {
			synctest.Test(t, func(t *testing.T) {
				ran := ""
				s := newSite(t, queuememory.New(), func(_ context.Context, domain string) (int, error) { ran += domain; return 0, nil },
					func(o *ondemand.Options) { o.Probes = c.probes })
				h := s.Middleware(fine, hostOf, nil)
				if w := visit(h, http.MethodGet, "http://wiki"+path); w.Body.String() != "hello" {
					t.Errorf("%s: %q", path, w.Body)
				}
				if (ran == "wiki") != pokes || !pokes && ran != "" {
					t.Errorf("%s probes: GET %s ran %q", name, path, ran)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		var got http.ResponseWriter
		h := s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = w }), func(*http.Request) string { return "" }, nil)
		if w := visit(h, http.MethodGet, "http://nobody/"); got != http.ResponseWriter(w) {
			t.Errorf("a visitor of nobody's host was served with a %T", got)
		}
		s.began(t)
	})
}

// What panics beside the handler is the log's alone; what the handler panics with is the server's.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		v := newVisited(t)
		s.Poke("wiki")
		synctest.Wait()
		for name, wrap := range map[string]func(domainOf func(*http.Request) string, trigger func(int) bool) http.Handler{
			"Middleware": func(d func(*http.Request) string, f func(int) bool) http.Handler { return s.Middleware(fine, d, f) },
			"Trigger":    func(d func(*http.Request) string, f func(int) bool) http.Handler { return v.Middleware(fine, d, f) },
		} {
			for _, h := range []http.Handler{
				wrap(func(*http.Request) string { panic("which domain?") }, nil),
				wrap(hostOf, func(int) bool { panic("which status?") }),
			} {
				if w := visit(h, http.MethodGet, "http://wiki/"); w.Code != 200 || w.Body.String() != "hello" {
					t.Errorf("%s: the visitor got %d %q", name, w.Code, w.Body)
				}
			}
		}
		for _, log := range []string{s.log.String(), v.log.String()} {
			if !strings.Contains(log, "which domain?") || !strings.Contains(log, "which status?") {
				t.Errorf("the log says:\n%s", log)
			}
		}
		h := s.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), hostOf, nil)
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("the server got %v", p)
				}
			}()
			visit(h, http.MethodGet, "http://wiki/")
		}()
	})
}

// A handler may take over the connection, and stream: what it flushes arrives while it works.
func TestStreams(t *testing.T) {
	poked := make(chan string, 10)
	r := ondemand.New(ondemand.Options{Leases: &lease.Store{Control: queuememory.New()}, Logger: slog.New(slog.DiscardHandler),
		Work: []ondemand.Work{{Name: "poke", Do: func(_ context.Context, domain string) (int, error) { poked <- domain; return 1, nil }}}})
	t.Cleanup(func() { r.Close(context.Background()) })
	seen := make(chan bool)
	inner := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/socket" {
			conn, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			line, err := buf.ReadString('\n')
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(conn, "you said %s", line)
			return
		}
		io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-seen
		io.WriteString(w, "second\n")
	})
	served := make(chan bool, 10)
	for _, http2 := range []bool{false, true} {
		h := r.Middleware(inner, func(req *http.Request) string { return fmt.Sprintf("%s%d", req.URL.Path[1:], req.ProtoMajor) }, nil)
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h.ServeHTTP(w, req)
			served <- true
		}), http2)
		resp, err := s.Client().Get(s.URL + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		body := bufio.NewReader(resp.Body)
		if line, err := body.ReadString('\n'); line != "first\n" || err != nil {
			t.Errorf("%q, %v", line, err)
		}
		seen <- true
		if rest, err := io.ReadAll(body); string(rest) != "second\n" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		resp.Body.Close()
		<-served
		if got, want := <-poked, fmt.Sprintf("stream%d", resp.ProtoMajor); got != want || resp.ProtoMajor == 2 != http2 {
			t.Errorf("HTTP/%d poked %q, want %q", resp.ProtoMajor, got, want)
		}
		if http2 {
			continue
		}
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: a\r\n\r\nhello\n")
		if got, err := io.ReadAll(conn); string(got) != "you said hello\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
		<-served
	}
	for r.Waiting() > 0 {
		runtime.Gosched()
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(poked) > 0 {
		t.Errorf("%q was poked, too", <-poked)
	}
}

// A loud writer can flush with an error, and be taken over, and nothing else.
type loud struct{ http.ResponseWriter }

var errLoud = errors.New("not now")

func (loud) Flush()                                       {}
func (loud) FlushError() error                            { return errLoud }
func (loud) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errLoud }

type pushing struct{ http.ResponseWriter }

func (pushing) Flush()                               {}
func (pushing) Push(string, *http.PushOptions) error { return errLoud }

// What a writer can do, the handler can have it do.
func TestWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, queuememory.New(), nothing)
		s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, ok := w.(io.ReaderFrom); ok {
				t.Error("it can read")
			}
			if h, ok := w.(http.Hijacker); !ok {
				t.Error("it cannot be taken over")
			} else if _, _, err := h.Hijack(); err != errLoud {
				t.Errorf("Hijack: %v", err)
			}
			if err := http.NewResponseController(w).Flush(); err != errLoud {
				t.Errorf("Flush: %v", err)
			}
		}), hostOf, nil).ServeHTTP(loud{httptest.NewRecorder()}, httptest.NewRequest("GET", "http://wiki/", nil))
		s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if p, ok := w.(http.Pusher); !ok || p.Push("/", nil) != errLoud {
				t.Error("it cannot push")
			}
		}), hostOf, nil).ServeHTTP(pushing{httptest.NewRecorder()}, httptest.NewRequest("GET", "http://wiki/", nil))
		synctest.Wait()
		s.began(t, 0)
	})
}
