package ondemand

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue/lease"
)

// Stats are what a Runner does, and has done since it was made.
type Stats struct {
	Waiting int `json:"waiting"` // domains that wait for a run, now
	Running int `json:"running"` // domains that run, now

	Pokes          int64 `json:"pokes"`          // of domains that did not wait already
	Looks          int64 `json:"looks"`          // at leases
	Refused        int64 `json:"refused"`        // looks that found both places taken, or had no wish to wait
	LaunchFailures int64 `json:"launchFailures"` // processes that could not be started
	Overruns       int64 `json:"overruns"`       // warnings of runs that go on for longer than they should

	Runs map[string]int64 `json:"runs"`    // how many ended ok, failed, or lost their lease
	Last time.Time        `json:"lastRun"` // when one ended last
}

// counters are what Stats is made of.
type counters struct {
	pokes, looks, refused, launchFailures, overruns atomic.Int64

	tallied sync.Mutex
	ends    map[string]int64
	last    time.Time
}

// count counts a run that has ended.
func (c *counters) count(err error) {
	end := "ok"
	switch {
	case errors.Is(err, lease.ErrStale):
		end = "lost"
	case err != nil:
		end = "failed"
	}
	c.tallied.Lock()
	defer c.tallied.Unlock()
	c.ends[end]++
	c.last = time.Now()
}

// Stats returns what the Runner does, and has done.
func (r *Runner) Stats() Stats {
	s := Stats{
		Pokes: r.pokes.Load(), Looks: r.looks.Load(), Refused: r.refused.Load(),
		LaunchFailures: r.launchFailures.Load(), Overruns: r.overruns.Load(),
	}
	r.tallied.Lock()
	s.Runs, s.Last = maps.Clone(r.ends), r.last
	r.tallied.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Waiting, s.Running = len(r.wanted), len(r.runs)
	return s
}

// StatusHandler tells what this process does and, with ?domain=, why that domain runs or does not. It answers in lines
// of text, or in JSON with ?format=json. It reads the lease of the domain, and says much
// of the site: whoever serves it sees to it that not everybody may ask.
func (r *Runner) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET is allowed.", http.StatusMethodNotAllowed)
			return
		}
		said := struct {
			Stats
			State *State `json:"state,omitempty"`
		}{Stats: r.Stats()}
		if domain := req.FormValue("domain"); domain != "" {
			s, err := r.Explain(req.Context(), domain)
			if err != nil {
				r.o.Logger.Warn("the status of a domain is not known", "domain", domain, "error", err)
				http.Error(w, "The status of the domain is not known now.", http.StatusServiceUnavailable)
				return
			}
			said.State = &s
		}
		switch format := req.FormValue("format"); format {
		case "json":
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(said)
		case "", "text":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintf(w, "waiting: %d\nrunning: %d\npokes: %d\nruns: ok %d, failed %d, lost %d\nlaunch failures: %d\noverruns: %d\n",
				said.Waiting, said.Running, said.Pokes, said.Runs["ok"], said.Runs["failed"], said.Runs["lost"], said.LaunchFailures, said.Overruns)
			if s := said.State; s != nil {
				fmt.Fprintf(w, "%s: %s: %s; last run: %s\n", s.Domain, s.Status, s.Why, s.LastRun)
			}
		default:
			http.Error(w, "The format must be text or json.", http.StatusBadRequest)
		}
	})
}
