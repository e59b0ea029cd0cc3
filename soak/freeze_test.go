//go:build unix

package soak_test

import (
	"database/sql"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// freeze stops a process as Ctrl-Z does, but not while it writes to the file: then nobody else could.
func freeze(t *testing.T, r *runner, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(0)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(r.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("the runner does not stop: %v, %v", status, err)
		}
		if tx, err := db.Begin(); err == nil {
			tx.Rollback()
			return
		}
		r.thaw(t)
	}
	t.Fatal("the runner writes all the time")
}

func (r *runner) thaw(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// TestFreeze stops a runner that runs some jobs and has many more in its buffer until another has
// done them all. When it goes on it starts none of them, and what it says of those that it ran is refused.
func TestFreeze(t *testing.T) {
	const quick, slow, buffered = 50, procs, 300
	s := newSite(t)
	s.push(quick+slow+buffered, func(i int, j *note) {
		j.Takes = 5 * time.Millisecond
		if quick <= i && i < quick+slow {
			j.Takes = 900 * time.Millisecond // shorter than a runner has patience with what is behind them
		}
	})
	frozen := s.start(0)
	held := 0
	await(t, s.group, func(c jobqueue.Counts) bool {
		held = c.Claimed
		return held >= slow+100 && frozen.count(t, map[string]int{}) == quick+slow && c.Total() == slow+buffered
	})
	freeze(t, frozen, s.backend.Path())
	await(t, s.group, func(c jobqueue.Counts) bool { // It may have claimed more.
		same := c.Claimed == held
		held = c.Claimed
		return same
	})
	before := map[string]int{}
	if n := frozen.count(t, before); n != quick+slow {
		t.Fatalf("%d jobs started before, want %d", n, quick+slow)
	}

	other := s.start(1)
	await(t, s.group, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	if res := other.stop(t); res.Counts.Done != slow+buffered || res.Counts.Lost > 0 {
		t.Errorf("the other runner: %+v, want %d done", res, slow+buffered)
	}

	frozen.thaw(t)
	s.push(1, nil)
	await(t, s.group, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	res := frozen.stop(t)
	t.Logf("%d claims held when it was stopped; %+v", held, res.Counts)
	if res.Counts.Lost != held || res.Counts.Done != quick+1 {
		t.Errorf("the runner that was stopped: %+v, want %d lost and %d done\n%s", res, held, quick+1, frozen.stderr.String())
	}
	if n := strings.Count(frozen.stderr.String(), "\n"); n > 10+slow {
		t.Errorf("%d lines for %d lost claims:\n%s", n, held, frozen.stderr.String())
	}
	seen := map[string]int{}
	if n := frozen.count(t, seen); n != quick+slow+1 {
		t.Errorf("it started %d jobs after it was stopped, want only the new one", n-quick-slow)
	}
	other.count(t, seen)
	twice := 0
	for id, n := range seen {
		if n > 1 {
			twice++
		}
		if n > 2 || n == 2 && before[id] == 0 {
			t.Errorf("job %s started %d times", id, n)
		}
	}
	if twice != slow || len(seen) != s.pushed {
		t.Errorf("%d of %d jobs started twice, want %d of %d", twice, len(seen), slow, s.pushed)
	}
}
