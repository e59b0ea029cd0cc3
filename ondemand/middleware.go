package ondemand

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Successful is true for the statuses after which there may be work: 2xx, and 303 after a form.
func Successful(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSeeOther
}

// FossilTrigger is true for 200 alone, as in Fossil.
func FossilTrigger(status int) bool { return status == http.StatusOK }

// Middleware serves with next and then pokes the domain that domainOf returns for the request, if that is not "" and
// trigger is true for the status; nil is [Successful]. HEAD requests, handlers that panic and
// connections that were taken over poke nothing. A reply is not held up: there is no call of a store.
//
// The store keeps a lease of each domain for good, so domainOf returns "" for a host that is none of the farm's.
func (r *Runner) Middleware(next http.Handler, domainOf func(*http.Request) string, trigger func(status int) bool) http.Handler {
	if trigger == nil {
		trigger = Successful
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodHead {
			next.ServeHTTP(w, req)
			return
		}
		domain := domainOf(req) // next may change the request
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec.as(w), req)
		if domain != "" && !rec.hijacked && trigger(rec.status) {
			r.Poke(domain)
		}
	})
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

// as returns a writer that can do what w can, of what servers for HTTP/1 and HTTP/2 offer beyond writing.
func (r *recorder) as(w http.ResponseWriter) http.ResponseWriter {
	f, flushes := w.(http.Flusher)
	h, hijacks := w.(http.Hijacker)
	from, reads := w.(io.ReaderFrom)
	switch {
	case flushes && hijacks && reads:
		return &struct {
			*recorder
			http.Flusher
			http.Hijacker
			io.ReaderFrom
		}{r, flusher{r, f}, hijacker{r, h}, readerFrom{r, from}}
	case flushes:
		return &struct {
			*recorder
			http.Flusher
		}{r, flusher{r, f}}
	}
	return r
}

type flusher struct {
	r *recorder
	f http.Flusher
}

func (f flusher) Flush() {
	f.r.final = true
	f.f.Flush()
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
