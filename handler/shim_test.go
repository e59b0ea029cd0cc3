//go:build unix

package handler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// TestMain lets the test binary be a runner that is to be killed, which runs the program that it is given, or one that may
// start no more processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "crowded" {
		crowded()
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "run" {
		job := handler.Exec(os.Args[2], os.Args[3:]...)("mail")
		fmt.Println(job.Run(jobqueue.NewContext(context.Background(), claim("{}"))))
		return
	}
	os.Exit(m.Run())
}

// A witness is a named pipe: as long as a process holds it open it lives.
type witness struct {
	path string
	file *os.File
}

func newWitness(t *testing.T) *witness {
	w := &witness{path: filepath.Join(t.TempDir(), "pipe")}
	mkfifo(t, w.path)
	// Non-blocking, so that it is open before any process has it.
	f, err := os.OpenFile(w.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w.file = f
	return w
}

// hears waits until n bytes have been written to the pipe.
func (w *witness) hears(t *testing.T, n int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for buf := make([]byte, 1); n > 0; {
		w.file.SetReadDeadline(deadline)
		switch k, err := w.file.Read(buf); {
		case k > 0:
			n--
		case !errors.Is(err, io.EOF) || time.Now().After(deadline):
			t.Fatalf("the processes did not start: %v", err)
		}
	}
}

// seesEnd waits until no process has the pipe any more, and fails the test if that takes longer than it may.
func (w *witness) seesEnd(t *testing.T, most time.Duration) {
	t.Helper()
	start := time.Now()
	w.file.SetReadDeadline(start.Add(most + 10*time.Second))
	_, err := io.Copy(io.Discard, w.file)
	if took := time.Since(start); err != nil || took > most {
		t.Errorf("a process lived for %v (%v), want at most %v", took, err, most)
	}
}

// family starts a child, a grandchild and a daemon in a session of its own, all with the pipe $1.
const family = `exec 3>"$1"; setsid sh -c 'echo >&3; sleep 1000; exit' & sh -c 'sh -c "echo >&3; sleep 1000; exit"; exit' & echo >&3; wait; wait`

func TestExecRunnerKilled(t *testing.T) {
	w := newWitness(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "run", "/bin/sh", "-c", family, "sh", w.path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.hears(t, 3)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.seesEnd(t, time.Second)
	cmd.Wait()
}

// At the end of its context a job waits until all of its processes are gone, those too that ignore SIGTERM.
func TestExecTimeLimit(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		w.hears(t, 3)
		cancel(runner.ErrTimeout)
	}()
	start := time.Now()
	err := shell(ctx, claim("{}"), `trap '' TERM; `+family, w.path)
	if err == nil || err.Error() != "killed: time limit exceeded" {
		t.Errorf("Run = %v, want that it was killed at the time limit", err)
	}
	if took := time.Since(start); took < 5*time.Second || took > 9*time.Second {
		t.Errorf("Run took %v, want about 5s", took)
	}
	w.seesEnd(t, 100*time.Millisecond)
}

// A program may use SIGTERM to end in order.
func TestExecTerminates(t *testing.T) {
	w := newWitness(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		w.hears(t, 1)
		cancel(runner.ErrStopped)
	}()
	err := shell(ctx, claim("{}"), `exec 3>"$1"; trap 'echo half done >&2; exit 9' TERM; echo >&3; while :; do sleep 0.01; done`, w.path)
	if err == nil || !strings.HasPrefix(err.Error(), "killed: the runner is stopping: ") || !strings.HasSuffix(err.Error(), "half done") {
		t.Errorf("Run = %v, want that it stopped half done", err)
	}
	w.seesEnd(t, time.Second)
}

// What a program leaves behind does not hold its job, and ends.
func TestExecDaemon(t *testing.T) {
	w := newWitness(t)
	start := time.Now()
	if err := shell(t.Context(), claim("{}"), `setsid sh -c 'exec 3>"$1"; echo >&3; sleep 1000; exit' sh "$1" & read x <"$2"`, w.path, w.path); err != nil {
		t.Errorf("Run = %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Run took %v", took)
	}
	w.seesEnd(t, time.Second)
}

func TestExecFlood(t *testing.T) {
	t.Parallel()
	if err := shell(t.Context(), claim("{}"), `head -c 1073741824 /dev/zero`); err != nil {
		t.Errorf("Run = %v of a program that prints 1 GiB", err)
	}
	err := shell(t.Context(), claim("{}"), `head -c 1073741824 /dev/zero | tr '\0' x >&2; echo end >&2; exit 1`)
	if err == nil || !strings.HasSuffix(err.Error(), "xxxend") || len(err.Error()) > jobqueue.MaxError {
		t.Errorf("Run = %.40v of a program that prints 1 GiB of errors, want its last words", err)
	}
}

func TestExecClosedInput(t *testing.T) {
	c := claim(`{"big":"` + strings.Repeat("x", 1<<20) + `"}`)
	if err := shell(t.Context(), c, `exec <&-; exec >&-; exec 2>&-; sleep 0.1; exit 0`); err != nil {
		t.Errorf("Run = %v of a program that closes its files", err)
	}
}

// A program gets no more of the environment than it should, and its parameters nowhere but on standard input.
func TestExecEnvironment(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", "hunter2")
	t.Setenv("JOBQUEUE_SECRET", "hunter2")
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("LANG", "C.UTF-8")
	out := filepath.Join(t.TempDir(), "out")
	p := handler.Program{
		Argv: []string{"/bin/sh", "-c", `env >"$1"; tr '\0' ' ' </proc/$$/cmdline >>"$1"; tr '\0' ' ' </proc/$PPID/cmdline >>"$1"`, "sh", out},
		Env:  map[string]string{"MAILER": "a=b c", "TZ": "UTC"},
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC))
	defer cancel()
	if err := p.Jobs()("mail").Run(jobqueue.NewContext(ctx, claim(`{"password":"swordfish"}`))); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "swordfish") || strings.Contains(string(b), "hunter2") {
		t.Errorf("a secret is in the environment or the arguments:\n%s", b)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "PATH", "HOME":
			line = name
		case "PWD", "OLDPWD", "SHLVL", "_": // the shell's own
			continue
		}
		if !strings.Contains(name, " ") {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want := []string{"HOME", "JOBQUEUE_ATTEMPT=2", "JOBQUEUE_DEADLINE=2100-01-02T03:04:05Z", "JOBQUEUE_DOMAIN=enwiki",
		"JOBQUEUE_ID=17", "JOBQUEUE_TYPE=mail", "LANG=C.UTF-8", "MAILER=a=b c", "PATH", "TZ=UTC"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestExecMemory(t *testing.T) {
	p := handler.Program{Argv: []string{"/bin/sh", "-c", `ulimit -v >&2; head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null`}, Memory: 100 << 20}
	err := p.Jobs()("mail").Run(jobqueue.NewContext(t.Context(), claim("{}")))
	if err == nil || !strings.HasPrefix(err.Error(), "exit status 1: 102400\n") {
		t.Errorf("Run = %v, want a limit of 102400 kB that is too low for tail", err)
	}
	p = handler.Program{Argv: []string{"/bin/true"}, Memory: 100 << 20}
	if err := p.Jobs()("mail").Run(jobqueue.NewContext(t.Context(), claim("{}"))); err != nil {
		t.Errorf("Run = %v of a program that needs little", err)
	}
}

// What cannot be started is the handler's fault.
func TestExecFaults(t *testing.T) {
	dir := t.TempDir()
	for name, file := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"not executable": {"#!/bin/sh\n", 0o600},
		"no interpreter": {"#!/no/such/interpreter\n", 0o700},
		"no program":     {"nothing", 0o700},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
		for _, memory := range []int64{0, 1 << 30} {
			for _, lines := range []bool{false, true} {
				p := handler.Program{Argv: []string{path}, Memory: memory, Lines: lines}
				err := p.Jobs()("mail").Run(jobqueue.NewContext(t.Context(), claim("{}")))
				if !errors.Is(err, jobqueue.ErrFault) || !strings.HasPrefix(err.Error(), path+": ") {
					t.Errorf("%s: Run = %v, want a fault that names the program", name, err)
				}
			}
		}
	}
}

// A program that hangs takes one worker for as long as it may, and nothing else.
func TestExecHung(t *testing.T) {
	t.Parallel() // it mostly waits
	var reg jobqueue.Registry
	p := handler.Program{Argv: []string{"/bin/sh", "-c", `case $(cat) in *hang*) exec sleep 1000;; esac`}}
	job := p.Jobs()
	reg.Add(func() jobqueue.Job { return job("mail") }, jobqueue.Policy{Timeout: 6 * time.Second, MaxTries: 1})
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy})
	for i := range 101 {
		params := fmt.Sprintf(`{"n":%d}`, i)
		if i == 50 {
			params = `{"how":"hang"}`
		}
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "mail", Params: []byte(params)}); err != nil {
			t.Fatal(err)
		}
	}
	var before atomic.Int64
	res, err := runner.Run(t.Context(), g, &reg, &runner.Options{Workers: 4, OnEnd: func(e runner.Ended) {
		if e.Err == nil {
			before.Add(1)
		} else if before.Load() < 100 {
			t.Errorf("%d good jobs had run when the hung one ended, want all", before.Load())
		}
	}})
	if err != nil || res.Counts != (runner.Counts{Done: 100, Failed: 1, Abandoned: 1}) || len(res.Stuck) > 0 {
		t.Errorf("Run = %v, %v, want 100 done and 1 abandoned", res, err)
	}
}

func BenchmarkExec(b *testing.B) {
	lines := handler.Program{Lines: true, Argv: []string{"/bin/sh", "-c", `while read line; do echo '{"id":"17","ok":true}'; done`}}
	for name, jobs := range map[string]func(string) jobqueue.Job{"once": handler.Exec("/bin/true"), "lines": lines.Jobs()} {
		b.Run(name, func(b *testing.B) {
			job := jobs("mail")
			ctx := jobqueue.NewContext(b.Context(), claim("{}"))
			for b.Loop() {
				if err := job.Run(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Whoever kills the shim kills the program.
func TestExecShimKilled(t *testing.T) {
	w := newWitness(t)
	err := shell(t.Context(), claim("{}"), `exec 3>"$1"; echo >&3; kill -9 $PPID; exec sleep 1000`, w.path)
	if err == nil || errors.Is(err, jobqueue.ErrFault) || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Run = %v, want a failure that says what was killed", err)
	}
	w.seesEnd(t, time.Second)
}
