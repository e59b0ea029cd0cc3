//go:build unix

package soak_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
)

// farmVar makes a process a program with job types of its own, which note in the file that it names what they do.
const farmVar = "SOAK_FARM"

// farm runs the program.
func farm(path string) {
	cli.Main(cli.App{Register: func(reg *jobqueue.Registry, _ *jobqueue.Group) error {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		reg.Add(func() jobqueue.Job { return &deed{f: f} }, jobqueue.Policy{})
		return err
	}})
}

// A deed notes that it runs and in which process, and does what it says.
type deed struct {
	N     int
	Takes time.Duration // unless its context ends before
	Leak  int           // bytes that it never gives back
	Exit  bool          // with status 0, in the midst of it
	f     *os.File
}

func (*deed) Type() string { return "deed" }

var leaked [][]byte
var leakLock sync.Mutex

func (j *deed) Run(ctx context.Context) error {
	if j.Exit {
		fmt.Fprintln(j.f, "exit", j.N, os.Getpid())
		os.Exit(0)
	}
	if j.Leak > 0 {
		b := make([]byte, j.Leak)
		for i := range b {
			b[i] = byte(i)
		}
		leakLock.Lock()
		leaked = append(leaked, b)
		leakLock.Unlock()
	}
	if j.Takes > 0 {
		fmt.Fprintln(j.f, "begin", j.N, os.Getpid())
		select {
		case <-time.After(j.Takes):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := fmt.Fprintln(j.f, "done", j.N, os.Getpid())
	return err
}

// A band is a supervisor and the processes that it keeps.
type band struct {
	*site
	cmd    *exec.Cmd
	log    string // the file of its standard error
	deeds  string
	waited chan struct{}
}

// supervised starts a supervisor, by the words that go before its arguments if there are some.
func (s *site) supervised(before []string, args ...string) *band {
	s.Helper()
	b := s.band(before, args...)
	b.launch()
	return b
}

func (s *site) band(before []string, args ...string) *band {
	s.Helper()
	b := &band{site: s, log: filepath.Join(s.dir, "log"), deeds: filepath.Join(s.dir, "deeds"), waited: make(chan struct{})}
	words := slices.Concat(before, []string{os.Args[0], "runjobs", "supervise", "--config", s.farm}, args)
	b.cmd = exec.Command(words[0], words[1:]...)
	b.cmd.Dir = s.dir
	b.cmd.Env = append(os.Environ(), farmVar+"="+b.deeds, "GORACE=atexit_sleep_ms=0")
	return b
}

func (b *band) launch() {
	b.Helper()
	f, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.cmd.Stderr = f
	if err := b.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { b.cmd.Process.Kill() })
	go func() {
		b.cmd.Wait()
		close(b.waited)
	}()
}

// do pushes jobs that differ by their number.
func (b *band) do(n int, change func(j *deed)) {
	b.Helper()
	var specs []jobqueue.Spec
	for range n {
		j := &deed{N: b.pushed}
		if change != nil {
			change(j)
		}
		specs = append(specs, jobqueue.Spec{Job: j})
		b.pushed++
	}
	if _, err := b.group.Push(b.Context(), specs...); err != nil {
		b.Fatal(err)
	}
}

func (b *band) read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.Fatal(err)
	}
	return string(data)
}

// until waits for something.
func (b *band) until(what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("no %s in two minutes\n%s", what, b.read(b.log))
		}
	}
}

// noted returns of which jobs a word is noted, and how often.
func (b *band) noted(word string) map[int]int {
	jobs := map[int]int{}
	for line := range strings.Lines(b.read(b.deeds)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == word {
			n, _ := strconv.Atoi(f[1])
			jobs[n]++
		}
	}
	return jobs
}

// children returns the numbers of the processes that were started so far.
func (b *band) children() (pids []int) {
	for line := range strings.Lines(b.read(b.log)) {
		if !strings.Contains(line, `msg="child started"`) {
			continue
		}
		_, after, _ := strings.Cut(line, " pid=")
		pid, err := strconv.Atoi(strings.TrimSpace(after))
		if err != nil {
			b.Fatal(line)
		}
		pids = append(pids, pid)
	}
	return pids
}

// ends waits until the supervisor has ended, with a status.
func (b *band) ends(status int) {
	b.Helper()
	select {
	case <-b.waited:
	case <-time.After(2 * time.Minute):
		b.Fatalf("the supervisor does not end\n%s", b.read(b.log))
	}
	if got := b.cmd.ProcessState.ExitCode(); got != status {
		b.Fatalf("the supervisor ended with %d, want %d\n%s", got, status, b.read(b.log))
	}
}

// left returns how many jobs there still are; none of them is claimed.
func (b *band) left() (n int) {
	b.Helper()
	counts, err := b.backend.Counts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range counts {
		if c.Claimed > 0 || c.Abandoned > 0 {
			b.Errorf("%d jobs are claimed and %d abandoned, want none\n%s", c.Claimed, c.Abandoned, b.read(b.log))
		}
		n += c.Total()
	}
	return n
}

// total returns how many jobs there still are, claimed or not.
func (b *band) total() (n int) {
	b.Helper()
	counts, err := b.backend.Counts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range counts {
		n += c.Total()
	}
	return n
}

