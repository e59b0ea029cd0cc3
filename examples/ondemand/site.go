package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/runner"
)

// A site is the books of all domains, with their jobs and the runs of these.
type site struct {
	farm   *config.Farm
	queues *config.Queues
	book   *book
	runs   *ondemand.Runner
}

// open opens a site. The caller closes it.
func open(ctx context.Context, s *settings) (_ *site, err error) {
	w := &site{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.farm, err = config.Load(s.farm); err != nil {
		return nil, err
	}
	if w.book, err = openBook(ctx, s.book); err != nil {
		return nil, err
	}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &greet{book: w.book} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &count{book: w.book} }, jobqueue.Policy{})
	if w.queues, err = w.farm.Open(ctx, reg); err != nil {
		return nil, err
	}
	leases, err := w.farm.Leases(w.queues)
	if err != nil {
		return nil, err
	}
	jobs := runner.Options{Workers: 2, Unlogged: true}
	w.farm.Share(&jobs)
	o := ondemand.Options{
		Leases: leases,
		Work: []ondemand.Work{
			ondemand.Jobs(w.queues.Group, reg, jobs),
			ondemand.Daily(leases.Control, ondemand.Work{Name: "digests", Do: w.book.digest}),
		},
		Switch: w.farm.FollowOnDemand(),
		OnRun:  func(run ondemand.Run) { w.farm.OnDemandLog(run.Domain).Write(run) },
	}
	if s.exec {
		o.Exec = &ondemand.Exec{Args: func(domain string) []string {
			return []string{"--farm", s.farm, "--book", s.book, "--run", domain}
		}}
	}
	w.runs = ondemand.New(o)
	return w, nil
}

// close lets what runs finish for half a minute, and closes what is open.
func (w *site) close() (err error) {
	patience, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if w.runs != nil {
		err = w.runs.Close(patience)
	}
	if w.queues != nil {
		err = errors.Join(err, w.queues.Close())
	}
	if w.book != nil {
		err = errors.Join(err, w.book.Close())
	}
	return err
}

// once runs a domain when it is due, unless another process waits for that.
func (w *site) once(ctx context.Context, domain string) error {
	if !w.farm.Has(domain) {
		return fmt.Errorf("--run: %q is none of the farm's domains", domain)
	}
	run, _, err := w.runs.Once(ctx, domain, ondemand.Once{})
	return errors.Join(err, run.Err)
}

// domain returns the domain that a request is for, "" if it is none of the farm's.
func (w *site) domain(r *http.Request) string {
	if d := r.PathValue("domain"); w.farm.Has(d) {
		return d
	}
	return ""
}

func (w *site) handler() http.Handler {
	mux := http.NewServeMux()
	// The pattern is matched before the domain is asked for.
	mux.Handle("GET /{domain}/{$}", w.runs.Middleware(http.HandlerFunc(w.show), w.domain, nil))
	mux.Handle("POST /{domain}/{$}", w.runs.Middleware(http.HandlerFunc(w.sign), w.domain, nil))
	mux.Handle("/status", local(w.runs.StatusHandler()))
	if secret := os.Getenv("GUESTBOOK_SECRET"); secret != "" {
		mux.Handle("/run/{domain}", w.runs.RunHandler(secret, w.domain, 0))
	}
	return mux
}

// local serves whoever asks from this machine. Behind a proxy that is everybody, so that one must not pass it on.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// show shows a book.
func (w *site) show(out http.ResponseWriter, r *http.Request) {
	domain := w.domain(r)
	if domain == "" {
		http.NotFound(out, r)
		return
	}
	p, err := w.book.page(r.Context(), domain)
	if err == nil {
		err = page.Execute(out, p)
	}
	w.failed(out, err)
}

// sign adds an entry to a book, and has it greeted and counted.
func (w *site) sign(out http.ResponseWriter, r *http.Request) {
	domain, text := w.domain(r), r.FormValue("text")
	switch {
	case domain == "":
		http.NotFound(out, r)
		return
	case text == "" || len(text) > 1000:
		http.Error(out, "An entry has 1 to 1000 bytes.", http.StatusBadRequest)
		return
	}
	entry, err := w.book.add(r.Context(), domain, text)
	if err == nil {
		_, err = w.queues.On(domain).Push(r.Context(),
			jobqueue.Spec{Job: &greet{Entry: entry}},
			jobqueue.Spec{Job: &count{}, DedupeKey: "count"}, // one that waits counts all
		)
	}
	if err == nil {
		http.Redirect(out, r, "/"+domain+"/", http.StatusSeeOther)
	}
	w.failed(out, err)
}

func (w *site) failed(out http.ResponseWriter, err error) {
	if err != nil {
		slog.Error("a request failed", "error", err)
		http.Error(out, "That did not work.", http.StatusInternalServerError)
	}
}
