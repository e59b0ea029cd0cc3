package runner

import (
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A use is what jobs of a queue have used of the workers, beyond what their domain was charged.
type use struct {
	jobqueue.Name
	more time.Duration // less than 0 if they used less
	runs int
	took time.Duration // all runs together
}

// uses collects what the fetcher is to charge.
type uses struct {
	mu   sync.Mutex
	list []use
}

func (u *uses) add(n use) {
	if n.more == 0 && n.runs == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := len(u.list) - 1; last >= 0 && u.list[last].Name == n.Name {
		u.list[last].more += n.more
		u.list[last].runs += n.runs
		u.list[last].took += n.took
		return
	}
	u.list = append(u.list, n)
}

func (u *uses) take() []use {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.list
	u.list = nil
	return list
}

// add adds a job that has ended, whether it ran or not.
func (u *use) add(j *job) {
	u.Name = j.claim.Name
	var cost time.Duration
	if j.took > 0 {
		cost = max(j.took, schedule.MinCost)
	}
	u.more += cost - time.Duration(j.charged.Swap(int64(cost)))
	if j.took > 0 {
		u.runs++
		u.took += j.took
	}
}

// spent charges for one job that has ended.
func (r *run) spent(j *job) {
	var u use
	u.add(j)
	r.used.add(u)
}

// account tells the dealer what jobs have used, and which have begun.
func (f *fetcher) account(now time.Time) {
	f.r.pool.begun(func(j *job) { f.dealer.Begun(j.place) })
	if !f.r.pool.working() {
		f.dealer.Caught()
	}
	for _, u := range f.r.used.take() {
		f.dealer.Charge(now, u.Name, u.more)
		if u.runs > 0 {
			f.dealer.Learn(now, u.Name, u.took/time.Duration(u.runs))
		}
	}
	if now.Sub(f.charged) < readyTime {
		return
	}
	f.charged = now
	for _, w := range f.r.workers {
		j := w.current.Load()
		if j == nil {
			continue
		}
		charged, ran := j.charged.Load(), int64(now.Sub(j.started))
		// When it ends meanwhile, that charges for the rest.
		if ran > charged && j.charged.CompareAndSwap(charged, ran) {
			f.dealer.Charge(now, j.claim.Name, time.Duration(ran-charged))
		}
	}
}

// refund takes back what was charged for places that have no job.
func (f *fetcher) refund(p *pop) {
	now := time.Now()
	for n, list := range p.places {
		var cost time.Duration
		for _, place := range list {
			cost += place.Cost
		}
		if cost > 0 {
			f.dealer.Charge(now, n, -cost)
		}
	}
	p.places = map[jobqueue.Name][]schedule.Place{}
}
