package soak_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	jobrunner "github.com/wikifarm/jobqueue/runner"
)

// A change is what follows the first line of a farm file.
func (s *site) change(rest string) {
	s.Helper()
	text, err := os.ReadFile(s.farm)
	if err != nil {
		s.Fatal(err)
	}
	backends, _, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(s.farm+".new", []byte(backends+"\n"+rest), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(s.farm+".new", s.farm); err != nil {
		s.Fatal(err)
	}
}

// alive waits until so many runners say that they are alive, and all of them what is wanted.
func (s *site) alive(n int, want func(jobrunner.Presence) bool) {
	s.Helper()
	for {
		all, err := jobrunner.Runners(s.Context(), s.group)
		if err != nil {
			s.Fatal(err)
		}
		wanted := 0
		for _, p := range all {
			if want(p) {
				wanted++
			}
		}
		if wanted == n && len(all) == n {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestChanges changes the farm file a hundred times while runners drain: every job runs once, nothing is lost, and the last
// change is in force in all of them. With SOAK all of them read each change, else every tenth one; the others are overtaken.
func TestChanges(t *testing.T) {
	_, asked := duration(t)
	changes, jobs, each := 100, 3000, 10
	if asked {
		jobs, each = 100_000, 1
	}
	s := newSite(t)
	s.push(jobs, func(i int, j *note) { j.Takes = time.Duration(i%5) * time.Millisecond })
	runners := make([]*runner, 3)
	for i := range runners {
		runners[i] = start(t, s.dir, i, "--config", s.farm)
	}
	rest := func(workers, lease int) string {
		return fmt.Sprintf("default: {lease: %dms, maxTries: 3}\ngroups: {all: {workers: %d, include: [\"*\"]}}\n", lease, workers)
	}
	for i := range changes {
		workers := 2 + i/each%7
		s.change(rest(workers, 1000+i))
		if i%each == each-1 {
			s.push(100, nil)
			s.alive(len(runners), func(p jobrunner.Presence) bool { return p.Workers == workers })
		}
	}
	s.change(rest(9, 2000))
	s.push(1000, nil)
	await(t, s.group, func(c jobqueue.Counts) bool { return c.Total() == 0 })
	s.alive(len(runners), func(p jobrunner.Presence) bool { return p.Workers == 9 })
	seen, most := map[string]int{}, 0
	for i, r := range runners {
		if c := r.stop(t).Counts; c.Failed+c.Lost+c.Unsettled+c.Stuck > 0 {
			t.Errorf("runner %d: %+v", i, c)
		}
		r.count(t, seen)
		most = max(most, strings.Count(r.stderr.String(), "configuration read"))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s started %d times", id, n)
		}
	}
	if len(seen) != s.pushed {
		t.Errorf("%d jobs ran, %d were pushed", len(seen), s.pushed)
	}
	t.Logf("%d jobs; the most changes that a runner has read are %d", len(seen), most)
}

// TestCommandAway gives a command while one of two runners cannot reach the server: that one obeys when it can, once.
func TestCommandAway(t *testing.T) {
	duration(t)
	s := privateRedis(t)
	g := newGate(t, s.Socket())
	near, far := newKeeper(t, queueredis.Options{URL: s.URL}, time.Second), newKeeper(t, queueredis.Options{URL: g.url}, time.Second)
	runners := []*runner{near.start(0), far.start(1)}
	near.alive(2, func(p jobrunner.Presence) bool { return p.Process != "" })
	g.shut(true)
	var out strings.Builder
	ctl := exec.Command(os.Args[0], "ctl", "reload", "--timeout", "5m", "--config", near.farm)
	ctl.Env = append(os.Environ(), controlVar+"=1")
	ctl.Stdout, ctl.Stderr = &out, &out
	if err := ctl.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ctl.Process.Kill() })
	// The one that is near obeys; the other one counts as alive for a while.
	for ok := false; !ok; {
		all, err := jobrunner.Runners(t.Context(), near.group)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			ok = ok || p.Generation == 2
		}
	}
	g.shut(false)
	if err := ctl.Wait(); err != nil || strings.Count(out.String(), " generation 2\n") != 2 {
		t.Fatalf("%v, %q, want both to have read their file once more", err, out.String())
	}
	near.alive(2, func(p jobrunner.Presence) bool { return p.Generation == 2 })
	for i, r := range runners {
		r.stop(t)
		if n := strings.Count(r.stderr.String(), "msg=command"); n != 1 {
			t.Errorf("runner %d obeyed %d times, want once:\n%s", i, n, r.stderr.String())
		}
	}
}

// shut has the gate let nothing through, or everything again.
func (g *gate) shut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = shut
	for c := range g.open {
		if shut {
			c.Close()
		}
	}
}
