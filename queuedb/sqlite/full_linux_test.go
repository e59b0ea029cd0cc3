package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/runner"
)

// TestFullWhileRunning takes the room from a file that a runner is using: pushes are refused with the
// reason, and what has run meanwhile is recorded when there is room, by the same runner.
func TestFullWhileRunning(t *testing.T) {
	t.Run("pages", func(t *testing.T) {
		d := newDrill(t, newFile(t))
		d.run("no room left", func() (free func()) {
			limit := func(n int) {
				if err := d.b.LimitPages(n); err != nil {
					t.Fatal(err)
				}
			}
			limit(1) // of those that there are
			return func() { limit(1_000_000) }
		})
	})
	t.Run("file size", func(t *testing.T) {
		signal.Ignore(syscall.SIGXFSZ)
		defer signal.Reset(syscall.SIGXFSZ)
		d := newDrill(t, newFile(t))
		d.run("I/O error", func() (free func()) {
			var before syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(d.path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			limit := func(cur uint64) {
				if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: cur, Max: before.Max}); err != nil {
					t.Fatal(err)
				}
			}
			limit(uint64(info.Size()))
			return sync.OnceFunc(func() { limit(before.Cur) })
		})
	})
	dir := t.TempDir()
	switch err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); {
	case err == syscall.EPERM || err == syscall.EACCES:
		t.Log("a file system of its own needs rights; the limit on the size of files stands for it")
		return
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("file system", func(t *testing.T) {
		d := newDrill(t, filepath.Join(dir, "jobs.db"))
		d.run("no room left", func() (free func()) {
			path := filepath.Join(dir, "other")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(make([]byte, 4096))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return func() {
				if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
					t.Error(err)
				}
			}
		})
	})
}

// A drill is a runner on a file.
type drill struct {
	*testing.T
	path    string
	b       *sqlite.Backend
	gate    chan struct{} // what runs ends when it is closed
	started atomic.Int64
}

func newDrill(t *testing.T, path string) *drill {
	return &drill{T: t, path: path, b: openFile(t, path, nil), gate: make(chan struct{})}
}

// A gated is a job that waits for the gate, and then fails with a long error every other time.
type gated struct {
	d      *drill
	Number int `json:"triggering"`
}

func (*gated) Type() string { return queue.Type }

func (j *gated) Run(context.Context) error {
	j.d.started.Add(1)
	<-j.d.gate
	if j.Number%2 == 1 {
		return jobqueue.RetryIn(time.Hour, errors.New(strings.Repeat("a long story ", 300)))
	}
	return nil
}

// push pushes n jobs that nobody runs.
func (d *drill) push(n int) error {
	rs := records(n)
	for i := range rs {
		rs[i].Type = "other"
	}
	_, err := d.b.Push(d.Context(), uuid.New(), rs)
	return err
}

// run has fill take the room from the file, which free gives back.
func (d *drill) run(says string, fill func() (free func())) {
	const running, waiting = 20, 10
	push(d, d.b, records(running+waiting)...)
	var reg jobqueue.Registry
	reg.Add(func() jobqueue.Job { return &gated{d: d} }, jobqueue.Policy{})
	ctx, stop := context.WithCancel(d.Context())
	var log lockedBuffer
	done := make(chan *runner.Result, 1)
	go func() {
		g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: d.b})
		res, _ := runner.Run(ctx, g, &reg, &runner.Options{Wait: true, Workers: running, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		done <- res
	}()
	defer func() {
		stop()
		if d.Failed() {
			d.Log(<-done)
			for line := range strings.Lines(log.String()) {
				if !strings.Contains(line, "job failed") {
					d.Log(line)
				}
			}
		}
	}()
	until(d, "the jobs to start", func() bool { return d.started.Load() == running })

	free := fill()
	defer free()
	for n := 1000; n > 0; n /= 10 {
		var err error
		for err == nil {
			err = d.push(n)
		}
		if !errors.Is(err, jobqueue.ErrUnavailable) || !strings.Contains(err.Error(), says) {
			d.Fatalf("Push = %v, want %v: %s", err, jobqueue.ErrUnavailable, says)
		}
	}
	close(d.gate)
	until(d, "results that cannot be recorded", func() bool { return strings.Contains(log.String(), "results cannot be recorded") })
	if c := counts(d, d.b); c.Claimed == 0 || c.Abandoned > 0 {
		d.Errorf("%v while there is no room, want what ran to be claimed still", c)
	}

	free()
	until(d, "all to be run and every other job to be delayed", func() bool {
		c := counts(d, d.b)
		return c.Delayed == (running+waiting)/2 && c.Total() == c.Delayed
	})
	if err := d.push(1000); err != nil {
		d.Errorf("Push = %v when there is room", err)
	}
	stop()
	res := <-done
	done <- res
	const half = (running + waiting) / 2
	if c := (runner.Counts{Done: half, Failed: half, Retried: half}); res.Counts != c || d.started.Load() != running+waiting {
		d.Errorf("%+v after %d starts, want %+v", res.Counts, d.started.Load(), c)
	}
}

// A lockedBuffer is written and read by several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
