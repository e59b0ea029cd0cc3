//go:build unix

package soak_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// A keeper is a site whose jobs Redis keeps, pushed while its servers die.
type keeper struct {
	*site
	names []jobqueue.Name

	stop      context.CancelFunc
	ended     sync.WaitGroup
	confirmed map[string]bool // ids of pushes that were
	refused   int             // pushes that were not
}

func newKeeper(t *testing.T, o queueredis.Options, lease time.Duration) *keeper {
	t.Helper()
	k := &keeper{site: &site{T: t, dir: t.TempDir()}, confirmed: map[string]bool{}}
	k.farm = filepath.Join(k.dir, "farm.yaml")
	text := fmt.Sprintf("backends: {main: {kind: redis, shards: %d", max(o.Shards, 1))
	for key, value := range map[string]string{"url": o.URL, "master": o.Master} {
		if value != "" {
			text += fmt.Sprintf(", %s: %q", key, value)
		}
	}
	if len(o.Addrs) > 0 {
		text += fmt.Sprintf(`, addrs: ["%s"]`, strings.Join(o.Addrs, `", "`))
	}
	text += fmt.Sprintf("}}\ndefault: {lease: %v, maxTries: 3}\n", lease)
	if err := os.WriteFile(k.farm, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := queueredis.Open(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	k.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b})
	for i := range 12 {
		k.names = append(k.names, jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "note"})
	}
	return k
}

// produce pushes, and keeps a backlog of a thousand jobs and more, until finish.
func (k *keeper) produce() {
	var ctx context.Context
	ctx, k.stop = context.WithCancel(k.Context())
	k.ended.Go(func() {
		for n := 0; ctx.Err() == nil; {
			if left, err := k.left(ctx); err != nil || left > 1000 {
				continue
			}
			specs := make([]jobqueue.Spec, 100)
			for i := range specs {
				specs[i] = jobqueue.Spec{Job: &note{Pushed: time.Now(), Text: fmt.Sprint(n), Takes: 2 * time.Millisecond}, Domain: k.names[n%len(k.names)].Domain}
				n++
			}
			pushed, _ := k.group.Push(ctx, specs...)
			for _, p := range pushed {
				if p.Err == nil {
					k.confirmed[p.ID] = true
				} else {
					k.refused++
				}
			}
		}
	})
}

// left returns how many jobs are to be run.
func (k *keeper) left(ctx context.Context) (n int, err error) {
	counts, err := k.group.Counts(ctx, k.names...)
	for _, c := range counts {
		n += c.Ready + c.Delayed + c.Claimed
	}
	return n, err
}

// until waits for a condition, of which an error does not matter unless it lasts.
func (k *keeper) until(what string, condition func() (bool, error)) {
	k.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		ok, err := condition()
		if ok && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			k.Fatalf("waited two minutes for %s: %v", what, err)
		}
	}
}

// progress waits until runners have started so many more jobs.
func (k *keeper) progress(n int, runners ...*runner) {
	k.Helper()
	starts := func() (sum int) {
		for _, r := range runners {
			sum += r.count(k.T, map[string]int{})
		}
		return sum
	}
	n += starts()
	k.until("jobs to be run", func() (bool, error) { return starts() >= n, nil })
}

// finish waits until all that was pushed has run, and says what was confirmed and never ran, and what ran twice.
func (k *keeper) finish(runners ...*runner) (lost, again int) {
	k.Helper()
	k.stop()
	k.ended.Wait()
	k.until("all jobs to be run", func() (bool, error) { n, err := k.left(k.Context()); return n == 0, err })
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		if res := r.stop(k.T); res.Counts.Failed+res.Counts.Stuck > 0 || res.Reached != "stopped" {
			k.Errorf("%+v\n%s", res, r.stderr.String())
		}
		starts += r.count(k.T, seen)
	}
	for id := range k.confirmed {
		if seen[id] == 0 {
			lost++
		}
	}
	again = starts - len(seen)
	k.Logf("%d jobs were confirmed, %d were not; %d never ran, %d ran again", len(k.confirmed), k.refused, lost, again)
	if len(k.confirmed) == 0 {
		k.Error("no job was pushed")
	}
	if all := k.abandoned(); len(all) > 0 {
		k.Errorf("%d abandoned, such as %+v", len(all), all[0])
	}
	return lost, again
}

// kills returns how often something is killed.
func kills(t *testing.T, least int) int {
	length, asked := duration(t)
	if !asked {
		return least
	}
	return max(3, int(length/(10*time.Second)))
}

