//go:build unix

package supervisor_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/supervisor"
)

// A new plan stops what is not in it, starts what is new, and leaves the rest alone.
func TestPlan(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	reload, replan := make(chan os.Signal), make(chan struct{})
	children, err := []supervisor.Child{child("a", "work "+s.pipe), child("b", "work "+s.pipe)}, error(nil)
	s.start(supervisor.Options{Reload: reload, Replan: replan, Plan: func() ([]supervisor.Child, error) { return children, err }})
	first := s.count("began", 2)
	s.until("work", func() bool { return s.state.Begun })
	children = []supervisor.Child{children[0], child("c", "work "+s.pipe)}
	replan <- struct{}{}
	third := s.count("began", 3)[2]
	if gone := s.count("terminated", 1); len(gone) != 1 || !slices.Contains(first, gone[0]) {
		t.Errorf("%v ended, want one of %v", gone, first)
	}
	children, err = nil, io.ErrUnexpectedEOF
	reload <- syscall.SIGHUP
	s.until("refusal", func() bool { return strings.Contains(s.log.String(), "stays as it is") })
	s.end()
	s.returns(supervisor.End)
	if gone := s.count("terminated", 3); len(gone) != 3 || !slices.Contains(gone, third) {
		t.Errorf("%v ended, want three with %d", gone, third)
	}
}

// While one that is not in the plan any more takes its time, new ones wait, but who dies is replaced.
func TestReplacedWhileOthersLeave(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	replan := make(chan struct{})
	children := []supervisor.Child{child("a", "work "+s.pipe), stubborn("b", s.pipe)}
	s.start(supervisor.Options{Grace: time.Hour, Replan: replan, Plan: func() ([]supervisor.Child, error) { return children, nil }})
	s.count("began", 2)
	pid := func(child string) int {
		_, text, _ := strings.Cut(s.log.String(), "child="+child+" pid=")
		n, err := strconv.Atoi(text[:max(0, strings.IndexByte(text, '\n'))])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	children = []supervisor.Child{children[0], child("c", "work "+s.pipe)}
	replan <- struct{}{}
	s.until("departure", func() bool { return strings.Contains(s.log.String(), "not in the plan any more") })
	syscall.Kill(pid("a"), syscall.SIGKILL)
	s.count("began", 3)
	if strings.Contains(s.log.String(), "child=c") {
		t.Errorf("c has begun beside b:\n%s", s.log.String())
	}
	syscall.Kill(pid("b"), syscall.SIGKILL)
	s.count("began", 4)
	s.end()
	s.returns(supervisor.End)
}

// What a child leaves behind in its process group ends with it.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.start(supervisor.Options{Plan: plan(supervisor.Child{Name: "a", Command: func() *exec.Cmd {
		return exec.Command("/bin/sh", "-c", `exec 9>"$1"; sleep 1000 & echo began $! >&9; kill -9 $$`, "sh", s.pipe)
	}})})
	pid := s.count("began", 1)[0]
	s.until("its end", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) })
	s.end()
	s.returns(supervisor.End)
}

// A child that refuses before the work has begun ends all, with what it says; one that does later is like any that ends.
func TestRefusal(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, err := supervisor.Run(t.Context(), supervisor.Options{Plan: plan(child("a", "refuse"), child("b", "work "+s.pipe)), Logger: slog.New(slog.NewTextHandler(s, nil))})
	if e, ok := errors.AsType[*supervisor.RefusalError](err); !ok || e.Child != "a" || e.Text != "no such type\nno such \"domain\"" {
		t.Errorf("Run = %v, want the refusal of a\n%s", err, s.log.String())
	}
	if n := strings.Count(s.log.String(), "child=a"); n != 2 {
		t.Errorf("%d lines about the child that refused, want its start and its end:\n%s", n, s.log.String())
	}

	s = newStage(t)
	replan := make(chan struct{})
	children := []supervisor.Child{child("a", "work "+s.pipe)}
	s.start(supervisor.Options{Replan: replan, Plan: func() ([]supervisor.Child, error) { return children, nil }})
	s.until("work", func() bool { return s.state.Begun })
	children = append(children, child("b", "refuse"))
	replan <- struct{}{}
	s.until("refusals", func() bool { return strings.Count(s.log.String(), "refused: no such type") == 2 && s.state.InOrder() })
	s.end()
	s.returns(supervisor.End)
}

// What a command is given goes to the child alone.
func TestExtraFiles(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.start(supervisor.Options{Plan: plan(supervisor.Child{Name: "a", Command: func() *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", `exec 9>"$1"; read -r word <&3; echo "$word" $$ >&9; exec sleep 1000`, "sh", s.pipe)
		cmd.ExtraFiles = []*os.File{r}
		return cmd
	}})})
	if _, err := w.WriteString("given\n"); err != nil {
		t.Fatal(err)
	}
	s.count("given", 1)
	s.end()
	s.returns(supervisor.End)
	if err := r.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closing it again: %v", err)
	}
}
