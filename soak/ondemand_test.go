//go:build unix

package soak_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// The rules of the drill.
const (
	visitInterval = 2 * time.Second
	visitTTL      = 3 * time.Second
	longestWait   = visitInterval + visitTTL + time.Second
)

// TestOnDemand has three web servers run many domains on demand while they are killed at random: no two runs of a domain at once or
// within the interval, each visit is followed by a run, and no job is lost.
func TestOnDemand(t *testing.T) {
	for name, backend := range map[string]func(*testing.T) string{
		"postgres": func(t *testing.T) string {
			d := newDatabase(t, time.Second)
			return fmt.Sprintf("{kind: postgres, url: %q, schema: %s}", d.server.URL, d.schema)
		},
		"redis": func(t *testing.T) string {
			s, err := redistest.Private()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			return fmt.Sprintf("{kind: redis, url: %q}", s.URL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &town{T: t, length: 5 * time.Second, domains: 20, visitors: 2, calm: time.Second}
			if length, asked := duration(t); asked {
				d.length, d.domains, d.visitors, d.calm = max(length, 2*time.Minute), 200, 8, 3*time.Second
			}
			d.dir = t.TempDir()
			d.farm = filepath.Join(d.dir, "farm.yaml")
			text := fmt.Sprintf("backends: {main: %s}\ndefault: {lease: 1s, maxTries: 20}\nondemand: {interval: %v, ttl: %v, keep: 200}\n", backend(t), visitInterval, visitTTL)
			if err := os.WriteFile(d.farm, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				d.servers = append(d.servers, d.serve())
			}
			d.kill()
			d.judge()
		})
	}
}

// A town has web servers, whose visitors and killer it is.
type town struct {
	*testing.T
	length, calm      time.Duration // calm is the least time between two deaths
	domains, visitors int
	dir, farm         string

	mu      sync.Mutex
	servers []*server
	visits  []visited
	dead    map[int]time.Time // processes that were killed
}

// A server is a process that is visited.
type server struct {
	cmd *exec.Cmd
	url string
}

// visited is a visit that was answered.
type visited struct {
	n, domain string
	at        time.Time // when the answer came
	pid       int
}

// serve starts a server.
func (d *town) serve() *server {
	d.Helper()
	s := &server{cmd: exec.Command(os.Args[0])}
	s.cmd.Env = append(os.Environ(), replicaVar+"="+d.farm, startsVar+"="+filepath.Join(d.dir, "ledger"))
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { s.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		d.Fatalf("a server has not started: %v", err)
	}
	s.url = "http://" + strings.TrimSpace(line)
	return s
}

// visit visits a domain, at any of the servers that live, and reports whether that was answered.
func (d *town) visit(domain, n string) bool {
	d.mu.Lock()
	s := d.servers[rand.IntN(len(d.servers))]
	d.mu.Unlock()
	answer, err := http.Get(s.url + "/?domain=" + domain + "&n=" + n)
	if err != nil {
		return false // it was killed
	}
	at := time.Now()
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		d.Errorf("a visit was answered with %s %s, %v", answer.Status, text, err)
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.visits = append(d.visits, visited{n, domain, at, s.cmd.Process.Pid})
	return true
}

// kill has visitors come while servers are killed and replaced, and at the end one more to each domain.
func (d *town) kill() {
	d.dead = map[int]time.Time{}
	over, closed := time.Now().Add(d.length), make(chan struct{})
	var all sync.WaitGroup
	for v := range d.visitors {
		all.Go(func() {
			for n := 0; ; n++ {
				d.visit(fmt.Sprint("wiki", rand.IntN(d.domains)), fmt.Sprintf("%d-%d", v, n))
				select {
				case <-closed:
					return
				case <-time.After(rand.N(40 * time.Millisecond)):
				}
			}
		})
	}
	for len(d.dead) < 2 || time.Now().Before(over) {
		<-time.After(d.calm + rand.N(d.calm))
		i := rand.IntN(len(d.servers))
		s := d.servers[i]
		if err := s.cmd.Process.Kill(); err != nil {
			d.Error(err)
		}
		s.cmd.Wait()
		next := d.serve()
		d.mu.Lock()
		d.dead[s.cmd.Process.Pid], d.servers[i] = time.Now(), next
		d.mu.Unlock()
	}
	close(closed)
	all.Wait()
	for i := range d.domains {
		if !d.visit(fmt.Sprint("wiki", i), fmt.Sprint("last-", i)) {
			d.Errorf("the last visit to wiki%d was not answered", i)
		}
	}
}

// A stay is a run, as the ledger has it; over is 0 if it has not ended.
type stay struct {
	began, over time.Time
	pid         int
}

// ledger returns the runs of each domain in the order in which they began, and how often each job ran.
func (d *town) ledger() (runs map[string][]*stay, jobs map[string]int) {
	d.Helper()
	f, err := os.Open(filepath.Join(d.dir, "ledger"))
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	runs, jobs = map[string][]*stay{}, map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var what, name string
		var nano int64
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &what, &name, &nano, &pid); err != nil {
			d.Fatalf("%q: %v", lines.Text(), err)
		}
		at := time.Unix(0, nano)
		switch what {
		case "job":
			jobs[name]++
		case "begin":
			runs[name] = append(runs[name], &stay{began: at, pid: pid})
		case "end":
			for _, s := range slices.Backward(runs[name]) {
				if s.pid == pid {
					s.over = at
					break
				}
			}
		}
	}
	for _, of := range runs {
		slices.SortFunc(of, func(a, b *stay) int { return a.began.Compare(b.began) })
	}
	return runs, jobs
}

