//go:build unix

package handler_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// outage runs n jobs whose handler is broken until mend is called, after the type has rested once.
// It fails the test unless there were few attempts before and all jobs are done after.
func outage(t *testing.T, n int, jobs func(string) jobqueue.Job, mend func()) {
	t.Helper()
	var reg jobqueue.Registry
	reg.Add(func() jobqueue.Job { return jobs("mail") }, jobqueue.Policy{MaxTries: 1})
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy})
	specs := make([]jobqueue.Spec, n)
	for i := range specs {
		specs[i].Type = "mail"
	}
	if _, err := g.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
	var faults atomic.Int64
	var once sync.Once
	begin := time.Now()
	res, err := runner.Run(t.Context(), g, &reg, &runner.Options{Wait: true, MaxJobs: n, MaxTime: time.Minute,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		OnEnd: func(e runner.Ended) {
			if errors.Is(e.Err, jobqueue.ErrFault) {
				faults.Add(1)
				if time.Since(begin) > time.Second {
					once.Do(mend)
				}
			}
		}})
	if err != nil || res.Counts.Done != n || res.Counts.Failed+res.Counts.Abandoned+res.Counts.Snoozed > 0 {
		t.Errorf("Run = %v, %v, want %d done and none failed", res, err, n)
	}
	if f := faults.Load(); f < 2 || f > 30 {
		t.Errorf("%d attempts met the fault, want few", f)
	}
}

func TestEndpointDown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	server := &http.Server{Addr: addr, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	t.Cleanup(func() { server.Close() })
	outage(t, 10_000, handler.Endpoint{URL: "http://" + addr}.Jobs(), func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		go server.Serve(l)
	})
}

func TestProgramMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mail")
	outage(t, 100, handler.Exec(path), func() {
		if err := os.Symlink("/bin/true", path); err != nil {
			t.Error(err)
		}
	})
}
