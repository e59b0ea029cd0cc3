package ondemand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	connectTime = 100 * time.Millisecond // to reach the endpoint
	answerTime  = 2 * time.Second        // for all of a call of the endpoint
	fresh       = 10 * time.Second       // how long a signature is valid
	quiet       = time.Minute            // one warning for each
)

// A Trigger runs so many jobs of a domain for each request to it, without a lease and without an interval. It asks
// for them over HTTP, so that they run where Handler is served; what cannot be asked for runs in this process. Either way the
// visitor waits for nothing. It asks only while the domain has jobs that are ready.
//
// The fields are set before the first use, and a Trigger is not copied. The caller closes it.
type Trigger struct {
	Group    *jobqueue.Group
	Registry *jobqueue.Registry
	Options  runner.Options // as for [Jobs]; MaxJobs is set for each run

	// URL returns where Handler is served, for a domain. Its path is signed, so nothing on the way may
	// change it. Nil, and what returns "", is for jobs that run in this process.
	URL func(domain string) string

	// Secret is what both sides know, of 32 random bytes for instance. It signs what is asked for.
	Secret []byte

	// Rate is how many jobs a request is worth; without its fraction if it is above 1, and below 1 the probability of one. 0 is none.
	Rate float64

	Concurrent int                        // for how many domains this process asks, or runs jobs, at once. Default 4
	Switch     func(domain string) Switch // NoDelay means nothing here. Default the zero Switch for all
	Client     *http.Client               // Default one of its own, which connects within 100 ms; a call ends after 2 s in any case
	Logger     *slog.Logger               // Default [slog.Default]

	once       sync.Once
	ctx        context.Context
	stop       context.CancelCauseFunc
	asks, runs tally

	mu     sync.Mutex
	warned time.Time
}

func (t *Trigger) init() {
	t.once.Do(func() {
		t.ctx, t.stop = context.WithCancelCause(context.Background())
		if t.Concurrent <= 0 {
			t.Concurrent = 4
		}
		if t.Logger == nil {
			t.Logger = slog.Default()
		}
		t.asks.log, t.runs.log = t.Logger, t.Logger
		t.asks.places, t.runs.places = make(chan struct{}, t.Concurrent), make(chan struct{}, t.Concurrent)
		if t.Switch == nil {
			t.Switch = func(string) Switch { return Switch{} }
		}
		if t.Client == nil {
			t.Client = &http.Client{
				Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: connectTime}).DialContext, MaxIdleConnsPerHost: t.Concurrent, IdleConnTimeout: quiet},
				// What is signed is for nobody else.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
		}
	})
}

// Middleware serves with next and then runs jobs, or has them run, of the domain that domainOf returns for the request, if that is not ""
// and trigger is true for the status; nil is [Successful]. HEAD requests, conditional ones
// (If-Modified-Since, If-None-Match) and those of the endpoint itself run none.
// It panics at once if it has a URL and no Secret.
func (t *Trigger) Middleware(next http.Handler, domainOf func(*http.Request) string, trigger func(status int) bool) http.Handler {
	t.init()
	if t.URL != nil {
		t.needSecret()
	}
	domain := func(req *http.Request) string {
		if req.Header.Get("If-Modified-Since") != "" || req.Header.Get("If-None-Match") != "" {
			return ""
		}
		d := domainOf(req)
		if d != "" && t.URL != nil && path(t.URL(d)) == req.URL.Path {
			return ""
		}
		return d
	}
	return after(next, t.Logger, domain, trigger, func(_ http.ResponseWriter, domain string) {
		n := int(t.Rate)
		if n < 1 && rand.Float64() < t.Rate {
			n = 1
		}
		if n < 1 {
			return
		}
		if s := t.Switch(domain); !s.Disabled && s.ReadOnly == "" {
			t.asks.add(domain, n, t.ask)
		}
	})
}

// Close starts nothing more, and waits for what it has begun. When ctx ends before that it ends the contexts of
// what runs, with the cause [ErrClosed], and waits on.
func (t *Trigger) Close(ctx context.Context) error {
	t.init()
	end := context.AfterFunc(ctx, func() { t.stop(ErrClosed) })
	defer end()
	t.asks.close()
	t.runs.close()
	t.stop(ErrClosed)
	t.Client.CloseIdleConnections()
	return nil
}

func (t *Trigger) needSecret() {
	if len(t.Secret) == 0 {
		panic("ondemand: a Trigger with an endpoint needs a Secret")
	}
}

// path is what a server sees of a URL.
func path(where string) string {
	u, err := url.Parse(where)
	if err != nil || where == "" {
		return ""
	}
	if u.Path == "" {
		return "/"
	}
	return u.Path
}

// ask has jobs of a domain run, if it has any.
func (t *Trigger) ask(domain string, n int) {
	ready, err := t.ready(domain)
	if err != nil {
		t.warn("whether there are jobs to run is not known", domain, err)
	}
	if !ready {
		return
	}
	where := ""
	if t.URL != nil {
		where = t.URL(domain)
	}
	if where != "" {
		if err = t.post(where, domain, n); err == nil {
			return
		}
		t.warn("jobs are run in this process: the endpoint was not reached", domain, err)
	}
	t.runs.add(domain, n, t.run)
}

// ready reports whether a domain has jobs that Options does not leave out.
func (t *Trigger) ready(domain string) (bool, error) {
	ctx, cancel := context.WithTimeout(t.ctx, callTime)
	defer cancel()
	for b, err := range t.Group.Ready(ctx) {
		if err != nil {
			return false, err
		}
		runs := !t.Group.Excluded(b.Type)
		if t.Options.Types != nil {
			runs = slices.Contains(t.Options.Types, b.Type)
		}
		if b.Domain == domain && runs {
			return true, nil
		}
	}
	return false, nil
}

// post asks the endpoint to run n jobs of a domain.
func (t *Trigger) post(where, domain string, n int) error {
	ctx, cancel := context.WithTimeout(t.ctx, answerTime)
	defer cancel()
	form := request{path(where), domain, n, time.Now().Add(fresh).Unix()}.form(t.Secret)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("the URL of the endpoint: %w", bare(err))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Neither a password nor a query is for the log.
	shown := &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}
	resp, err := t.Client.Do(req)
	if err != nil {
		return fmt.Errorf("POST %s: %w", shown, bare(err))
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("POST %s: status %s, not %d", shown, strconv.Quote(resp.Status), http.StatusAccepted)
	}
	return nil
}

// bare returns an error without the URL that it is about.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// run runs up to n jobs of a domain in this process.
func (t *Trigger) run(domain string, n int) {
	o := t.Options
	o.MaxJobs = n
	_, err := do(t.ctx, Jobs(t.Group, t.Registry, o), domain)
	if err != nil && !errors.Is(err, ErrMore) {
		t.warn("jobs for a request", domain, err)
	}
}

// warn writes to the log, once a minute.
func (t *Trigger) warn(what, domain string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.warned.IsZero() && time.Since(t.warned) < quiet || t.ctx.Err() != nil {
		return
	}
	t.warned = time.Now()
	t.Logger.Warn(what, "domain", domain, "error", err)
}
