//go:build unix

package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// numbered writes down its number when it runs.
type numbered struct {
	Number int
	starts *os.File
}

func (*numbered) Type() string { return "numbered" }

func (j *numbered) Run(context.Context) error {
	_, err := fmt.Fprintln(j.starts, j.Number)
	<-time.After(time.Millisecond)
	return err
}

// TestMoves kills a command that moves jobs from one backend to another again and again, while producers
// push into both and runners serve both: every job runs once, and is never in both.
func TestMoves(t *testing.T) {
	for _, kinds := range [][2]string{{"sqlite", "postgres"}, {"postgres", "redis"}} {
		t.Run(kinds[0]+" to "+kinds[1], func(t *testing.T) {
			length, asked := duration(t)
			newRemoval(t, kinds[0], kinds[1]).run(length, asked)
		})
	}
}

// A removal is two backends, a and b, and what happens on them.
type removal struct {
	*testing.T
	dir    string
	farms  [2]string // whose default is the one or the other
	queues *config.Queues
	rnd    *rand.Rand

	mu     sync.Mutex
	pushed int
}

func newRemoval(t *testing.T, from, to string) *removal {
	m := &removal{T: t, dir: t.TempDir()}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m.rnd = rand.New(rand.NewPCG(seed, 0))
	backends := fmt.Sprintf("backends:\n  a: %s\n  b: %s\n", m.backend(from), m.backend(to))
	for i, name := range []string{"a", "b"} {
		m.farms[i] = filepath.Join(m.dir, name+".yaml")
		if err := os.WriteFile(m.farms[i], fmt.Appendf(nil, "%sdefault: {backend: %s}\n", backends, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	farm, err := config.Load(m.farms[0])
	if err != nil {
		t.Fatal(err)
	}
	if m.queues, err = farm.Open(t.Context(), &jobqueue.Registry{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.queues.Close() })
	return m
}

// backend starts what a backend of a kind needs, and returns what the farm file says of it.
func (m *removal) backend(kind string) string {
	m.Helper()
	stop := func(stop func() error) {
		m.Cleanup(func() {
			if err := stop(); err != nil {
				m.Error(err)
			}
		})
	}
	switch kind {
	case "redis":
		server, err := redistest.Private()
		if err != nil {
			m.Fatal(err)
		}
		stop(server.Stop)
		return fmt.Sprintf("{kind: redis, url: %q}", server.URL)
	case "postgres":
		server, err := pgtest.Start()
		if err != nil {
			m.Fatal(err)
		}
		stop(server.Stop)
		schema, drop := server.Schema()
		m.Cleanup(func() { drop() })
		if err := postgres.Migrate(m.Context(), server.URL, &postgres.Options{Schema: schema}); err != nil {
			m.Fatal(err)
		}
		return fmt.Sprintf("{kind: postgres, url: %q, schema: %s}", server.URL, schema)
	}
	return "{kind: sqlite, path: jobs.db}"
}

func (m *removal) store(i int) jobqueue.Backend { return m.queues.Stores[i].Backend }

// push pushes jobs into a backend, some of them delayed, some with a digest of their own, some with a root.
func (m *removal) push(i, n int) {
	m.mu.Lock()
	first := m.pushed
	m.pushed += n
	m.mu.Unlock()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: m.store(i)})
	specs := make([]jobqueue.Spec, n)
	for k := range specs {
		s := &specs[k]
		s.Job = &numbered{Number: first + k}
		switch (first + k) % 5 {
		case 1:
			s.Delay = time.Duration((first+k)%700) * time.Millisecond
		case 2:
			s.Dedupe = true
		case 3:
			s.Root.Key = fmt.Sprint("page ", first+k)
		}
	}
	if _, err := g.Push(m.Context(), specs...); err != nil {
		m.Error(err)
	}
}

// copy starts the command.
func (m *removal) copy(args ...string) (*exec.Cmd, *bytes.Buffer) {
	m.Helper()
	var out bytes.Buffer
	c := exec.Command(os.Args[0], append([]string{"copy", "--config", m.farms[1], "--from", "a", "--to", "b"}, args...)...)
	c.Env = append(os.Environ(), controlVar+"=1")
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { c.Process.Kill() })
	return c, &out
}

