package ondemand

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue/lease"
)

var errBudget = errors.New("the time of a run inside a request is over")

// Inline is like Middleware for programs that end after a reply, such as those of CGI, and where nothing may
// run beside the requests. When the reply is written and flushed it runs the domain in the request's goroutine, if that is due, for no
// longer than the budget, which is 1 s if it is 0. Then the contexts of jobs that run end, and they are given back; what is left is for the next request.
// The call that ends the lease may take as long again, if the store is slow.
//
// With Options.Exec it starts a process instead, and runs what is due only if that fails.
//
// A visitor sees all of the reply at once; who waits for the end of the connection, or of a reply
// without a length, waits for the run.
func (r *Runner) Inline(next http.Handler, domainOf func(*http.Request) string, trigger func(status int) bool, budget time.Duration) http.Handler {
	if budget <= 0 {
		budget = time.Second
	}
	return after(next, r.o.Logger, r.visited(domainOf), trigger, func(w http.ResponseWriter, domain string) {
		http.NewResponseController(w).Flush()
		if !r.begin() {
			return
		}
		defer r.done.Done()
		if s := r.o.Switch(domain); s.Disabled || s.ReadOnly != "" {
			return
		}
		ctx, cancel := context.WithTimeoutCause(r.ctx, budget, errBudget)
		defer cancel()
		if r.o.Exec != nil && r.launchOnce(ctx, domain) {
			return
		}
		g, err := r.o.Leases.Take(ctx, domain, lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}, false)
		if err != nil {
			r.o.Logger.Warn("a domain cannot be run now", "domain", domain, "error", err)
			return
		}
		if g.Place == lease.Current {
			r.runFor(ctx, domain, g, budget)
		}
	})
}

// begin counts what runs in a goroutine that is not the Runner's; false if it is closed.
func (r *Runner) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.done.Add(1)
	}
	return !r.closed
}

// launchOnce starts a process for a domain if there is a free place. It returns false if the domain is to be run here.
func (r *Runner) launchOnce(ctx context.Context, domain string) bool {
	if r.launches.resting(domain) {
		return false
	}
	now, err := r.o.Leases.Read(ctx, domain)
	switch {
	case err != nil:
		r.o.Logger.Warn("a domain cannot be run now", "domain", domain, "error", err)
	case now.Next.ID != "" && now.NextExpires >= 0 || !r.launches.reserve(domain, r.o.Exec.most()):
	default:
		return r.start(domain, now.Token)
	}
	return true
}
