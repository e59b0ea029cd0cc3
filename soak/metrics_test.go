package soak_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A counted runner tells its metrics at a socket, and notes what it starts in a file that is its own.
type counted struct {
	*runner
	socket string
	last   map[string]int // what it told when it was last asked
	killed bool
}

// startCounted starts the runner of a number that none had before.
func startCounted(t *testing.T, dir string, n int, args ...string) *counted {
	t.Helper()
	c := &counted{socket: filepath.Join(dir, fmt.Sprintf("%d.sock", n)), last: map[string]int{}}
	c.runner = start(t, dir, n, append(args, "--http", "unix:"+c.socket)...)
	return c
}

// ask returns the counters of the notes, by name and result, or false if the runner does not answer.
func (c *counted) ask(t *testing.T) (map[string]int, bool) {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
		},
	}}
	res, err := client.Get("http://runner/metrics")
	if err != nil {
		return nil, false
	}
	defer res.Body.Close()
	got := map[string]int{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, labels, ok := strings.Cut(name, "{")
		if !ok || !strings.Contains(labels, `type="note"`) || !strings.HasSuffix(name, "_total") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q", lines.Text())
		}
		if _, result, ok := strings.Cut(labels, `result="`); ok {
			result, _, _ = strings.Cut(result, `"`)
			name += " " + result
		}
		got[strings.TrimPrefix(name, "jobqueue_")] += int(n)
	}
	if lines.Err() != nil {
		return nil, false
	}
	c.last = got
	return got, true
}

// sum adds up one counter as it was last told.
func sum(all []*counted, name string) (n int) {
	for _, c := range all {
		n += c.last[name]
	}
	return n
}

