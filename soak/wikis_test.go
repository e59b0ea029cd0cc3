package soak_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
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
	span := max(length, 10*time.Second) // some requests are five seconds apart
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

// TestWikisFlood has one domain push a flood and, a second later, another one ten jobs.
func TestWikisFlood(t *testing.T) {
	length, asked := duration(t)
	flood, rounds := 20_000, 1
	if asked {
		flood, rounds = 200_000, 5
	}
	w := newWikis(t, 100, "")
	r := start(t, w.dir, 0, "--config", w.farm)
	quick := func(int) jobqueue.Job { return &note{Pushed: time.Now()} }
	w.push("wiki1", 10, quick)
	w.empty("wiki1", "note")
	var alone, beside [][]string
	for end := time.Now().Add(length / 3); time.Now().Before(end); {
		alone = append(alone, w.push("wiki1", 10, quick))
		w.empty("wiki1", "note")
	}
	for range rounds {
		w.push("wiki0", flood, func(int) jobqueue.Job {
			return &note{Pushed: time.Now(), Takes: time.Duration(rand.IntN(10)) * time.Millisecond}
		})
		<-time.After(time.Second)
		beside = append(beside, w.push("wiki1", 10, quick))
		w.empty("wiki1", "note")
		if n, err := w.group.Delete(t.Context(), jobqueue.Filter{Domain: "wiki0", States: []jobqueue.State{jobqueue.Ready}}); err != nil || n == 0 {
			t.Fatalf("Delete = %d, %v: the flood was over too soon", n, err)
		}
		w.empty("wiki0", "note")
	}
	r.stop(t)
	starts := w.starts(r)
	last := func(batches [][]string) (all []time.Duration) {
		for _, ids := range batches {
			var most time.Duration
			for _, id := range ids {
				d, ok := starts[id]
				if !ok {
					t.Fatalf("job %s was not started", id)
				}
				most = max(most, d)
			}
			all = append(all, most)
		}
		slices.Sort(all)
		return all
	}
	a, b := last(alone), last(beside)
	limit := 2*a[len(a)/2] + 10*time.Millisecond + 50*time.Millisecond
	t.Logf("ten jobs: alone %v (median of %d), behind a flood of %d %v", a[len(a)/2], len(a), flood, b)
	if asked && b[len(b)/2] > limit {
		t.Errorf("behind the flood they took %v, want %v at most", b[len(b)/2], limit)
	}
}

// TestWikisUrgent pushes urgent jobs now and then beside a flood of low ones of up to 200 ms.
func TestWikisUrgent(t *testing.T) {
	length, asked := duration(t)
	w := newWikis(t, 100, "classes: {urgent: 9, low: 1}\n")
	if err := replace(w.farm, "types: {", "types: {low: {class: low}, "); err != nil {
		t.Fatal(err)
	}
	r := start(t, w.dir, 0, "--config", w.farm, "--procs", "8")
	w.push("wiki1", 1, func(int) jobqueue.Job { return &note{Pushed: time.Now()} })
	w.empty("wiki1", "note") // It is up.
	for i := range 20 {
		w.push(w.domains[i], 1000, func(int) jobqueue.Job {
			return &low{note{Pushed: time.Now(), Takes: time.Duration(rand.IntN(200)) * time.Millisecond}}
		})
	}
	var urgent []string
	for end := time.Now().Add(length); time.Now().Before(end); {
		domain := w.domains[rand.IntN(len(w.domains))]
		urgent = append(urgent, w.push(domain, 1, func(int) jobqueue.Job { return &note{Pushed: time.Now()} })...)
		w.empty(domain, "note")
	}
	if _, err := w.group.Delete(t.Context(), jobqueue.Filter{Type: "low", States: []jobqueue.State{jobqueue.Ready}}); err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	starts := w.starts(r)
	var waits []time.Duration
	for _, id := range urgent {
		d, ok := starts[id]
		if !ok {
			t.Fatalf("job %s was not started", id)
		}
		waits = append(waits, d)
	}
	slices.Sort(waits)
	lows := len(starts) - len(urgent)
	t.Logf("%d urgent jobs waited %v (median), %v at most, while %d others were started", len(waits), waits[len(waits)/2], waits[len(waits)-1], lows)
	if asked && waits[len(waits)-1] > time.Second || lows == 0 {
		t.Errorf("an urgent job must not wait for more than a second, and the others must go on")
	}
}

// replace replaces a text in a file.
func replace(path, old, new string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600)
}

// TestWikisCap runs jobs of a capped type in three runners, one of which is killed.
func TestWikisCap(t *testing.T) {
	const most, jobs = 5, 200
	log := filepath.Join(t.TempDir(), "log")
	w := newWikis(t, 20, fmt.Sprintf("caps: {types: {capped: %d}}\n", most))
	handler := fmt.Sprintf(`capped: {handler: {exec: [sh, -c, 'echo + >>%[1]s; sleep 0.05; echo - >>%[1]s']}}, `, log)
	if err := replace(w.farm, "types: {", "types: {"+handler); err != nil {
		t.Fatal(err)
	}
	specs := make([]jobqueue.Spec, jobs)
	for i := range specs {
		specs[i] = jobqueue.Spec{Domain: w.domains[i%len(w.domains)], Type: "capped"}
	}
	if _, err := w.group.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
	var runners []*runner
	for i := range 3 {
		runners = append(runners, start(t, w.dir, i, "--config", w.farm, "--procs", "8"))
	}
	left := func() (n int) {
		counts, err := w.group.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			n += c.Total()
		}
		return n
	}
	within := time.After(2 * time.Minute)
	for killed := false; ; {
		n := left()
		if n == 0 {
			break
		}
		if !killed && n < jobs/2 {
			killed = true
			if err := runners[0].cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-within:
			t.Fatalf("%d jobs are left", n)
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, r := range runners[1:] {
		r.stop(t)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	running, top, starts := 0, 0, 0
	for line := range strings.Lines(string(text)) {
		if line == "+\n" {
			running++
			starts++
		} else {
			running--
		}
		top = max(top, running)
	}
	// Those of the killed runner do not say that they have ended.
	if died := starts - jobs; died < 0 || top > most+max(died, 0) {
		t.Errorf("%d jobs ran at once, at most %d may; %d starts of %d", top, most, starts, jobs)
	}
	if top < most {
		t.Errorf("%d jobs ran at once at most, there is room for %d", top, most)
	}
	t.Logf("%d starts of %d jobs, %d at once at most", starts, jobs, top)
}