// judge compares what was promised to the visitors with the ledger, and with what jobctl says of it.
func (d *town) judge() {
	d.Helper()
	// Nobody visits any more: what there is runs nevertheless.
	late := time.Now().Add(time.Minute)
	for {
		_, jobs := d.ledger()
		left := slices.DeleteFunc(slices.Clone(d.visits), func(v visited) bool { return jobs[v.n] > 0 })
		if len(left) == 0 {
			break
		}
		if time.Now().After(late) {
			d.Fatalf("%d jobs of visits that were answered have not run: %v", len(left), left[0])
		}
		<-time.After(50 * time.Millisecond)
	}
	waited := time.Since(d.visits[len(d.visits)-1].at)
	d.settle()
	runs, jobs := d.ledger()
	twice := 0
	for _, n := range jobs {
		twice += n - 1
	}
	if most := len(d.dead) * 4 * 2; twice > most {
		d.Errorf("%d jobs ran twice, want at most the %d that can have been running at %d deaths", twice, most, len(d.dead))
	}
	number, smallest := 0, time.Hour
	for domain, of := range runs {
		number += len(of)
		for i, s := range of[1:] {
			before := of[i]
			over := before.over
			if over.IsZero() {
				over = d.dead[before.pid]
			}
			if over.IsZero() || over.After(s.began) {
				d.Errorf("%s: the run of process %d ended at %v, and that of process %d began at %v", domain, before.pid, over, s.pid, s.began)
			}
			smallest = min(smallest, s.began.Sub(before.began))
		}
	}
	// The ledger is written after a run has begun, sooner or later; jobctl knows exactly.
	if smallest < visitInterval/2 {
		d.Errorf("two runs began within %v", smallest)
	}
	longest, forgotten := time.Duration(0), 0
	for _, v := range d.visits {
		of := runs[v.domain]
		i := slices.IndexFunc(of, func(s *stay) bool { return s.began.After(v.at) || s.over.IsZero() || s.over.After(v.at) })
		wait := longestWait + time.Hour
		if i >= 0 {
			wait = max(0, of[i].began.Sub(v.at))
		}
		if died := d.dead[v.pid]; wait > longestWait && !died.IsZero() && died.Before(v.at.Add(longestWait)) {
			forgotten++ // its job waited for the next visit
			continue
		}
		longest = max(longest, wait)
	}
	if longest > longestWait+time.Second { // the ledger is written a little later
		d.Errorf("a visit waited %v for a run, want %v at most", longest, longestWait)
	}
	d.Logf("%d visits to %d domains at servers of which %d were killed: %d runs, none within %v; waits up to %v; %d jobs ran twice, %d visits were forgotten with their server; %v after the last visit all jobs had run",
		len(d.visits), d.domains, len(d.dead), number, smallest, longest, twice, forgotten, waited)
	d.audit()
}

// settle waits until no domain has anybody on deck or at work.
func (d *town) settle() {
	d.Helper()
	farm, err := config.Load(d.farm)
	if err != nil {
		d.Fatal(err)
	}
	queues, err := farm.Open(d.Context(), &jobqueue.Registry{})
	if err != nil {
		d.Fatal(err)
	}
	defer queues.Close()
	leases, err := farm.Leases(queues)
	if err != nil {
		d.Fatal(err)
	}
	for late := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		all, err := leases.All(d.Context())
		if err != nil {
			d.Fatal(err)
		}
		busy := 0
		for _, r := range all {
			if r.Next.ID != "" || r.Current.ID != "" && !r.Over {
				busy++
			}
		}
		if busy == 0 {
			return
		}
		if time.Now().After(late) {
			d.Fatalf("%d domains are not at rest", busy)
		}
	}
}

func (d *town) audit() {
	d.Helper()
	cmd := exec.Command(os.Args[0], "ondemand", "audit", "--config", d.farm)
	cmd.Env = append(os.Environ(), controlVar+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	d.Logf("jobctl ondemand audit: %s", out)
	if err != nil {
		text := ""
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			text = string(e.Stderr)
		}
		d.Errorf("audit: %v\n%s", err, text)
	}
	m := regexp.MustCompile(`^domains=(\d+) runs=\d+ crashed=\d+ overlaps=0 min_gap=(\S+) max_wait=(\S+) lost=0\n$`).FindStringSubmatch(string(out))
	if m == nil {
		d.Fatal("that is not what it must say")
	}
	gap, _ := time.ParseDuration(m[2])
	wait, _ := time.ParseDuration(m[3])
	if m[1] != fmt.Sprint(d.domains) || gap < visitInterval || wait > longestWait {
		d.Errorf("want %d domains, no gap below %v, no wait above %v", d.domains, visitInterval, longestWait)
	}
}
