//go:build unix

package soak_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// family is a program with a child, a grandchild and a daemon in a session of its own, who all hold the pipe that the job names.
const family = `#!/bin/sh
exec 3>"$1"
setsid sh -c 'echo >&3; sleep 1000; exit' &
sh -c 'sh -c "echo >&3; sleep 1000; exit"; exit' &
echo >&3
wait; wait
`

// TestPrograms kills a runner whose jobs are programs: they end, and all they have started.
func TestPrograms(t *testing.T) {
	_, asked := duration(t)
	s := newSite(t)
	program, pipe := filepath.Join(s.dir, "family"), filepath.Join(s.dir, "pipe")
	if err := os.WriteFile(program, []byte(family), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	// Non-blocking, so that it is open before anybody writes to it.
	f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.handle("family", fmt.Sprintf("{exec: [%s, %s]}", program, pipe))
	const jobs = 4
	for range jobs {
		if _, err := s.group.Push(t.Context(), jobqueue.Spec{Type: "family"}); err != nil {
			t.Fatal(err)
		}
	}
	r := s.start(0)
	deadline := time.Now().Add(time.Minute)
	f.SetReadDeadline(deadline)
	for n := 0; n < 3*jobs; {
		// Until the first of them has it open the pipe is at its end.
		k, err := f.Read(make([]byte, 3*jobs-n))
		n += k
		if err != nil && err != io.EOF || time.Now().After(deadline) {
			t.Fatalf("%d of %d processes started: %v", n, 3*jobs, err)
		}
	}
	killed := time.Now()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.cmd.Wait()
	// The pipe ends with the last of them.
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatalf("there are still processes: %v", err)
	}
	took := time.Since(killed)
	t.Logf("%d processes were gone %v after their runner", 3*jobs, took)
	if asked && took > time.Second {
		t.Error("it must be a second at most")
	}
}
