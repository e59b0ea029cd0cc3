//go:build unix

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/supervisor"
)

// roleVar makes a process of this test a child, or a supervisor.
const roleVar = "SUPERVISOR_TEST_ROLE"

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(roleVar), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "exit":
		n, _ := strconv.Atoi(arg)
		os.Exit(n)
	case "work":
		work(arg)
	case "recycle":
		supervisor.Parent().Recycle("limit")
	case "refuse":
		supervisor.Parent().Refuse("no such type\nno such \"domain\"")
		os.Exit(2)
	case "supervise":
		supervise(arg)
	}
}

// work runs until it is told to end, and says so by holding a named pipe open.
func work(pipe string) {
	link := supervisor.Parent()
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		os.Exit(3)
	}
	defer f.Close()
	link.Alive()
	fmt.Fprintln(f, "began", os.Getpid())
	for {
		select {
		case <-link.Gone():
			fmt.Fprintln(f, "orphan", os.Getpid())
			return
		case s := <-signals:
			fmt.Fprintln(f, s, os.Getpid())
			switch s {
			case syscall.SIGTERM:
				return
			case syscall.SIGUSR1:
				os.Exit(supervisor.ExitRestart)
			}
		}
	}
}

// supervise keeps three workers.
func supervise(pipe string) {
	supervisor.Run(context.Background(), supervisor.Options{Plan: plan(child("a", "work "+pipe), child("b", "work "+pipe), child("c", "work "+pipe))})
}

func child(name, role string) supervisor.Child {
	return supervisor.Child{Name: name, Beats: true, Command: func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVar+"="+role, "GORACE=atexit_sleep_ms=0", "NOTIFY_SOCKET=/nowhere")
		return cmd
	}}
}

func plan(children ...supervisor.Child) func() ([]supervisor.Child, error) {
	return func() ([]supervisor.Child, error) { return children, nil }
}

// A stage is a supervisor that runs in the test, and what its children write.
type stage struct {
	*testing.T
	pipe string
	r    *os.File
	end  context.CancelFunc

	order chan supervisor.Order
	mu    sync.Mutex
	log   bytes.Buffer
	state supervisor.State
	lines []string
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// newStage makes a named pipe for workers.
func newStage(t *testing.T) *stage {
	s := &stage{T: t, pipe: filepath.Join(t.TempDir(), "pipe"), order: make(chan supervisor.Order, 1)}
	if err := syscall.Mkfifo(s.pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	// For both, so that it never ends before the test is over.
	if s.r, err = os.OpenFile(s.pipe, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.r.Close() })
	go func() {
		var rest []byte
		b := make([]byte, 4096)
		for {
			n, err := s.r.Read(b)
			rest = append(rest, b[:n]...)
			s.mu.Lock()
			for i := bytes.IndexByte(rest, '\n'); i >= 0; i = bytes.IndexByte(rest, '\n') {
				s.lines = append(s.lines, string(rest[:i]))
				rest = rest[i+1:]
			}
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *stage) start(o supervisor.Options) {
	ctx, end := context.WithCancel(s.Context())
	s.end = end
	o.Logger = slog.New(slog.NewTextHandler(s, nil))
	o.Watch = func(st supervisor.State) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state = st
	}
	go func() {
		order, err := supervisor.Run(ctx, o)
		if err != nil {
			s.Error(err)
		}
		s.order <- order
	}()
}

// until waits for something that is looked at under the lock.
func (s *stage) until(what string, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		yes := ok()
		s.mu.Unlock()
		if yes {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fatalf("no %s in a minute; state %+v\n%v\n%s", what, s.state, s.lines, s.log.String())
}

// said returns the numbers of the processes that wrote a word.
func (s *stage) said(word string) (pids []int) {
	for _, line := range s.lines {
		if i := strings.LastIndexByte(line, ' '); line[:max(i, 0)] == word {
			pid, _ := strconv.Atoi(line[i+1:])
			pids = append(pids, pid)
		}
	}
	return pids
}

func (s *stage) count(word string, n int) []int {
	s.Helper()
	var pids []int
	s.until(fmt.Sprintf("%d times %q", n, word), func() bool { pids = s.said(word); return len(pids) >= n })
	return slices.Clone(pids)
}

func (s *stage) returns(want supervisor.Order) {
	s.Helper()
	select {
	case got := <-s.order:
		if got != want {
			s.Errorf("Run = %v, want %v\n%s", got, want, s.log.String())
		}
	case <-time.After(time.Minute):
		s.Fatal("Run does not return")
	}
}

// However it ends, a child is started again, also the only one.
func TestReplaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.start(supervisor.Options{Plan: plan(child("only", "work "+s.pipe))})
	first := s.count("began", 1)[0]
	began := time.Now()
	if err := syscall.Kill(first, syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	second := s.count("began", 2)[1]
	took := time.Since(began)
	t.Logf("a child that was killed was replaced after %v", took)
	if os.Getenv("SOAK") != "" && took > 2*time.Second {
		t.Error("that is to take two seconds at most")
	}
	if first == second {
		t.Error("the same process")
	}
	s.until("work", func() bool { return s.state.Begun && s.state.Working == 1 && s.state.Deaths == 1 && s.state.InOrder() })
	s.end()
	s.returns(supervisor.End)
	if pids := s.count("terminated", 1); len(pids) != 1 || pids[0] != second {
		t.Errorf("SIGTERM to %v, want it to %d", pids, second)
	}
}

func TestBackoff(t *testing.T) {
	s := time.Second
	want := []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}
	if diff := cmp.Diff(want, supervisor.Delays(8, 0)); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]time.Duration{s, s, s}, supervisor.Delays(3, time.Minute)); diff != "" {
		t.Errorf("pauses of one that lives for a minute (-want +got):\n%s", diff)
	}
	for lives := time.Duration(0); lives < time.Minute; lives += s / 2 {
		for _, clean := range []bool{false, true} {
			if n := supervisor.Starts(time.Minute, lives, clean, false); n > 11 {
				t.Errorf("a child that lives for %v is started %d times in a minute, want at most once and ten times more", lives, n)
			}
		}
	}
	if n := supervisor.Starts(time.Minute, 0, true, true); n > 60 || n < 59 {
		t.Errorf("a child that says that it recycles is started %d times in a minute, want 60", n)
	}
	if n := supervisor.Starts(time.Hour, time.Minute, true, true); n != 60 {
		t.Errorf("a child that recycles every minute is started %d times in an hour, want 60", n)
	}
}

