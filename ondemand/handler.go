package ondemand

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue/lease"
)

// RunHandler is for hosts that have no more than somebody who calls a URL from time to time. It runs the domain that domainOf returns for the request
// in the request, for no longer than the budget, which is 10 s if it is 0, and answers 1 if it is to be called again, or 0 if nothing is left to do.
// Jobs that run when the budget is over are interrupted and given back.
//
// What is due is run as a new run. Within the interval it goes on with the run that has ended, as a part of it, so a call after a 1 need not
// wait. While another run is at work it does nothing and answers 1, with Retry-After. A domain that is disabled is run, too.
//
// Who calls gives the secret as "Authorization: Bearer", as key in a form that is POSTed, or as key in the URL, for services that can do no more than
// GET; servers and proxies write URLs to their logs, so the first two are better. Statuses are 403 for another key, 404 for a request without a
// domain, 405 for other methods, 503 while the domain is read-only or the store is away, and 500 for a run that failed; the log says why.
//
// It panics at once without a secret.
func (r *Runner) RunHandler(secret string, domainOf func(*http.Request) string, budget time.Duration) http.Handler {
	if secret == "" {
		panic("ondemand: RunHandler needs a secret")
	}
	if budget <= 0 {
		budget = 10 * time.Second
	}
	want := sha256.Sum256([]byte(secret))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if req.Method != http.MethodGet && req.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "Only GET and POST are allowed.", http.StatusMethodNotAllowed)
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, 4<<10)
		// The sums are of one length, whatever was given: the time says nothing of the secret.
		if got := sha256.Sum256([]byte(key(req))); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			http.Error(w, "Wrong key.", http.StatusForbidden)
			return
		}
		domain := domainOf(req)
		if domain == "" {
			http.Error(w, "No such domain.", http.StatusNotFound)
			return
		}
		more, wait, status := r.runNow(domain, budget)
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		}
		switch {
		case status != http.StatusOK:
			http.Error(w, http.StatusText(status), status)
		case more:
			io.WriteString(w, "1")
		default:
			io.WriteString(w, "0")
		}
	})
}

// key returns what a request gives as the secret.
func key(req *http.Request) string {
	if scheme, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return req.FormValue("key")
}

// runNow runs a domain, for no longer than the budget, unless another run is at work. It returns whether there is more to do, after which
// wait at least, and the status of a reply.
func (r *Runner) runNow(domain string, budget time.Duration) (more bool, wait time.Duration, status int) {
	if s := r.o.Switch(domain); s.ReadOnly != "" {
		return true, mostRest, http.StatusServiceUnavailable
	}
	if !r.begin() {
		return true, firstRest, http.StatusServiceUnavailable
	}
	defer r.done.Done()
	ctx, cancel := context.WithTimeoutCause(r.ctx, budget, errBudget)
	defer cancel()
	p := lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}
	g, err := r.o.Leases.Take(ctx, domain, p, false)
	if err == nil && g.Place != lease.Current {
		g, err = r.o.Leases.Resume(ctx, domain, p)
	}
	switch {
	case err != nil:
		r.o.Logger.Warn("a domain cannot be run now", "domain", domain, "error", err)
		return true, firstRest, http.StatusServiceUnavailable
	case g.Place != lease.Current:
		return true, max(g.Wait, firstRest), http.StatusOK
	}
	run, more := r.runFor(ctx, domain, g, min(budget, callTime))
	if run.Err != nil {
		return true, firstRest, http.StatusInternalServerError
	}
	return more, 0, http.StatusOK
}
