package soak_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

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
