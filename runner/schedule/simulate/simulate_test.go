package simulate_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
	"github.com/wikifarm/jobqueue/runner/schedule/simulate"
)

// backlog is jobs for 1,000 domains that all have some waiting for longer than 100 s of 64 workers. They
// run for 9 ms, those of the first domain for so many times as long.
func backlog(slow int) (jobs []simulate.Job) {
	for i := range 1000 {
		j := simulate.Job{Name: jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "job"}, Run: 9 * time.Millisecond}
		if i == 0 {
			j.Run *= time.Duration(slow)
		}
		for range 800 {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// Every domain with work gets half to twice its share of the workers in every minute, also if
// one's jobs run 100 times as long as those of the others, and if several runners
// serve them that do not know of each other.
func TestShares(t *testing.T) {
	even, uneven := backlog(1), backlog(100)
	for i, test := range []struct {
		jobs    []simulate.Job
		policy  simulate.Policy
		runners int
		fair    bool
	}{
		{even, simulate.Fair, 1, true},
		{uneven, simulate.Fair, 1, true},
		{uneven, simulate.Fair, 4, true},
		{even, simulate.RoundRobin, 1, true},
		{uneven, simulate.RoundRobin, 1, false},
		{uneven, simulate.Random, 1, false},
		{even, simulate.FIFO, 1, false},
	} {
		o := simulate.Options{Seed: uint64(i), Workers: 64, Runners: test.runners, Duration: 100 * time.Second}
		r := simulate.Run(test.jobs, test.policy, o)
		t.Logf("%d: %s, %d runners: shares %.3f to %.3f, Jain %.4f, busy %.4f", i, test.policy, test.runners, r.Least, r.Most, r.Jain, r.Busy)
		if fair := r.Least >= 0.5 && r.Most <= 2; fair != test.fair {
			t.Errorf("%d: %s with %d runners gives domains %.3f to %.3f of their share", i, test.policy, test.runners, r.Least, r.Most)
		}
		if r.Busy < 0.999 || r.Windows < 4 {
			t.Errorf("%d: workers were busy for %.4f of the time, in %d windows", i, r.Busy, r.Windows)
		}
	}
}

// urgentFlood is a flood of low jobs of up to 200 ms, and urgent ones that come now and then.
func urgentFlood(seed uint64) (jobs []simulate.Job) {
	jobs = simulate.Synthetic{Seed: seed, Domains: 50, Jobs: 20_000, Duration: time.Second, Mean: time.Millisecond}.Load()
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range jobs {
		jobs[i].Type, jobs[i].Run = "low", time.Duration(1+rng.IntN(200))*time.Millisecond
	}
	for i := range 100 {
		n := jobqueue.Name{Domain: fmt.Sprint("wiki", rng.IntN(100)), Type: "urgent"}
		jobs = append(jobs, simulate.Job{Name: n, At: time.Second + time.Duration(i)*500*time.Millisecond, Run: 20 * time.Millisecond})
	}
	return jobs
}

var twoClasses = schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int {
	if typ == "low" {
		return 1
	}
	return 0
}}

// A flood of less urgent jobs does not delay an urgent one for long, however few workers there are and
// however many runners share them.
func TestUrgent(t *testing.T) {
	for seed := range uint64(4) {
		for _, o := range []simulate.Options{{Workers: 1}, {Workers: 8}, {Workers: 8, Runners: 4}} {
			o.Seed, o.Duration, o.Plan = seed, time.Minute, twoClasses
			r := simulate.Run(urgentFlood(seed), simulate.Fair, o)
			if n := r.Classes[0]; n.Jobs != 100 || n.Longest > 250*time.Millisecond {
				t.Errorf("%d workers of %d runners: an urgent job waited for %v", o.Workers, o.Runners, n.Longest)
			}
			if r.Busy < 0.99 || r.Wait.Started == r.Wait.Jobs {
				t.Errorf("%d workers of %d runners: no flood, busy %v, %+v", o.Workers, o.Runners, r.Busy, r.Wait)
			}
		}
		o := simulate.Options{Workers: 8, Duration: time.Minute}
		o.Plan = schedule.Plan{Shares: []float64{1, 0.001}, Class: func(string) int { return 0 }}
		if r := simulate.Run(urgentFlood(seed), simulate.FIFO, o); r.Wait.Longest < 10*time.Second {
			t.Errorf("in the order of their arrival jobs waited for %v at most", r.Wait.Longest)
		}
	}
}

// A flood of urgent jobs leaves the others their share, also if these run for much longer.
func TestFloor(t *testing.T) {
	for _, low := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 5 * time.Second} {
		var jobs []simulate.Job
		for i := range 60_000 {
			jobs = append(jobs, simulate.Job{Name: jobqueue.Name{Domain: fmt.Sprint("wiki", i%10), Type: "urgent"}, Run: 10 * time.Millisecond})
		}
		for range int(100 * time.Second / low) {
			jobs = append(jobs, simulate.Job{Name: jobqueue.Name{Domain: "wiki1", Type: "low"}, Run: low})
		}
		for _, runners := range []int{1, 2} {
			o := simulate.Options{Workers: 4, Runners: runners, Duration: 100 * time.Second, Plan: twoClasses}
			r := simulate.Run(jobs, simulate.Fair, o)
			if part := (time.Duration(r.Classes[1].Started) * low).Seconds() / 400; part < 0.08 || part > 0.13 {
				t.Errorf("low jobs of %v, %d runners: %.3f of the time, want 0.1", low, runners, part)
			}
		}
	}
}