// TestMetricsAgreeWithEffects kills runners with SIGKILL while they have jobs in hand, and compares what is left of
// their counters with what the jobs have done and with the store. A process takes its counters along when it is
// killed, so that of those only the last that was asked for is known, which is no more than the truth.
func TestMetricsAgreeWithEffects(t *testing.T) {
	length, asked := duration(t)
	wanted := 4
	if asked {
		wanted = 30
	}
	dir := t.TempDir()
	farm := filepath.Join(dir, "farm.yaml")
	if err := os.WriteFile(farm, []byte("domains: [wiki]\nbackends: {main: {kind: sqlite, path: jobs.db}}\ndefault: {lease: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open(filepath.Join(dir, "jobs.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ours := metrics.New(metrics.Options{})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b, Trace: ours.Trace()})
	d, pushed := drill{}, 0
	push := func(n int) {
		t.Helper()
		if _, err := g.Push(t.Context(), d.jobs(pushed, n)...); err != nil {
			t.Fatal(err)
		}
		pushed += n
	}
	var all, dead []*counted
	alive := make([]*counted, 3)
	begin := func(i int) {
		alive[i] = startCounted(t, dir, len(all), "--config", farm, "--procs", fmt.Sprint(procs))
		all = append(all, alive[i])
	}
	for i := range alive {
		begin(i)
	}
	const batch = 500
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); len(dead) < wanted || time.Now().Before(end); <-tick.C {
		for backlog(t, g) < 2*batch {
			push(batch)
		}
		victim := rand.IntN(len(alive))
		c := alive[victim]
		// It is to have something in hand, and to have told something.
		if got, ok := c.ask(t); !ok || got["jobs_done_total"] == 0 {
			continue
		}
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.cmd.Wait()
		c.killed = true
		dead = append(dead, c)
		begin(victim)
	}
	empty := func(n jobqueue.Counts) bool { return n.Ready+n.Delayed+n.Claimed == 0 }
	await(t, g, empty)
	askAll := func() {
		t.Helper()
		for _, c := range alive {
			c.until(t)
		}
	}
	askAll()
	before := sum(alive, "jobs_done_total")

	// Nobody dies any more: what is done is what is pushed, to the last job.
	push(4 * batch)
	await(t, g, empty)
	askAll()
	if n := sum(alive, "jobs_done_total") - before; n != 4*batch {
		t.Errorf("%d jobs were counted as done, after %d had been pushed", n, 4*batch)
	}

	seen := map[string]int{} // starts of each job
	died := map[string]int{} // of these, such as were in processes that were killed
	for _, c := range dead {
		c.count(t, died)
	}
	lost := 0
	for _, c := range all {
		mine := map[string]int{}
		starts := c.count(t, mine)
		for id, n := range mine {
			seen[id] += n
		}
		runs := c.runs()
		switch {
		case c.killed && runs > starts:
			t.Errorf("a runner that was killed told of %d runs, and had begun %d", runs, starts)
		case c.killed:
			continue
		case runs != starts:
			t.Errorf("a runner counts %d runs, and did %d", runs, starts)
		}
		ok, done, gone := c.last["runs_total ok"], c.last["jobs_done_total"], c.last["jobs_lost_claims_total"]
		if done > ok || done+gone < ok {
			t.Errorf("a runner counts %d runs that went well, %d jobs done, %d claims lost", ok, done, gone)
		}
		again := 0 // jobs that it did after their claim had run out with somebody else's end
		for id := range mine {
			if died[id] > 0 {
				again++
			}
		}
		if n := c.last["jobs_suspect_total"]; n < again {
			t.Errorf("a runner counts %d claims of suspects, and ran %d jobs again", n, again)
		}
		if n := c.last["jobs_recycled_total"]; n+gone < again {
			t.Errorf("a runner counts %d claims that ran out, and ran %d jobs again", n, again)
		}
		lost += gone
	}
	if len(seen) != pushed {
		t.Errorf("%d jobs started, %d were pushed", len(seen), pushed)
	}
	if n := own(t, ours, "jobqueue_jobs_pushed_total"); n != pushed {
		t.Errorf("%d jobs are counted as pushed, of %d", n, pushed)
	}
	// Each job was done once, by somebody.
	left, took := sum(alive, "jobs_done_total"), 0
	for _, n := range died {
		took += n
	}
	if told := sum(dead, "jobs_done_total"); left+told > pushed || left+took < pushed {
		t.Errorf("%d jobs done by those alive, %d known of the dead, who had begun %d: %d were pushed", left, told, took, pushed)
	}
	for _, name := range []string{"jobs_abandoned_total", "jobs_failed_total", "jobs_retried_total", "jobs_exhausted_total"} {
		if n := sum(all, name); n != 0 {
			t.Errorf("%s is %d", name, n)
		}
	}
	counts, err := g.Counts(t.Context(), jobqueue.Name{Domain: "wiki", Type: "note"})
	if err != nil || counts[0].Total() != 0 {
		t.Errorf("%v, %v", counts, err)
	}
	for _, c := range alive {
		if res := c.stop(t); res.Counts.Done != c.last["jobs_done_total"] {
			t.Errorf("a runner says that it did %d jobs, and counts %d", res.Counts.Done, c.last["jobs_done_total"])
		}
	}
	t.Logf("%d jobs, %d kills, %d claims lost, %d jobs done by those alive", pushed, len(dead), lost, left)
}

// runs returns how many runs the runner has told of.
func (c *counted) runs() (n int) {
	for name, v := range c.last {
		if strings.HasPrefix(name, "runs_total") {
			n += v
		}
	}
	return n
}

// until asks until the runner tells of all runs that it has begun: one that lost its claim may go on when all is done.
func (c *counted) until(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if _, ok := c.ask(t); ok && c.runs() == c.count(t, map[string]int{}) {
			return
		}
	}
}

// own returns a counter of the notes in this process.
func own(t *testing.T, m *metrics.Metrics, name string) int {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, s := range f.Metric {
				n += s.Counter.GetValue()
			}
		}
	}
	return int(n)
}
