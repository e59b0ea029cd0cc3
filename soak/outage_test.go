//go:build unix

package soak_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	presences "github.com/wikifarm/jobqueue/runner"
)

// TestOutage has the handler of many jobs be away for a while, a minute if there is time:
// few of them are tried meanwhile, and then all are done, without one that has failed.
func TestOutage(t *testing.T) {
	t.Run("program", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		path := filepath.Join(s.dir, "work")
		s.handle("work", fmt.Sprintf("{exec: [%s], jsonl: true}", path))
		s.outage("work", func() {
			text := "#!/bin/sh\nwhile read -r line; do id=${line#*'\"id\":\"'}; echo \"{\\\"id\\\":\\\"${id%%'\"'*}\\\",\\\"ok\\\":true}\"; done\n"
			if err := os.WriteFile(path+".new", []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("endpoint", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		var calls atomic.Int64
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) })}
		defer server.Close()
		s.handle("work", fmt.Sprintf("{http: {url: \"http://%s/\"}}", addr))
		s.outage("work", func() {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			go server.Serve(l)
		})
		if n := calls.Load(); n != outageJobs {
			t.Errorf("%d calls arrived, want %d", n, outageJobs)
		}
	})
}

const outageJobs = 10_000

func (s *site) outage(typ string, mend func()) {
	length, _ := span(s.T)
	length = min(length, time.Minute)
	name := jobqueue.Name{Domain: "wiki", Type: typ}
	specs := make([]jobqueue.Spec, outageJobs)
	for i := range specs {
		specs[i].Type = typ
	}
	if _, err := s.group.Push(s.Context(), specs...); err != nil {
		s.Fatal(err)
	}
	r := s.start(0)
	awaitName(s.T, s.group, name, func(jobqueue.Counts) bool {
		all, err := presences.Runners(s.Context(), s.group)
		if err != nil {
			s.Fatal(err)
		}
		return len(all) == 1 && all[0].Faults[typ] != ""
	})
	<-time.After(length)
	if counts, err := s.group.Counts(s.Context(), name); err != nil || counts[0].Total() != outageJobs || counts[0].Abandoned > 0 {
		s.Fatalf("%v, %v while the handler is away, want all jobs to wait\n%s", counts, err, r.stderr.String())
	}
	mend()
	awaitName(s.T, s.group, name, func(c jobqueue.Counts) bool { return c.Ready+c.Delayed+c.Claimed == 0 })
	res := r.stop(s.T)
	attempts := 0
	for _, j := range res.Jobs {
		switch j.Status {
		case "fault":
			attempts++
		case "failed", "putOff":
			s.Errorf("a job %s", j.Status)
		}
	}
	s.Logf("%d attempts in %v, then %d done", attempts, length, res.Counts.Done)
	if res.Counts.Done != outageJobs || res.Counts.Failed > 0 || len(s.abandoned()) > 0 {
		s.Errorf("%+v, want %d done", res.Counts, outageJobs)
	}
	if attempts < 1 || attempts >= 100 {
		s.Errorf("%d attempts while the handler was away, want some but less than 100", attempts)
	}
}