func privateRedis(t *testing.T, settings ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Private(append(settings, "auto-aof-rewrite-percentage 0")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRedisKills kills the server while jobs are pushed and run, and starts it again: with appendfsync always nothing that
// was confirmed is lost or runs twice. With everysec a kill takes at most what was not written while the disk was busy, which
// is nothing as a rule; and a power cut takes about the last second.
func TestRedisKills(t *testing.T) {
	for _, c := range []struct {
		name, fsync string
		cut         time.Duration // what of the end of the file goes with a kill
	}{
		{"always", "always", 0},
		{"everysec", "everysec", 0},
		{"everysec, power cut", "everysec", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := privateRedis(t, "appendfsync "+c.fsync)
			k := newKeeper(t, queueredis.Options{URL: s.URL}, 2*time.Second)
			k.produce()
			runners := []*runner{k.start(0), k.start(1)}
			n := kills(t, 2)
			for range n {
				k.progress(1000, runners...)
				size := appended(t, s)
				if c.cut > 0 {
					<-time.After(c.cut)
				}
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
				if c.cut > 0 {
					if err := os.Truncate(appendFile(t, s), size); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			lost, again := k.finish(runners...)
			if undone := lost + again; c.fsync == "always" && undone > 0 || c.cut > 0 && undone == 0 {
				t.Errorf("%d jobs lost and %d run again in %d kills", lost, again, n)
			}
		})
	}
}

// appendFile returns the path of the file that a server appends to.
func appendFile(t *testing.T, s *redistest.Server) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the append-only files are %v, %v", files, err)
	}
	return files[0]
}

func appended(t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	info, err := os.Stat(appendFile(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A gate is a proxy before the socket of a server.
type gate struct {
	url   string
	calls atomic.Int64 // connections, and what is sent in them, as often as something is

	mu     sync.Mutex
	closed bool // shut
	open   map[net.Conn]struct{}
}

func newGate(t *testing.T, socket string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := &gate{url: "redis://" + l.Addr().String(), open: map[net.Conn]struct{}{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(c, socket)
		}
	}()
	return g
}

func (g *gate) serve(c net.Conn, socket string) {
	defer c.Close()
	g.calls.Add(1)
	if !g.enter(c) {
		return
	}
	defer g.leave(c)
	s, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		defer c.Close()
		io.Copy(c, s)
	}()
	io.Copy(io.MultiWriter(s, g), c)
}

// enter notes a connection, unless the gate is shut.
func (g *gate) enter(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.open[c] = struct{}{}
	}
	return !g.closed
}

func (g *gate) leave(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, c)
}

// Write counts what passes.
func (g *gate) Write(p []byte) (int, error) {
	g.calls.Add(1)
	return len(p), nil
}

// TestRedisAway has the server be away for three leases. Runners ask for it now and then, and when it is back they
// go on: no job runs twice, none is lost.
func TestRedisAway(t *testing.T) {
	const lease = 2 * time.Second
	s := privateRedis(t, "appendfsync always")
	g := newGate(t, s.Socket())
	k := newKeeper(t, queueredis.Options{URL: g.url}, lease)
	pusher := newKeeper(t, queueredis.Options{URL: s.URL}, lease)
	pusher.produce()
	runners := []*runner{k.start(0), k.start(1)}
	k.progress(1000, runners...)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	before := g.calls.Load()
	<-time.After(3 * lease)
	calls := g.calls.Load() - before
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	k.progress(1000, runners...)
	t.Logf("%d calls of 2 runners in %v without a server; a thousand jobs had run %v after it was back", calls, 3*lease, time.Since(back))
	if lost, again := pusher.finish(runners...); lost+again > 0 {
		t.Errorf("%d jobs lost and %d run again", lost, again)
	}
	if most := int64(2*3*lease/time.Second) * 24; calls == 0 || calls > most {
		t.Errorf("%d calls while the server was away, want some and at most %d", calls, most)
	}
}

// TestRedisFailOver kills the master that Sentinels watch, and masters of a Cluster, while jobs are pushed and run. Runners go on by
// themselves. What was confirmed and is lost, and what runs twice, is what a replica had not heard of, and what was done on a
// master that was back before all Sentinels knew of another.
func TestRedisFailOver(t *testing.T) {
	t.Run("Sentinels", func(t *testing.T) {
		s, err := redistest.StartSentinels()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop() })
		k := newKeeper(t, queueredis.Options{Addrs: s.Addrs, Master: s.Master}, 2*time.Second)
		k.drill(func() error { return s.Agree(t.Context()) }, func() (*redistest.Server, error) { return s.Now(t.Context()) })
	})
	t.Run("Cluster", func(t *testing.T) {
		c, err := redistest.StartCluster("cluster-node-timeout 1000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Stop() })
		k := newKeeper(t, queueredis.Options{Addrs: c.Addrs, Shards: 12}, 2*time.Second)
		n := 0
		k.drill(func() error { n++; return c.Whole(t.Context()) }, func() (*redistest.Server, error) {
			return c.Owner(t.Context(), fmt.Sprintf("{%s:%d}:", queueredis.DefaultPrefix, n%4))
		})
	})
}

// drill kills what is the master now, again and again, as soon as all servers are in order.
func (k *keeper) drill(inOrder func() error, now func() (*redistest.Server, error)) {
	k.Helper()
	k.produce()
	runners := []*runner{k.start(0), k.start(1)}
	for range kills(k.T, 1) {
		if err := inOrder(); err != nil {
			k.Fatal(err)
		}
		k.progress(1000, runners...)
		old, err := now()
		if err != nil {
			k.Fatal(err)
		}
		begin := time.Now()
		if err := old.Kill(); err != nil {
			k.Fatal(err)
		}
		k.until("another master", func() (bool, error) { s, err := now(); return s != old, err })
		took := time.Since(begin)
		if err := old.Restart(); err != nil {
			k.Fatal(err)
		}
		k.progress(1000, runners...)
		k.Logf("another master after %v, a thousand jobs after %v", took, time.Since(begin))
	}
	k.finish(runners...)
}
