package ondemand

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
)

// Successful is true for the statuses after which there may be work: 2xx, and 303 after a form.
func Successful(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSeeOther
}

// FossilTrigger is true for 200 alone, as in Fossil.
func FossilTrigger(status int) bool { return status == http.StatusOK }

// Middleware serves with next and then pokes the domain that domainOf returns for the request, if that is not "" and
// trigger is true for the status; nil is [Successful]. HEAD requests, Options.Probes, handlers that panic and
// connections that were taken over poke nothing. A reply is not held up: there is no call of a store. Panics of domainOf and
// trigger are logged, and poke nothing.
//
// The store keeps the lease of each domain for a while, so domainOf returns "" for a host that is none of the farm's.
func (r *Runner) Middleware(next http.Handler, domainOf func(*http.Request) string, trigger func(status int) bool) http.Handler {
	return after(next, r.o.Logger, r.visited(domainOf), trigger, func(_ http.ResponseWriter, domain string) { r.Poke(domain) })
}

// visited returns what domainOf does, but "" for probes.
func (r *Runner) visited(domainOf func(*http.Request) string) func(*http.Request) string {
	probes := r.o.Probes
	if probes == nil {
		probes = []string{"/health", "/healthz", "/livez", "/metrics", "/ping", "/readyz"}
	}
	return func(req *http.Request) string {
		if slices.Contains(probes, req.URL.Path) {
			return ""
		}
		return domainOf(req)
	}
}

// after serves with next, and calls then for a request with a domain whose reply went well.
func after(next http.Handler, log *slog.Logger, domainOf func(*http.Request) string, trigger func(status int) bool, then func(w http.ResponseWriter, domain string)) http.Handler {
	if trigger == nil {
		trigger = Successful
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		domain := ""
		if req.Method != http.MethodHead {
			guard(log, func() { domain = domainOf(req) }) // next may change the request
		}
		if domain == "" {
			next.ServeHTTP(w, req)
			return
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec.as(w), req)
		if !rec.hijacked {
			guard(log, func() {
				if trigger(rec.status) {
					then(w, domain)
				}
			})
		}
	})
}

// guard calls f, whose panics are nobody's but the log's.
func guard(log *slog.Logger, f func()) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic on demand", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// A recorder remembers the status of a reply.
type recorder struct {
	http.ResponseWriter
	status   int
	final    bool
	hijacked bool
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if !r.final && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status, r.final = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.final = true
	return r.ResponseWriter.Write(p)
}

// as returns a writer that can do what w can, of what servers for HTTP/1 and HTTP/2 offer beyond writing. What others
// can do [http.ResponseController] finds.
func (r *recorder) as(w http.ResponseWriter) http.ResponseWriter {
	f, flushes := w.(http.Flusher)
	h, hijacks := w.(http.Hijacker)
	from, reads := w.(io.ReaderFrom)
	push, pushes := w.(http.Pusher)
	switch {
	case flushes && hijacks && reads:
		return &struct {
			*recorder
			flusher
			http.Hijacker
			io.ReaderFrom
		}{r, flusher{r, f}, hijacker{r, h}, readerFrom{r, from}}
	case flushes && hijacks:
		return &struct {
			*recorder
			flusher
			http.Hijacker
		}{r, flusher{r, f}, hijacker{r, h}}
	case flushes && pushes:
		return &struct {
			*recorder
			flusher
			http.Pusher
		}{r, flusher{r, f}, push}
	case flushes:
		return &struct {
			*recorder
			flusher
		}{r, flusher{r, f}}
	}
	return r
}

type flusher struct {
	r *recorder
	f http.Flusher
}

func (f flusher) Flush() { f.FlushError() }

func (f flusher) FlushError() error {
	f.r.final = true
	if with, ok := f.f.(interface{ FlushError() error }); ok {
		return with.FlushError()
	}
	f.f.Flush()
	return nil
}

type hijacker struct {
	r *recorder
	h http.Hijacker
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buf, err := h.h.Hijack()
	h.r.hijacked = h.r.hijacked || err == nil
	return c, buf, err
}

type readerFrom struct {
	r    *recorder
	from io.ReaderFrom
}

func (f readerFrom) ReadFrom(src io.Reader) (int64, error) {
	f.r.final = true
	return f.from.ReadFrom(src)
}