// Whatever the policy, every job runs once for as long as it takes, no worker is idle while one
// waits, and the same seed gives the same.
func TestConserved(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		load := simulate.Synthetic{
			Seed: seed, Domains: 1 + rng.IntN(30), Types: 1 + rng.IntN(4), Jobs: 1 + rng.IntN(2000), Zipf: 2 * rng.Float64(),
			Duration: 10 * time.Second, Mean: time.Duration(1+rng.IntN(50)) * time.Millisecond, Slow: 1 + 20*rng.Float64(),
		}
		jobs := load.Load()
		o := simulate.Options{Seed: seed, Workers: 1 + rng.IntN(8), Runners: 1 + rng.IntN(4)}
		var work time.Duration
		for _, j := range jobs {
			work += j.Run
		}
		var ends []time.Duration
		for _, p := range simulate.Policies() {
			r := simulate.Run(jobs, p, o)
			var used time.Duration
			n := 0
			for _, d := range r.Domains {
				used += d.Used
				n += d.Jobs
				if d.Jobs != d.Started || d.Wait > d.Longest || d.Longest > r.Wait.Longest {
					t.Errorf("seed %d, %s: %+v", seed, p, d)
				}
			}
			if n != len(jobs) || r.Wait.Jobs != n || r.Wait.Started != n || used != work {
				t.Errorf("seed %d, %s: %d jobs ran for %v, want %d for %v; %+v", seed, p, n, used, len(jobs), work, r.Wait)
			}
			if w := r.Wait; w.P50 > w.P99 || w.P99 > w.Longest || w.Mean > w.Longest {
				t.Errorf("seed %d, %s: waits %+v", seed, p, w)
			}
			if diff := cmp.Diff(r, simulate.Run(jobs, p, o)); diff != "" {
				t.Errorf("seed %d, %s: another run differs: %s", seed, p, diff)
			}
			ends = append(ends, r.Elapsed)
		}
		// With one worker the order of the jobs does not change when the last one ends.
		if o.Workers == 1 && slices.Max(ends) != slices.Min(ends) {
			t.Errorf("seed %d: the policies end at %v", seed, ends)
		}
	}
}

