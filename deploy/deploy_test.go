//go:build linux

// Package deploy_test checks what is shipped to run the commands with.
package deploy_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/config"
)

// build makes the commands as the Containerfile says, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "deploy")
	if err != nil {
		return "", err
	}
	runs, err := instructions("RUN")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(strings.Join(runs, "\n"), "/out/", dir+"/"))
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, err := build(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

func bin(t *testing.T) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// systemd finds no fault with the units.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 3 {
		t.Fatalf("%v, %v, want three units", units, err)
	}
	dir := t.TempDir()
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin", bin(t))), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput()
		// It also reads units of the system it runs on, with which others may be at fault.
		var ours []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "jobqueue") || strings.Contains(line, "runjobs") || strings.Contains(line, "rror") {
				ours = append(ours, line)
			}
		}
		if err != nil || len(ours) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// command returns the words of a unit's ExecStart, with files of this test.
func command(t *testing.T, unit, farm string) []string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\nExecStart=")
	line, _, _ := strings.Cut(after, "\n")
	line = strings.NewReplacer("/usr/local/bin", bin(t), "/etc/jobqueue/farm.yaml", farm, "%%", "%", "%i", "basic").Replace(line)
	return strings.Fields(line)
}

// A manager stands for systemd.
type manager struct {
	*testing.T
	socket *net.UnixConn
	mu     sync.Mutex
	heard  []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	c, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{T: t, socket: c}
	t.Cleanup(func() { c.Close() })
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.heard = append(m.heard, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// hears waits until something was said so often.
func (m *manager) hears(what string, times int) {
	m.Helper()
	until(m.T, fmt.Sprintf("%d × %s", times, what), func() bool { return m.count(what) >= times })
}

func (m *manager) count(what string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.heard {
		if h == what {
			n++
		}
	}
	return n
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in a minute", what)
		}
	}
}

// newFarm writes a farm file with one group.
func newFarm(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "farm.yaml")
	text := "backends: {main: {kind: sqlite, path: jobs.db}}\ngroups: {basic: {workers: 4, processes: 2, include: ['*']}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the units start tells systemd that it is ready, alive, reading its files, and about to end.
func TestNotify(t *testing.T) {
	for _, unit := range []string{"systemd/jobqueue.service", "systemd/jobqueue@.service"} {
		m := newManager(t)
		words := command(t, unit, newFarm(t))
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.socket.LocalAddr().String(), "WATCHDOG_USEC=4000000", "GOMEMLIMIT=1GiB")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		m.hears("READY=1", 1)
		m.hears("STATUS=2 of 2 processes work", 1)
		m.hears("WATCHDOG=1", 3)
		cmd.Process.Signal(syscall.SIGHUP)
		m.hears("RELOADING=1", 1)
		m.hears("READY=1", 2)
		cmd.Process.Signal(syscall.SIGTERM)
		m.hears("STOPPING=1", 1)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, stderr.String())
		}
	}
}

// The program of the other unit needs no notification, and obeys its signals.
func TestUnitOfOne(t *testing.T) {
	words := command(t, "systemd/runjobs.service", newFarm(t))
	dir := t.TempDir()
	cmd := exec.Command(words[0], append(words[1:], "--pid-file", filepath.Join(dir, "pid"))...)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=1GiB")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	until(t, "pid file", func() bool { _, err := os.Stat(filepath.Join(dir, "pid")); return err == nil })
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() >= 0 {
		t.Error(err)
	}
}

// The programs of the container need nothing but themselves.
func TestStatic(t *testing.T) {
	for _, name := range []string{"runjobs", "jobctl"} {
		f, err := elf.Open(filepath.Join(bin(t), name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is linked dynamically", name)
			}
		}
	}
}

// The farm file of the example is one.
func TestComposeFarm(t *testing.T) {
	t.Setenv("JOBS_PASSWORD", "secret")
	if _, err := config.Load("container/farm.yaml"); err != nil {
		t.Error(err)
	}
}

// As the first process of a container the supervisor reaps what others leave behind.
func TestFirstProcess(t *testing.T) {
	dir := t.TempDir()
	farm := filepath.Join(dir, "farm.yaml")
	// What the job leaves in a session of its own ends after it, when its shim has been killed as well.
	job := `{exec: [/bin/sh, -c, 'echo >>begun; exec sleep 1000']}`
	text := "backends: {main: {kind: sqlite, path: jobs.db}}\ntypes: {sleep: {handler: " + job + "}}\n"
	if err := os.WriteFile(farm, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	push := exec.Command(filepath.Join(bin(t), "jobctl"), "push", "--config", farm, "--type", "sleep", "--domain", "wiki")
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc",
		filepath.Join(bin(t), "runjobs"), "supervise", "--config", farm, "--processes=1")
	cmd.Dir = dir
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	said := func(what string) bool {
		b, _ := os.ReadFile(log.Name())
		return strings.Contains(string(b), what)
	}
	begun := func() bool { _, err := os.Stat(filepath.Join(dir, "begun")); return err == nil }
	until(t, "job, or message that there is no such container", func() bool { return begun() || said("unshare:") })
	if !begun() {
		b, _ := os.ReadFile(log.Name())
		t.Skipf("no process can be the first one of anything here: %s", b)
	}
	first := childrenOf(cmd.Process.Pid)[0]
	worker := childrenOf(first)[0]
	// The shim of the job, and the job, are orphans then.
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "replacement", func() bool { list := childrenOf(first); return len(list) > 0 && !contains(list, worker) })
	until(t, "end of all orphans", func() bool { list := childrenOf(first); return len(list) == 1 && stateOf(list[0]) != "Z" })
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b, _ := os.ReadFile(log.Name())
		t.Errorf("%v\n%s", err, b)
	}
}

func contains(list []int, n int) bool {
	for _, e := range list {
		if e == n {
			return true
		}
	}
	return false
}

// childrenOf returns the children of a process, those too that have ended and were not reaped.
func childrenOf(parent int) (list []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if f := fieldsOf(pid); len(f) > 1 && f[1] == strconv.Itoa(parent) {
				list = append(list, pid)
			}
		}
	}
	return list
}

func stateOf(pid int) string {
	if f := fieldsOf(pid); len(f) > 0 {
		return f[0]
	}
	return ""
}

// fieldsOf returns the state of a process, its parent and so on.
func fieldsOf(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || len(stat) == 0 {
		return nil
	}
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
}
