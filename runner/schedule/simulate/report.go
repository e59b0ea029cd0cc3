package simulate

import (
	"math"
	"slices"
	"time"
)

// A Report is how a load was served.
type Report struct {
	Policy  Policy
	Elapsed time.Duration // the time simulated
	Busy    float64       // the part of the workers' time that was used
	Wait    Waits         // from arrival to start, of all jobs; of those still waiting until the end
	Classes []Waits       // the same by class, if the plan has several
	Domains []Domain      // in the order of their first jobs

	// Jain's index of the workers' time, in proportion to their weights, that the domains got which had jobs
	// waiting all the time, over windows of a minute. 1 is the same for all of them, 1/n all for one of n.
	Windows   int     // how many windows with at least two such domains there were
	Jain      float64 // on average
	JainWorst float64 // in the worst
	Least     float64 // the least that any such domain got in a window, in fair shares
	Most      float64 // and the most
}

// Waits are statistics of waiting times.
type Waits struct {
	Jobs                    int
	Started                 int // the others still waited when the time was over
	Mean, P50, P99, Longest time.Duration
}

// A Domain is how one was served.
type Domain struct {
	Name          string
	Jobs, Started int
	Used          time.Duration // of workers
	Wait          time.Duration // on average
	Longest       time.Duration
}

// fairness gathers windows.
type fairness struct {
	windows     int
	sum, worst  float64
	least, most float64
}

// window looks at a window that began at a time and has just ended.
func (f *fairness) window(domains []*domain, began time.Duration) {
	var shares []float64
	sum := 0.0
	for _, d := range domains {
		if d.waiting == 0 || d.since > began {
			continue
		}
		var used time.Duration
		for _, u := range d.recent {
			used += u
		}
		share := used.Seconds() / d.weight
		shares = append(shares, share)
		sum += share
	}
	if len(shares) < 2 || sum == 0 {
		return
	}
	j := jain(shares)
	fair := sum / float64(len(shares))
	least, most := slices.Min(shares)/fair, slices.Max(shares)/fair
	if f.windows == 0 {
		f.worst, f.least = j, least
	}
	f.windows++
	f.sum += j
	f.worst, f.least, f.most = min(f.worst, j), min(f.least, least), max(f.most, most)
}

func jain(x []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += v
		squares += v * v
	}
	return sum * sum / (float64(len(x)) * squares)
}

func (s *simulation) report(p Policy) *Report {
	r := &Report{Policy: p, Elapsed: s.now}
	for _, q := range s.all {
		for _, j := range q.jobs {
			s.waited(q.domain, j, false)
		}
	}
	r.Wait = waits(s.waits, -1)
	if n := len(s.o.Plan.Shares); n > 1 {
		for class := range n {
			r.Classes = append(r.Classes, waits(s.waits, class))
		}
	}
	var used time.Duration
	for _, d := range s.order {
		used += d.used
		mean := time.Duration(0)
		if d.jobs > 0 {
			mean = d.waits / time.Duration(d.jobs)
		}
		r.Domains = append(r.Domains, Domain{d.name, d.jobs, d.started, d.used, mean, d.longest})
	}
	if s.now > 0 {
		r.Busy = used.Seconds() / (s.now.Seconds() * float64(s.o.Workers))
	}
	f := s.fair
	r.Windows, r.JainWorst, r.Least, r.Most = f.windows, f.worst, f.least, f.most
	if f.windows > 0 {
		r.Jain = f.sum / float64(f.windows)
	}
	return r
}

// waits returns the statistics of a class; -1 is of all.
func waits(all []wait, class int) Waits {
	var list []time.Duration
	sum, started := 0.0, 0
	for _, w := range all {
		if class < 0 || w.class == class {
			list = append(list, w.d)
			sum += float64(w.d)
			if w.started {
				started++
			}
		}
	}
	if len(list) == 0 {
		return Waits{}
	}
	slices.Sort(list)
	at := func(q float64) time.Duration { return list[int(math.Ceil(q*float64(len(list))))-1] }
	return Waits{len(list), started, time.Duration(sum / float64(len(list))), at(0.5), at(0.99), list[len(list)-1]}
}