// A child that ends at once is named, with how it ends, and the others go on.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.start(supervisor.Options{Plan: plan(child("bad", "exit 7"), child("good", "work "+s.pipe))})
	s.until("crash loop", func() bool { return strings.Contains(s.log.String(), "crash loop") })
	s.mu.Lock()
	log := s.log.String()
	s.mu.Unlock()
	i := strings.Index(log, "crash loop")
	line, _, _ := strings.Cut(log[i:], "\n")
	for _, want := range []string{"child=bad", `how="exit status 7"`, "times=3", "again=4s"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not in %s", want, line)
		}
	}
	s.until("state", func() bool { return s.state.Looping == 1 && s.state.Working == 1 && s.state.InOrder() })
	if pids := s.count("began", 1); len(pids) != 1 {
		t.Errorf("the other child was started %d times", len(pids))
	}
	s.end()
	s.returns(supervisor.End)
}

// No child is left when the supervisor is killed.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	cmd := child("", "supervise "+s.pipe).Command()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	began := s.count("began", 3)
	killed := time.Now()
	cmd.Process.Kill()
	cmd.Wait()
	orphans := s.count("orphan", 3)
	slices.Sort(began)
	slices.Sort(orphans)
	if diff := cmp.Diff(began, orphans); diff != "" {
		t.Errorf("processes that ended (-want +got):\n%s", diff)
	}
	t.Logf("children knew after %v", time.Since(killed))
	for _, pid := range began {
		s.until("end of a child", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) })
	}
	if took := time.Since(killed); os.Getenv("SOAK") != "" && took > time.Second {
		t.Errorf("children ended %v after their supervisor, which is to take a second at most", took)
	}
}

func zombie(pid int) bool {
	out, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return strings.HasPrefix(string(out), "Z") || len(out) == 0
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.start(supervisor.Options{Plan: plan(child("a", "exit 100"), child("b", "exit 100"))})
		s.returns(supervisor.Stop)
	})
	t.Run("stop of one", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.start(supervisor.Options{Plan: plan(child("a", "exit 100"), child("b", "work "+s.pipe))})
		pid := s.count("began", 1)[0]
		s.until("stop", func() bool { return s.state.Children == 1 && s.state.Running == 1 })
		// That it is not started again shows when the other one was.
		syscall.Kill(pid, syscall.SIGKILL)
		s.count("began", 2)
		if n := strings.Count(s.log.String(), "child=a"); n != 2 {
			t.Errorf("%d lines about the child that stopped, want its start and its end:\n%s", n, s.log.String())
		}
		s.end()
		s.returns(supervisor.End)
	})
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.start(supervisor.Options{Finish: syscall.SIGUSR1, Plan: plan(child("a", "work "+s.pipe), child("b", "work "+s.pipe))})
		pid := s.count("began", 2)[0]
		syscall.Kill(pid, syscall.SIGUSR1)
		s.returns(supervisor.Restart)
		if n := len(s.count("user defined signal 1", 2)); n != 2 {
			t.Errorf("%d children were told to finish, want both", n)
		}
	})
	t.Run("recycle", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.start(supervisor.Options{Plan: plan(child("a", "recycle"))})
		s.until("recycling", func() bool { return strings.Count(s.log.String(), "child recycled") >= 3 })
		s.end()
		s.returns(supervisor.End)
		if log := s.log.String(); strings.Contains(log, "crash loop") || !strings.Contains(log, "reason=limit") {
			t.Errorf("the log of a child that recycles:\n%s", log)
		}
	})
}

// Signals reach the children: that of a reload, the second one, and none of them twice.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	reload, abort := make(chan os.Signal), make(chan struct{})
	s.start(supervisor.Options{Plan: plan(child("a", "work "+s.pipe), stubborn("b", s.pipe)), Reload: reload, Abort: abort, AbortGrace: time.Second})
	s.count("began", 2)
	s.until("work", func() bool { return s.state.Begun })
	reload <- syscall.SIGHUP
	s.count("hangup", 1)
	s.end()
	s.count("terminated", 1)
	s.count("asked", 1)
	close(abort)
	// It is killed.
	s.returns(supervisor.End)
	if got := s.count("interrupted", 1); len(got) != 1 {
		t.Errorf("SIGINT came %d times, want once", len(got))
	}
}

// stubborn returns a child that goes on whatever it is told.
func stubborn(name, pipe string) supervisor.Child {
	return supervisor.Child{Name: name, Command: func() *exec.Cmd {
		return exec.Command("/bin/sh", "-c", `exec 9>"$1"; trap 'echo asked $$ >&9' TERM; trap 'echo interrupted $$ >&9' INT; trap : HUP
			echo began $$ >&9; while :; do sleep 0.1; done`, "sh", pipe)
	}}
}
