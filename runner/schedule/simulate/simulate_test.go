package simulate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
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
