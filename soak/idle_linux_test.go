package soak_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// cpu returns how long a process has kept a core busy.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name in parentheses may have spaces; utime and stime are the 12th and 13th behind it.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks time.Duration
	for _, s := range f[11:13] {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// TestIdle looks at a runner that waits for another process to push:
// what it costs, and how soon it starts a job.
func TestIdle(t *testing.T) {
	length, asked := duration(t)
	dir := t.TempDir()
	b, err := sqlite.Open(filepath.Join(dir, "jobs.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b})
	push := func() {
		t.Helper()
		if _, err := g.Push(t.Context(), jobqueue.Spec{Job: &note{Pushed: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		await(t, g, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	}
	r := start(t, dir, 0)
	push() // It is up when this has run.
	before := cpu(t, r.cmd.Process.Pid)
	<-time.After(length)
	share := float64(cpu(t, r.cmd.Process.Pid)-before) / float64(length)

	for end := time.Now().Add(length); time.Now().Before(end); {
		push()
	}
	r.stop(t)
	delays := delays(t, r.starts)[1:]
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	t.Logf("idle: %.2f %% of a core; push to start, %d times: p50 %v, p99 %v, most %v",
		100*share, len(delays), p50, p99, delays[len(delays)-1])
	if asked && (share > 0.01 || p99 > 100*time.Millisecond) {
		t.Errorf("an idle runner must take less than 1 %% of a core and start a job within 100ms (p99)")
	}
}

// delays returns how long after their pushes the jobs in a file were started, sorted but for the first.
func delays(t *testing.T, path string) (all []time.Duration) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		_, us, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(us)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Duration(n)*time.Microsecond)
	}
	slices.Sort(all[1:])
	return all
}
