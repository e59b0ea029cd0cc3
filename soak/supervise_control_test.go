//go:build unix

package soak_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// ctl gives a command to all processes.
func (b *band) ctl(verb string) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "ctl", verb, "--config", b.farm)
	cmd.Env = append(os.Environ(), controlVar+"=1", "GORACE=atexit_sleep_ms=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ctl %s: %v\n%s", verb, err, out)
	}
}

// Told to restart, the supervisor is executed anew as the same process; told to stop, it is not to be started again.
func TestSuperviseCommands(t *testing.T) {
	duration(t)
	b := newSite(t).supervised(nil, "--processes=2", "--procs=4")
	b.workers("deed", 2, 2)
	b.do(10, nil)
	first := b.children()
	b.ctl("restart")
	b.until("new processes", func() bool { return len(b.children()) == 4 })
	for _, pid := range first {
		if slices.Contains(b.children()[2:], pid) || !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	b.workers("deed", 2, 2)
	b.do(10, nil)
	b.until("end of all jobs", func() bool { return len(b.noted("done")) == 20 })
	b.ctl("stop")
	b.ends(100)
	if n := b.left(); n > 0 {
		t.Errorf("%d jobs are left", n)
	}
	if log := b.read(b.log); strings.Count(log, "executed anew") != 1 || strings.Contains(log, "again=") {
		t.Error(log)
	}
}
