//go:build unix

package soak_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	jobrunner "github.com/wikifarm/jobqueue/runner"
)

// write replaces the farm file by one with these groups.
func (s *site) write(groups string) {
	s.Helper()
	text := "backends: {main: {kind: sqlite, path: jobs.db}}\ndefault: {lease: 1s, maxTries: 3}\ngroups: " + groups + "\n"
	if err := os.WriteFile(s.farm+".new", []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(s.farm+".new", s.farm); err != nil {
		s.Fatal(err)
	}
}

// workers waits until the runners that are alive have these workers for jobs of a type.
func (b *band) workers(typ string, want ...int) {
	b.Helper()
	var got []int
	b.until(fmt.Sprintf("processes with %v workers for %s", want, typ), func() bool {
		list, err := jobrunner.Runners(b.Context(), b.group)
		if err != nil {
			b.Fatal(err)
		}
		got = nil
		for _, p := range list {
			if slices.Contains(p.Types, typ) {
				got = append(got, p.Workers)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// A group has the processes that the farm file says, which divide its workers, and follow when it changes.
func TestSuperviseGroups(t *testing.T) {
	duration(t)
	s := newSite(t)
	s.write("{own: {workers: 5, processes: 2, include: [deed]}, others: {workers: 3, include: ['*']}}")
	b := s.supervised(nil, "--processes=2", "--grace=1m")
	b.workers("deed", 2, 3)
	b.workers("null", 1, 2)
	b.do(1, func(j *deed) { j.Takes = 3 * time.Second })
	b.do(40, func(j *deed) { j.Takes = 10 * time.Millisecond })
	b.until("work", func() bool { return len(b.noted("begin")) > 5 })
	s.write("{own: {workers: 5, processes: 3, include: [deed]}, others: {workers: 3, include: ['*']}}")
	b.workers("deed", 1, 2, 2)
	b.workers("null", 1, 2)
	b.do(20, nil)
	b.until("end of all jobs", func() bool { return len(b.noted("done")) == 61 })
	for n, times := range b.noted("done") {
		if times > 1 {
			t.Errorf("job %d ran %d times", n, times)
		}
	}
	if n := len(b.children()); n != 7 {
		t.Errorf("%d processes were started, want two twice, and three", n)
	}
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
	if strings.Contains(b.read(b.log), "crash loop") {
		t.Error(b.read(b.log))
	}
}

// One group by itself has all of its workers.
func TestSuperviseOneGroup(t *testing.T) {
	duration(t)
	s := newSite(t)
	s.write("{own: {workers: 5, include: [deed]}, others: {workers: 3, include: ['*']}}")
	b := s.supervised(nil, "--group=own", "--processes=4")
	b.workers("deed", 1, 1, 1, 2)
	b.workers("null")
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
}

// There is one supervisor for a pid file, which a process that is no more has not.
func TestSupervisePidFile(t *testing.T) {
	duration(t)
	s := newSite(t)
	path := filepath.Join(s.dir, "pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := s.supervised(nil, "--pid-file", path)
	pid := strconv.Itoa(b.cmd.Process.Pid)
	b.until("pid", func() bool { return b.read(path) == pid+"\n" })
	second := s.supervised(nil, "--pid-file", path)
	second.ends(1)
	if log := b.read(b.log); !strings.Contains(log, "already running pid "+pid) {
		t.Errorf("the second one says\n%s", log)
	}
	if b.read(path) != pid+"\n" {
		t.Errorf("the file has %q", b.read(path))
	}
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
	third := s.supervised(nil, "--pid-file", filepath.Join(s.dir, "no", "pid"))
	third.ends(1)
	if log := b.read(b.log); !strings.Contains(log, "there is no directory") {
		t.Errorf("without its directory it says\n%s", log)
	}
}
