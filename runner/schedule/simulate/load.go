package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Job arrives and, once it has a worker, runs for a while.
type Job struct {
	jobqueue.Name
	At  time.Duration // since the beginning
	Run time.Duration
}

// A Synthetic describes a load that is made up. Jobs arrive at random, evenly over the
// time, and run for a random time, the short ones being the most frequent.
type Synthetic struct {
	Seed     uint64
	Domains  int           // wiki1, wiki2, …
	Types    int           // type1, type2, … equally frequent
	Jobs     int           // in all
	Zipf     float64       // the n'th domain gets 1/n^Zipf of what the first gets; 0: all get the same
	Duration time.Duration // in which they arrive
	Mean     time.Duration // how long they run on average
	Slow     float64       // how many times as long those of wiki1 run; 0 is 1
}

// Load returns the jobs in the order of their arrival.
func (s Synthetic) Load() []Job {
	rng := rand.New(rand.NewPCG(s.Seed, 1))
	names := make([]string, s.Domains)
	upTo := make([]float64, s.Domains) // the weights of the domains up to each
	sum := 0.0
	for i := range names {
		names[i] = fmt.Sprint("wiki", i+1)
		sum += math.Pow(float64(i+1), -s.Zipf)
		upTo[i] = sum
	}
	types := make([]string, max(s.Types, 1))
	for i := range types {
		types[i] = fmt.Sprint("type", i+1)
	}
	jobs := make([]Job, s.Jobs)
	for i := range jobs {
		d := min(sort.SearchFloat64s(upTo, rng.Float64()*sum), s.Domains-1)
		run := rng.ExpFloat64() * float64(s.Mean)
		if d == 0 && s.Slow > 0 {
			run *= s.Slow
		}
		jobs[i] = Job{
			Name: jobqueue.Name{Domain: names[d], Type: types[rng.IntN(len(types))]},
			At:   time.Duration(rng.Int64N(max(int64(s.Duration), 1))),
			Run:  max(time.Duration(run), time.Microsecond),
		}
	}
	sortJobs(jobs)
	return jobs
}

func sortJobs(jobs []Job) {
	slices.SortStableFunc(jobs, func(a, b Job) int { return int(a.At - b.At) })
}
