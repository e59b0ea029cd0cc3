package soak_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// wikis are many domains in a Redis server, with an aggregator.
type wikis struct {
	*testing.T
	dir     string
	farm    string
	server  *redistest.Server
	client  *redis.Client
	group   *jobqueue.Group
	domains []string
}

func newWikis(t *testing.T, domains int, more string) *wikis {
	t.Helper()
	w := &wikis{T: t, dir: t.TempDir()}
	var err error
	if w.server, err = redistest.Private(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Stop() })
	w.client = w.server.Client()
	t.Cleanup(func() { w.client.Close() })
	for i := range domains {
		w.domains = append(w.domains, fmt.Sprint("wiki", i))
	}
	w.farm = filepath.Join(w.dir, "farm.yaml")
	text := fmt.Sprintf(`
domainsFile: wikis.txt
backends: {main: {kind: redis, url: %q}}
aggregator: [{kind: redis, url: %q}]
types: {second: {handler: {exec: ["true"]}}, third: {handler: {exec: ["true"]}}}
%s`, w.server.URL, w.server.URL, more)
	for name, text := range map[string]string{"farm.yaml": text, "wikis.txt": strings.Join(w.domains, "\n")} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	farm, err := config.Load(w.farm)
	if err != nil {
		t.Fatal(err)
	}
	q, err := farm.Open(t.Context(), new(jobqueue.Registry))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	w.group = q.Group
	return w
}

// anywhere pushes a note to a domain chosen at random, and returns its queue.
func (w *wikis) anywhere() jobqueue.Name {
	w.Helper()
	n := jobqueue.Name{Domain: w.domains[rand.IntN(len(w.domains))], Type: "note"}
	if _, err := w.group.Push(w.Context(), jobqueue.Spec{Domain: n.Domain, Job: &note{Pushed: time.Now()}}); err != nil {
		w.Fatal(err)
	}
	return n
}

// requests returns the commands that clients send in a span, those of scripts aside.
func (w *wikis) requests(span time.Duration) (all []string) {
	w.Helper()
	c, err := net.Dial("unix", w.server.Socket())
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "MONITOR\r\n"); err != nil {
		w.Fatal(err)
	}
	lines := bufio.NewScanner(c)
	if !lines.Scan() || lines.Text() != "+OK" {
		w.Fatalf("MONITOR: %q, %v", lines.Text(), lines.Err())
	}
	c.SetReadDeadline(time.Now().Add(span))
	for lines.Scan() {
		if from, command, ok := strings.Cut(lines.Text(), "] "); ok && !strings.HasSuffix(from, " lua") {
			all = append(all, command[:min(len(command), 60)])
		}
	}
	return all
}

// TestManyWikis looks at a runner of ten thousand domains with three types each, all empty:
// how many requests it sends, and how soon it starts a job on one of them.
func TestManyWikis(t *testing.T) {
	length, asked := duration(t)
	w := newWikis(t, 10_000, "")
	r := start(t, w.dir, 0, "--config", w.farm)
	gone := func(n jobqueue.Name) {
		t.Helper()
		awaitName(t, w.group, n, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	}
	gone(w.anywhere()) // It is up when this has run.
	if err := w.group.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for h, err := range w.group.Hints(t.Context()) { // until all that was to be told is told and cleared
		if err != nil {
			t.Fatal(err)
		}
		gone(h.Name)
	}
	span := max(length, 30*time.Second) // some requests are so far apart
	requests := w.requests(span)
	rate := float64(len(requests)) / span.Seconds()
	for end := time.Now().Add(length); time.Now().Before(end); {
		gone(w.anywhere())
	}
	r.stop(t)
	delays := delays(t, r.starts)[1:]
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	t.Logf("idle: %.1f requests a second; push to start, %d times: p50 %v, p99 %v, most %v", rate, len(delays), p50, p99, delays[len(delays)-1])
	if rate >= 5 || rate == 0 {
		t.Errorf("%d requests in %v, fewer than 5 a second are wanted:\n%s", len(requests), span, strings.Join(requests, "\n"))
	}
	if asked && p99 > 50*time.Millisecond {
		t.Errorf("a job must start within 50ms (p99)")
	}
}

// TestAggregatorLost takes entries from the aggregator while pushers and a runner work, and
// at last all of them: every job runs.
func TestAggregatorLost(t *testing.T) {
	length, _ := duration(t)
	w := newWikis(t, 1000, "")
	r := start(t, w.dir, 0, "--config", w.farm)
	pushed := 0
	forget := func(part float64) {
		t.Helper()
		for h, err := range w.group.Hints(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if rand.Float64() < part {
				if err := w.client.HDel(t.Context(), "{jobqueue:hints}:type:"+h.Type, h.Domain).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		for range 100 {
			w.anywhere()
			pushed++
		}
		forget(0.3)
	}
	if err := w.client.Del(t.Context(), "{jobqueue:hints}:type:note", "{jobqueue:hints}:types", "{jobqueue:hints}:version").Err(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		w.anywhere()
		pushed++
	}
	await := time.After(2 * time.Minute)
	for left := pushed; left > 0; {
		select {
		case <-await:
			t.Fatalf("%d jobs are left", left)
		default:
		}
		counts, err := w.group.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left = 0
		for _, c := range counts {
			left += c.Total()
		}
	}
	r.stop(t)
	seen := map[string]int{}
	if n := r.count(t, seen); n != pushed || len(seen) != pushed {
		t.Errorf("%d starts of %d jobs, %d were pushed", n, len(seen), pushed)
	}
	delays := delays(t, r.starts)
	t.Logf("%d jobs; push to start: p50 %v, p99 %v, most %v", pushed, delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
}

// starts returns how long after its push each job was started, by id.
func (w *wikis) starts(r *runner) map[string]time.Duration {
	w.Helper()
	data, err := os.ReadFile(r.starts)
	if err != nil {
		w.Fatal(err)
	}
	all := map[string]time.Duration{}
	for line := range strings.Lines(string(data)) {
		id, us, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(us)
		if err != nil {
			w.Fatal(err)
		}
		all[id] = time.Duration(n) * time.Microsecond
	}
	return all
}

// push pushes jobs to a domain and returns their ids.
func (w *wikis) push(domain string, n int, job func(i int) jobqueue.Job) (ids []string) {
	w.Helper()
	for n > 0 {
		specs := make([]jobqueue.Spec, min(n, 1000))
		for i := range specs {
			specs[i] = jobqueue.Spec{Domain: domain, Job: job(i)}
		}
		pushed, err := w.group.Push(w.Context(), specs...)
		if err != nil {
			w.Fatal(err)
		}
		for _, p := range pushed {
			ids = append(ids, p.ID)
		}
		n -= len(specs)
	}
	return ids
}

// empty waits until a queue has no jobs.
func (w *wikis) empty(domain, typ string) {
	w.Helper()
	awaitName(w.T, w.group, jobqueue.Name{Domain: domain, Type: typ}, func(c jobqueue.Counts) bool { return c.Total() == 0 })
}
