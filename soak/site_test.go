package soak_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A site is a farm with one file, whose leases are short, and runners on it.
type site struct {
	*testing.T
	dir     string
	farm    string
	backend *sqlite.Backend
	group   *jobqueue.Group
	pushed  int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir()}
	s.farm = filepath.Join(s.dir, "farm.yaml")
	text := "backends: {main: {kind: sqlite, path: jobs.db}}\ndefault: {lease: 1s, maxTries: 3}\n"
	if err := os.WriteFile(s.farm, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.backend, err = sqlite.Open(filepath.Join(s.dir, "jobs.db"), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.backend.Close() })
	s.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: s.backend})
	return s
}

// handle has jobs of a type run by a handler of the farm file.
func (s *site) handle(typ, handler string) {
	s.Helper()
	f, err := os.OpenFile(s.farm, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(f, "types: {%s: {handler: %s}}\n", typ, handler)
		f.Close()
	}
	if err != nil {
		s.Fatal(err)
	}
}

// push pushes n jobs, and makes each what change says of its number.
func (s *site) push(n int, change func(i int, j *note)) {
	s.Helper()
	for n > 0 {
		specs := make([]jobqueue.Spec, min(n, 1000))
		for i := range specs {
			j := &note{Pushed: time.Now(), Text: fmt.Sprint(s.pushed)}
			if change != nil {
				change(s.pushed, j)
			}
			specs[i] = jobqueue.Spec{Job: j}
			s.pushed++
		}
		if _, err := s.group.Push(s.Context(), specs...); err != nil {
			s.Fatal(err)
		}
		n -= len(specs)
	}
}

// start starts the n'th runner.
func (s *site) start(n int) *runner { return s.startWith(n, procs) }

// startWith starts the n'th runner, with so many workers.
func (s *site) startWith(n, workers int) *runner {
	s.Helper()
	return start(s.T, s.dir, n, "--config", s.farm, "--procs", fmt.Sprint(workers))
}

// watched starts the n'th runner, and tells when it has ended.
func (s *site) watched(n int, ended chan<- int) *runner {
	s.Helper()
	r := s.start(n)
	go func() {
		r.cmd.Wait()
		ended <- n
	}()
	return r
}

// abandoned returns the abandoned jobs.
func (s *site) abandoned() (all []jobqueue.Entry) {
	s.Helper()
	for e, err := range s.group.List(s.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Abandoned}}) {
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