// What a domain pushes after another's flood is done soon.
func TestFlood(t *testing.T) {
	const long = 100 * time.Millisecond
	rng := rand.New(rand.NewPCG(1, 0))
	var flood, few []simulate.Job
	for range 200_000 {
		run := time.Duration(1 + rng.Int64N(int64(20*time.Millisecond)))
		if rng.IntN(100) == 0 {
			run = long
		}
		flood = append(flood, simulate.Job{Name: jobqueue.Name{Domain: "a", Type: "job"}, Run: run})
	}
	for range 10 {
		few = append(few, simulate.Job{Name: jobqueue.Name{Domain: "b", Type: "job"}, At: time.Second, Run: 15 * time.Millisecond})
	}
	for _, workers := range []int{1, 2, 8} {
		o := simulate.Options{Workers: workers}
		alone := simulate.Run(few, simulate.Fair, o).Elapsed - time.Second
		o.Duration = time.Second + 2*alone + long + 50*time.Millisecond
		r := simulate.Run(slices.Concat(flood, few), simulate.Fair, o)
		if b := r.Domains[1]; b.Name != "b" || b.Started != 10 || b.Used != 150*time.Millisecond {
			t.Errorf("%d workers: %v after its push b has %d of 10 jobs started, done %v of 150ms", workers, o.Duration-time.Second, b.Started, b.Used)
		}
	}
}

// Jain's index and the shares count the domains that have jobs waiting for a whole minute, by their weights.
func TestJain(t *testing.T) {
	var jobs []simulate.Job
	add := func(domain string, at, run time.Duration, n int) {
		for range n {
			jobs = append(jobs, simulate.Job{Name: jobqueue.Name{Domain: domain, Type: "job"}, At: at, Run: run})
		}
	}
	add("a", 0, 3*time.Second, 100)
	add("b", 0, time.Second, 100)
	add("late", 30*time.Second, time.Second, 1)
	o := simulate.Options{Workers: 1, Duration: time.Minute}
	r := simulate.Run(jobs, simulate.RoundRobin, o)
	// Of the 59 s, the late one having had one, a gets 45 and b 14.
	want := 59.0 * 59 / (2 * (45*45 + 14*14))
	if r.Windows != 1 || math.Abs(r.Jain-want) > 1e-9 || r.Jain != r.JainWorst || math.Abs(r.Most-90.0/59) > 1e-9 || math.Abs(r.Least-28.0/59) > 1e-9 {
		t.Errorf("%d windows, Jain %v, worst %v, shares %v to %v", r.Windows, r.Jain, r.JainWorst, r.Least, r.Most)
	}
	o.Plan.Weight = func(domain string) float64 { return map[string]float64{"a": 45, "b": 14, "late": 1}[domain] }
	if r := simulate.Run(jobs, simulate.RoundRobin, o); math.Abs(r.Jain-1) > 1e-9 {
		t.Errorf("with weights like what they got Jain's index is %v, want 1", r.Jain)
	}
	o.Duration = 59 * time.Second
	if r := simulate.Run(jobs, simulate.RoundRobin, o); r.Windows != 0 {
		t.Errorf("in less than a minute there are %d windows", r.Windows)
	}
}

// A plot is well formed whatever the text in it, and of any load.
func TestPlot(t *testing.T) {
	jobs := simulate.Synthetic{Domains: 3000, Jobs: 5000, Duration: time.Second, Mean: 10 * time.Millisecond}.Load()
	one := simulate.Run(jobs[:1], simulate.Fair, simulate.Options{})
	for _, reports := range [][]*simulate.Report{
		nil, {simulate.Run(nil, simulate.FIFO, simulate.Options{})}, {one}, {simulate.Run(jobs, simulate.FIFO, simulate.Options{}), one},
	} {
		const title = `<&"'>` + "\x00\xff"
		var b bytes.Buffer
		if err := simulate.Plot(&b, title, reports); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") || b.Len() > 100_000 {
			t.Errorf("a plot of %d bytes: %.300s", b.Len(), b.String())
		}
		lines, text := 0, ""
		for d := xml.NewDecoder(&b); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch token := token.(type) {
			case xml.StartElement:
				if token.Name.Local == "polyline" {
					lines++
				}
			case xml.CharData:
				text += string(token)
			}
		}
		if lines != len(reports) || !strings.Contains(text, `<&"'>`) {
			t.Errorf("%d lines for %d policies, text %q", lines, len(reports), text)
		}
	}
}
