// Package soak_test runs several real processes against one store for as long as the
// environment variable SOAK says: a few seconds by default, a minute in make soak.
package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// startsVar names the file in which a runner process notes each job that it starts.
const startsVar = "SOAK_STARTS"

// controlVar makes a process a jobctl.
const controlVar = "SOAK_JOBCTL"

func TestMain(m *testing.M) {
	if path := os.Getenv(farmVar); path != "" {
		farm(path)
	}
	if path := os.Getenv(replicaVar); path != "" {
		fmt.Fprintln(os.Stderr, replica(path))
		os.Exit(1)
	}
	if os.Getenv(controlVar) != "" {
		os.Exit(cli.Execute(cli.JobCtl(cli.App{})))
	}
	if path := os.Getenv(startsVar); path != "" {
		os.Exit(cli.Execute(cli.RunJobs(cli.App{Register: func(reg *jobqueue.Registry, _ *jobqueue.Group) error {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			reg.Add(func() jobqueue.Job { return &note{starts: f} }, jobqueue.Policy{})
			reg.Add(func() jobqueue.Job { return &low{note{starts: f}} }, jobqueue.Policy{})
			reg.Add(func() jobqueue.Job { return &numbered{starts: f} }, jobqueue.Policy{})
			return err
		}})))
	}
	os.Exit(m.Run())
}

// exitStatus is what a job that exits ends its process with.
const exitStatus = 42

// note writes down that it was started, and how long after its push.
type note struct {
	Pushed time.Time
	Text   string
	Takes  time.Duration
	Exits  bool
	starts *os.File
}

func (*note) Type() string { return "note" }

// low is a note of another type.
type low struct{ note }

func (*low) Type() string { return "low" }

func (j *note) Run(ctx context.Context) error {
	_, err := fmt.Fprintln(j.starts, jobqueue.FromContext(ctx).ID, time.Since(j.Pushed).Microseconds())
	if j.Exits {
		os.Exit(exitStatus)
	}
	if err == nil && j.Takes > 0 {
		<-time.After(j.Takes)
	}
	return err
}

// duration returns how long to soak, and whether that was asked for. Where it was not, a test runs beside others, as it then
// says nothing of how long anything takes.
func duration(t *testing.T) (time.Duration, bool) {
	d, asked := span(t)
	if !asked {
		t.Parallel()
	}
	return d, asked
}

func span(t *testing.T) (time.Duration, bool) {
	s, asked := os.LookupEnv("SOAK")
	if !asked {
		return 3 * time.Second, false
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d, true
}

// A runner is a process that runs jobs.
type runner struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	starts         string
}

func start(t *testing.T, dir string, n int, args ...string) *runner {
	t.Helper()
	r := &runner{starts: filepath.Join(dir, fmt.Sprintf("starts.%d", n))}
	r.cmd = exec.Command(os.Args[0], append(args, "--wait", "--result", "json")...)
	r.cmd.Dir = dir
	r.cmd.Env = append(os.Environ(), startsVar+"="+r.starts)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill() })
	return r
}

// A result is what of its JSON document matters here.
type result struct {
	Reached string
	Counts  struct{ Done, Failed, Lost, Unsettled, Stuck int }
	Jobs    []struct{ Status string } // the first 10,000 runs
}

// stop ends the runner gracefully and returns what it says.
func (r *runner) stop(t *testing.T) (res result) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("runner: %v\n%s", err, r.stderr.String())
	}
	if err := json.Unmarshal(r.stdout.Bytes(), &res); err != nil {
		t.Fatalf("%v in %s", err, r.stdout.String())
	}
	if s := r.stderr.String(); strings.Contains(s, "lock") {
		t.Errorf("a lock reached the user:\n%s", s)
	}
	return res
}

// count adds the starts of a runner to seen and returns how many there are.
func (r *runner) count(t *testing.T, seen map[string]int) (n int) {
	t.Helper()
	f, err := os.Open(r.starts)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		id, _, _ := strings.Cut(lines.Text(), " ")
		seen[id]++
		n++
	}
	return n
}

// TestFourProcesses lets four runners and a producer share one SQLite file:
// every job starts once, no claim is lost, and everybody gets a share.
func TestFourProcesses(t *testing.T) {
	length, asked := duration(t)
	dir := t.TempDir()
	b, err := sqlite.Open(filepath.Join(dir, "jobs.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b})
	runners := make([]*runner, 4)
	for i := range runners {
		runners[i] = start(t, dir, i)
	}
	pushed, slowest := produce(t, g, length)
	await(t, g, func(c jobqueue.Counts) bool { return c.Total() == 0 })

	seen := map[string]int{}
	least, most := pushed, 0
	for i, r := range runners {
		res := r.stop(t)
		if c := res.Counts; c.Failed+c.Lost+c.Unsettled+c.Stuck > 0 || res.Reached != "stopped" {
			t.Errorf("runner %d: %+v", i, res)
		}
		n := r.count(t, seen)
		least, most = min(least, n), max(most, n)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s started %d times", id, n)
		}
	}
	if len(seen) != pushed {
		t.Errorf("%d jobs ran, %d were pushed", len(seen), pushed)
	}
	t.Logf("%d jobs in %v; shares %d to %d; slowest push %v", pushed, length, least, most, slowest)
	if asked && (most > 2*least || slowest > time.Second) {
		t.Errorf("shares must be within a factor of 2, and no wait over a second")
	}
}

// produce pushes for a while, keeping a backlog, and returns how many jobs and the longest wait.
func produce(t *testing.T, g *jobqueue.Group, length time.Duration) (pushed int, slowest time.Duration) {
	t.Helper()
	specs := make([]jobqueue.Spec, 100)
	for end := time.Now().Add(length); time.Now().Before(end); {
		for i := range specs {
			specs[i] = jobqueue.Spec{Job: &note{Pushed: time.Now(), Text: fmt.Sprintf("job %d of a farm that is busy", pushed+i)}}
		}
		began := time.Now()
		if _, err := g.Push(t.Context(), specs...); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(began))
		if pushed += len(specs); pushed%2000 == 0 {
			await(t, g, func(c jobqueue.Counts) bool { return c.Ready < 10_000 })
		}
	}
	return pushed, slowest
}

// await waits until the counts of the notes are as wanted.
func await(t *testing.T, g *jobqueue.Group, want func(jobqueue.Counts) bool) {
	t.Helper()
	awaitName(t, g, jobqueue.Name{Domain: "wiki", Type: "note"}, want)
}

// awaitName waits until the counts of a queue are as wanted.
func awaitName(t *testing.T, g *jobqueue.Group, name jobqueue.Name, want func(jobqueue.Counts) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		counts, err := g.Counts(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if want(counts[0]) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited for two minutes: %v", counts[0])
		}
	}
}