func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// A child that crashes is replaced, one of several as well as the only one, and its jobs run again.
func TestSuperviseCrash(t *testing.T) {
	_, asked := duration(t)
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newSite(t)
			b := s.supervised(nil, "--processes", fmt.Sprint(n), "--procs=4")
			b.do(40, func(j *deed) { j.Takes = 50 * time.Millisecond })
			b.until("work", func() bool { return len(b.noted("done")) > 4 })
			old := b.children()
			if len(old) != n {
				t.Fatalf("%d processes, want %d", len(old), n)
			}
			if err := syscall.Kill(old[0], syscall.SIGSEGV); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			b.until("replacement", func() bool { return len(b.children()) > n })
			took := time.Since(killed)
			t.Logf("replaced after %v", took)
			if asked && took > 2*time.Second {
				t.Error("it must be two seconds at most")
			}
			// Some may have been done when the child was killed, and not been settled: these run once more.
			b.until("end of all jobs", func() bool { return b.total() == 0 })
			b.cmd.Process.Signal(syscall.SIGTERM)
			b.ends(0)
			b.left()
			if n := len(b.noted("done")); n < 40 {
				t.Errorf("%d jobs were done, want 40", n)
			}
			// The runtime of Go turns the signal into this status.
			if log := b.read(b.log); !strings.Contains(log, `how="exit status 2, as of a Go program after a panic or a signal`) {
				t.Errorf("the log does not say how the child ended:\n%s", log)
			}
		})
	}
}

// A handler that ends its process at once, as if all were well, does not make the supervisor spin.
func TestSuperviseExits(t *testing.T) {
	_, asked := duration(t)
	s := newSite(t)
	b := s.supervised(nil, "--processes=1", "--procs=1")
	b.do(200, func(j *deed) { j.Exit = true })
	begin := time.Now()
	b.until("crash loop", func() bool { return strings.Contains(b.read(b.log), "crash loop") })
	if asked {
		<-time.After(time.Until(begin.Add(time.Minute)))
	}
	n, took := len(b.children()), time.Since(begin)
	t.Logf("%d starts in %v", n, took)
	if asked && n > 11 {
		t.Error("ten restarts a minute are the most")
	}
	if n < 3 {
		t.Errorf("%d starts before a crash loop was seen, want 3", n)
	}
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
}

// When the supervisor is killed nothing is left of it: neither its children nor the programs that jobs are.
func TestSuperviseKilled(t *testing.T) {
	_, asked := duration(t)
	s := newSite(t)
	pipe := filepath.Join(s.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.handle("sleep", fmt.Sprintf(`{exec: [/bin/sh, -c, 'exec 3>"$0"; echo >&3; exec sleep 1000', %s]}`, pipe))
	b := s.supervised(nil, "--processes=2", "--procs=4")
	if _, err := s.group.Push(t.Context(), jobqueue.Spec{Type: "sleep"}, jobqueue.Spec{Type: "sleep"}); err != nil {
		t.Fatal(err)
	}
	b.do(2, func(j *deed) { j.Takes = time.Hour })
	b.until("jobs", func() bool { return len(b.noted("begin")) == 2 })
	f.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for n := 0; n < 2; {
		k, err := f.Read(make([]byte, 1))
		n += k
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	killed := time.Now()
	b.cmd.Process.Kill()
	<-b.waited
	// The pipe ends with the last program.
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatalf("there are still programs: %v", err)
	}
	for _, pid := range b.children() {
		b.until("end of a child", func() bool { return gone(pid) })
	}
	took := time.Since(killed)
	t.Logf("all were gone %v after the supervisor", took)
	if asked && took > time.Second {
		t.Error("it must be a second at most")
	}
	if n := b.left(); n != 4 {
		t.Errorf("%d jobs are left, want all 4, given back", n)
	}
}

// SIGTERM under load: what runs finishes, the rest is left, and each job ran once.
func TestSuperviseTerm(t *testing.T) {
	duration(t)
	s := newSite(t)
	b := s.supervised(nil, "--processes=2", "--procs=4")
	const jobs = 500
	b.do(jobs, func(j *deed) { j.Takes = 20 * time.Millisecond })
	b.until("work", func() bool { return len(b.noted("done")) > 20 })
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
	done := b.noted("done")
	for n, times := range done {
		if times > 1 {
			t.Errorf("job %d ran %d times", n, times)
		}
	}
	if left := b.left(); len(done)+left != jobs || left == 0 {
		t.Errorf("%d done and %d left of %d, want some of both", len(done), left, jobs)
	}
}

// The second signal interrupts the jobs, which are there as before.
func TestSuperviseAbort(t *testing.T) {
	duration(t)
	s := newSite(t)
	b := s.supervised(nil, "--processes=2", "--procs=4", "--grace=1h")
	b.do(4, func(j *deed) { j.Takes = time.Hour })
	b.until("work", func() bool { return len(b.noted("begin")) == 4 })
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.cmd.Process.Signal(syscall.SIGINT)
	b.ends(0)
	if n := b.left(); n != 4 {
		t.Errorf("%d jobs are left, want 4", n)
	}
}

// Children that have reached their limit are replaced at once, and nothing is lost.
func TestSuperviseRecycles(t *testing.T) {
	duration(t)
	s := newSite(t)
	b := s.supervised(nil, "--processes=2", "--procs=2", "--maxjobs=10")
	const jobs = 60
	b.do(jobs, nil)
	b.until("end of all jobs", func() bool { return len(b.noted("done")) == jobs })
	b.cmd.Process.Signal(syscall.SIGTERM)
	b.ends(0)
	log := b.read(b.log)
	if strings.Count(log, "reason=job-limit") < 4 || strings.Contains(log, "crash loop") {
		t.Errorf("the log of children that recycle:\n%s", log)
	}
	if n := b.left(); n > 0 {
		t.Errorf("%d jobs are left", n)
	}
}
