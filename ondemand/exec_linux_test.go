package ondemand_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

func serveOne(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://wiki/", nil))
	return w
}

// A parent is a site that starts processes.
type parent struct {
	*ondemand.Runner
	leases *lease.Store
	path   string
	log    lock
	here   chan string // the domains that ran in it
}

func newParent(t *testing.T, x *ondemand.Exec, change ...func(*ondemand.Options)) *parent {
	p := &parent{path: filepath.Join(t.TempDir(), "q.db"), here: make(chan string, 1000)}
	store, err := sqlite.Open(p.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.leases = &lease.Store{Control: store, Rules: childRules}
	if x.Env == nil {
		x.Env = []string{childStore + "=" + p.path}
	}
	o := ondemand.Options{Leases: p.leases, Exec: x, Logger: slog.New(slog.NewTextHandler(&p.log, nil)),
		Work: []ondemand.Work{{Name: "here", Do: func(_ context.Context, domain string) (int, error) { p.here <- domain; return 1, nil }}}}
	for _, f := range change {
		f(&o)
	}
	p.Runner = ondemand.New(o)
	t.Cleanup(func() {
		if err := errors.Join(p.Close(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
		within(t, "the end of all processes", func() bool { return len(children(t)) == 0 })
		if t.Failed() {
			said, _ := os.ReadFile(p.path + ".error")
			t.Logf("the log says:\n%s%s", &p.log, said)
		}
	})
	return p
}

// told returns what the processes told so far.
func (p *parent) told(t *testing.T) []told {
	data, err := os.ReadFile(p.path + ".told")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var all []told
	for line := range strings.Lines(string(data)) {
		var one told
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// gone reports that there is nothing left of a process, not even its exit status.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// Ten runs, each in a process with nothing of this one's, and nothing left of it after.
func TestExec(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil { // as one that was there when the program began
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	args := []string{"--run", "wiki"}
	p := newParent(t, &ondemand.Exec{Args: func(domain string) []string { return []string{"--run", domain} }})
	h := p.Middleware(fine, hostOf, nil)
	for n := 1; n <= 10; n++ {
		if n%2 == 0 {
			p.Poke("wiki")
		} else if w := serveOne(h); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		within(t, fmt.Sprint("run ", n), func() bool { return len(p.told(t)) == n })
	}
	pids := map[int]bool{}
	for i, it := range p.told(t) {
		within(t, fmt.Sprint("the end of process ", it.PID), func() bool { return gone(it.PID) })
		pids[it.PID] = true
		want := told{PID: it.PID, Session: it.PID, Token: it.Token, Args: args, Env: []string{childStore + "=" + p.path},
			Files: []string{"0 /dev/null", "1 /dev/null", "2 /dev/null"}}
		if diff := cmp.Diff(want, it); diff != "" {
			t.Errorf("run %d (-want +got):\n%s", i, diff)
		}
	}
	if len(pids) != 10 || pids[os.Getpid()] || len(p.here) > 0 || p.log.String() != "" {
		t.Errorf("%d processes, %d runs here:\n%s", len(pids), len(p.here), &p.log)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("left of them: %q", left)
	}
}

func hangOnce(o *ondemand.Options) { o.Exec.Env = append(o.Exec.Env, childDoes+"=hang once") }

// A process that is killed at its work is followed by another, without a visit. It can write nothing more.
func TestExecKilled(t *testing.T) {
	p := newParent(t, &ondemand.Exec{}, hangOnce)
	p.Poke("wiki")
	within(t, "the first run", func() bool { return len(p.told(t)) == 1 })
	first := p.told(t)[0]
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	within(t, "the second run", func() bool { return len(p.told(t)) == 2 })
	t.Logf("the second run began %v after the first was killed, with a TTL of %v", time.Since(killed), childRules.TTL)
	second := p.told(t)[1]
	if second.Token <= first.Token || second.PID == first.PID {
		t.Errorf("%+v after %+v", second, first)
	}
	if err := p.leases.Check(t.Context(), "wiki", first.Token); !errors.Is(err, lease.ErrStale) {
		t.Errorf("the first may write: %v", err)
	}
	for _, it := range []told{first, second} {
		within(t, "the end of a process", func() bool { return gone(it.PID) })
	}
	if len(p.here) > 0 || strings.Count(p.log.String(), "did not end it") != 1 {
		t.Errorf("%d runs here:\n%s", len(p.here), &p.log)
	}
}

// script writes a program.
func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// words returns what programs have written to a file.
func words(path string) []string {
	data, _ := os.ReadFile(path)
	return strings.Fields(string(data))
}

func TestExecReplaced(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "program"), filepath.Join(dir, "out")
	p := newParent(t, &ondemand.Exec{Path: program, Env: []string{"OUT=" + out}})
	for _, version := range []string{"old", "new"} {
		script(t, program, `echo `+version+` $1 >> "$OUT"`)
		p.Poke("wiki")
		within(t, version, func() bool { return slices.Contains(words(out), version) })
	}
	if got, want := words(out), []string{"old", "wiki", "new", "wiki"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// There are two processes of a domain at most, and as many of all as is said. What waits for a place gets it.
func TestExecBounds(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "program"), filepath.Join(dir, "out")
	script(t, program, `echo $1 >> "$OUT"; while [ ! -e "$OUT.$1" ]; do sleep 0.01; done`)
	p := newParent(t, &ondemand.Exec{Path: program, Most: 4, Env: []string{"OUT=" + out, "PATH=" + os.Getenv("PATH")}},
		func(o *ondemand.Options) { o.Concurrent = 1 })
	running := func(want ...string) {
		t.Helper()
		within(t, fmt.Sprint(want), func() bool { return len(words(out)) == len(want) })
		if got := slices.Sorted(slices.Values(words(out))); !slices.Equal(got, want) {
			t.Errorf("processes of %q, want %q", got, want)
		}
	}
	release := func(domain string) {
		if err := os.WriteFile(out+"."+domain, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { release("a"); release("b"); release("c"); release("d") })
	p.Poke("a")
	running("a")
	p.Poke("a")
	running("a", "a")
	p.Poke("a")
	p.Poke("b") // is looked at after a
	running("a", "a", "b")
	p.Poke("c")
	running("a", "a", "b", "c")
	p.Poke("d")
	within(t, "two that wait", func() bool { return p.Waiting() == 2 })
	release("c")
	running("a", "a", "b", "c", "d")
	if n := p.Waiting(); n != 1 {
		t.Errorf("%d domains wait", n)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What ends before it began a run, is run here.
func TestExecFails(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	script(t, program, "exit 3")
	p := newParent(t, &ondemand.Exec{Path: program, Env: []string{"KEY=" + secret}})
	p.Poke("wiki")
	if d := <-p.here; d != "wiki" {
		t.Errorf("%q ran", d)
	}
	if log := p.log.String(); !strings.Contains(log, "exit status 3") || !strings.Contains(log, "could not be started") || strings.Contains(log, secret) {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestExecInline(t *testing.T) {
	program, out := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "out")
	p := newParent(t, &ondemand.Exec{Path: program, Env: []string{"OUT=" + out}})
	h := p.Inline(fine, hostOf, nil, 0)
	if serveOne(h); len(p.here) != 1 || !strings.Contains(p.log.String(), "no such file") {
		t.Errorf("%d runs here:\n%s", len(p.here), &p.log)
	}
	script(t, program, `echo $1 >> "$OUT"`)
	q := newParent(t, &ondemand.Exec{Path: program, Env: []string{"OUT=" + out}})
	serveOne(q.Inline(fine, hostOf, nil, 0))
	within(t, "the process", func() bool { return len(words(out)) == 1 })
	if len(q.here) > 0 || q.log.String() != "" {
		t.Errorf("%d runs here:\n%s", len(q.here), &q.log)
	}
}

// Arguments that panic are a process that cannot be started.
func TestExecPanics(t *testing.T) {
	p := newParent(t, &ondemand.Exec{Args: func(string) []string { panic("no arguments") }})
	p.Poke("wiki")
	if domain := <-p.here; domain != "wiki" {
		t.Errorf("%s ran here", domain)
	}
	if st, err := p.Explain(t.Context(), "wiki"); err != nil || !strings.Contains(p.log.String(), "panic: no arguments") || p.Stats().LaunchFailures == 0 {
		t.Errorf("%+v, %v, %+v", st, err, p.Stats())
	}
}

// A raced store is changed by somebody else right after it was read.
type raced struct {
	jobqueue.Control
	once atomic.Bool
	then func()
}

func (r *raced) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	values, err := r.Control.Values(ctx, prefix)
	if r.once.CompareAndSwap(true, false) {
		r.then()
	}
	return values, err
}

// A process that has left as somebody else was faster on deck does not take along what it was started for: the other one dies.
func TestExecBehind(t *testing.T) {
	c := &raced{}
	p := newParent(t, &ondemand.Exec{}, func(o *ondemand.Options) {
		c.Control = o.Leases.Control
		o.Leases = &lease.Store{Control: c, Rules: childRules}
	})
	take := func(id string, want lease.Place) {
		if g, err := p.leases.Take(t.Context(), "wiki", lease.Party{ID: id}, true); err != nil || g.Place != want {
			t.Error(g, err)
		}
	}
	take("at work", lease.Current)
	c.then = func() { take("on deck", lease.OnDeck) }
	c.once.Store(true)
	p.Poke("wiki")
	within(t, "a run", func() bool { return len(p.told(t)) > 0 })
}