// held returns how many holds there are in either backend.
func (m *removal) held() (n int) {
	for i := range 2 {
		holds, err := m.store(i).(jobqueue.Holder).Holds(m.Context())
		if err != nil {
			m.Error(err)
		}
		n += len(holds)
	}
	return n
}

// apart checks that no job waits in both backends. It asks b first: what is there by then can no more be in a.
func (m *removal) apart() {
	in := map[string]bool{}
	for _, i := range []int{1, 0} {
		for e, err := range m.store(i).List(m.Context(), jobqueue.Filter{}) {
			switch {
			case err != nil:
				m.Error(err)
				return
			case i == 1:
				in[string(e.Params)] = true
			case in[string(e.Params)]:
				m.Errorf("job %s is in both", e.Params)
			}
		}
	}
}

func (m *removal) run(length time.Duration, asked bool) {
	wanted := 4
	if asked {
		wanted = 40
	}
	m.push(0, 2000)
	runners := []*runner{
		start(m.T, m.dir, 0, "--config", m.farms[0], "--procs", "4"), start(m.T, m.dir, 1, "--config", m.farms[1], "--procs", "4"),
	}
	ctx, stop := context.WithCancel(m.Context())
	var work sync.WaitGroup
	for i, batch := range []int{50, 10} {
		work.Go(func() {
			for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
				m.push(i, batch)
			}
		})
	}
	work.Go(func() {
		for ctx.Err() == nil {
			m.apart()
		}
	})
	kills, found := 0, 0
	for end := time.Now().Add(length); kills < wanted || found == 0 || time.Now().Before(end); kills++ {
		m.push(0, 1000)
		if m.kill() {
			found++
		}
	}
	stop()
	work.Wait()
	m.Logf("%d kills, %d of them while something was held", kills, found)
	for tries := 0; ; tries++ {
		c, out := m.copy("--move")
		err := c.Wait()
		if err == nil {
			break
		}
		// Jobs of a that are given back, or whose delay is over, may come to wait.
		if _, exited := errors.AsType[*exec.ExitError](err); !exited || c.ProcessState.ExitCode() != 1 || tries > 20 {
			m.Fatalf("%v\n%s", err, out)
		}
	}
	m.verify(runners)
}

// kill kills a move after a while, or once it is seen to hold something, and reports whether it did.
func (m *removal) kill() (held bool) {
	m.Helper()
	if m.rnd.IntN(3) == 0 {
		other, _ := m.copy("--move") // at the same time
		defer func() {
			other.Process.Kill()
			other.Wait()
		}()
	}
	c, out := m.copy("--move")
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	after := time.After(time.Duration(m.rnd.Int64N(int64(400 * time.Millisecond))))
	if m.rnd.IntN(2) == 0 {
		after = nil
	}
	for left := m.rnd.IntN(3); left >= 0; {
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
				m.Fatalf("%v\n%s", err, out)
			}
			return m.held() > 0
		case <-after:
			left = -1
		default:
			if m.held() > 0 {
				left--
			}
		}
	}
	if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.Fatal(err)
	}
	<-ended
	return m.held() > 0
}

// verify waits until everything has run, and checks that it did so once.
func (m *removal) verify(runners []*runner) {
	m.Helper()
	for i := range 2 {
		awaitName(m.T, jobqueue.NewGroup("wiki", jobqueue.Routes{Default: m.store(i)}), jobqueue.Name{Domain: "wiki", Type: "numbered"},
			func(c jobqueue.Counts) bool { return c.Total() == 0 })
	}
	if n := m.held(); n > 0 {
		m.Errorf("%d holds are left", n)
	}
	seen, lines := map[string]int{}, 0
	for _, r := range runners {
		if res := r.stop(m.T); res.Counts.Failed+res.Counts.Lost > 0 {
			m.Errorf("%+v\n%s", res, r.stderr.String())
		}
		f, err := os.Open(r.starts)
		if err != nil {
			m.Fatal(err)
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); lines++ {
			seen[s.Text()]++
		}
	}
	for number, n := range seen {
		if n != 1 {
			m.Errorf("job %s ran %d times", number, n)
		}
	}
	if len(seen) != m.pushed {
		m.Errorf("%d jobs ran, %d were pushed", len(seen), m.pushed)
	}
	m.Logf("%d jobs", lines)
}
