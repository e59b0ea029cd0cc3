//go:build linux

package soak_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	leakJobs  = 150
	leakBytes = 2 << 20
	leakLimit = 256 << 20
)

// leak runs jobs that together leak much more than there may be, and checks that no process ended but by its soft limit.
func (b *band) leak() {
	b.Helper()
	b.do(leakJobs, func(j *deed) { j.Leak = leakBytes })
	b.until("end of all jobs", func() bool { return len(b.noted("done")) == leakJobs })
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
	log := b.read(b.log)
	if n := strings.Count(log, "reason=soft-memory"); n < 2 {
		b.Errorf("%d processes ended for their memory, want more", n)
	}
	if strings.Contains(log, "again=") || strings.Contains(log, "out of memory") {
		b.Errorf("a process ended in another way")
	}
	for n, times := range b.noted("done") {
		if times > 1 {
			b.Errorf("job %d ran %d times", n, times)
		}
	}
	if n := b.left(); n > 0 {
		b.Errorf("%d jobs are left", n)
	}
	if b.Failed() {
		b.Log(log)
	}
}

// A handler that leaks is recycled before a limit of the process ends it, and nothing is lost.
func TestLeakUnderRlimit(t *testing.T) {
	duration(t)
	leaky := filepath.Join(t.TempDir(), "leaky")
	if out, err := exec.Command("go", "build", "-o", leaky, "./testdata/leaky").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	limit := []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -d %d; shift; exec "$0" "$@"`, leakLimit>>10), leaky}
	newSite(t).supervised(limit, "--processes=1", "--procs=4", "--soft-memory=90%").leak()
}

// The same with a number of bytes, and no limit at all.
func TestLeakOverBytes(t *testing.T) {
	duration(t)
	newSite(t).supervised(nil, "--processes=1", "--procs=4", "--soft-memory=128M").leak()
}

// The same in a cgroup, which several processes share; where none can be made there is nothing to see.
func TestLeakInCgroup(t *testing.T) {
	duration(t)
	dir, procs := cgroup(t, leakLimit)
	b := newSite(t).supervised([]string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, procs}, "--processes=2", "--procs=4", "--soft-memory=90%")
	b.leak()
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		if text := "\n" + b.read(filepath.Join(dir, file)); strings.Contains(text, "\noom_kill ") && !strings.Contains(text, "\noom_kill 0\n") {
			t.Errorf("processes were killed for their memory:\n%s", text)
		}
	}
}

// cgroup makes a cgroup with a limit of memory.
func cgroup(t *testing.T, bytes int) (dir, procs string) {
	var err error
	for _, version := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(version.root, fmt.Sprintf("jobqueue-test-%d", os.Getpid()))
		if err = os.Mkdir(dir, 0o700); err != nil {
			continue
		}
		if err = os.WriteFile(filepath.Join(dir, version.limit), fmt.Append(nil, bytes), 0); err == nil {
			t.Cleanup(func() { os.Remove(dir) })
			return dir, filepath.Join(dir, "cgroup.procs")
		}
		os.Remove(dir)
	}
	t.Skipf("no cgroup can be made here, so only the limit of a process is tested: %v", err)
	return "", ""
}

// What a process can never stay below is told, and not tried again and again.
func TestMemoryAboveLimitAtStart(t *testing.T) {
	duration(t)
	b := newSite(t).supervised(nil, "--processes=2", "--soft-memory=4M")
	b.ends(100)
	log := b.read(b.log)
	if n := len(b.children()); n != 2 || strings.Count(log, "before it runs any job, and may use 4.0 MiB") != 2 {
		t.Errorf("%d starts, want 2 and the reason of each\n%s", n, log)
	}
}

// A part of no limit is a mistake.
func TestPartOfNoLimit(t *testing.T) {
	duration(t)
	b := newSite(t).supervised(nil, "--soft-memory=90%")
	b.ends(2)
	if log := b.read(b.log); !strings.Contains(log, "no limit of memory holds for this process") || len(b.children()) > 0 {
		t.Errorf("%s", log)
	}
}
