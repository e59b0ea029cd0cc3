package runner

import (
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A use is how long jobs of a queue ran.
type use struct {
	jobqueue.Name
	runs int
	took time.Duration // all together
}

// uses collects what the dealer is to learn from.
type uses struct {
	mu   sync.Mutex
	list []use
}

func (u *uses) add(n use) {
	if n.runs == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := len(u.list) - 1; last >= 0 && u.list[last].Name == n.Name {
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

// add adds a job that has ended, if it ran.
func (u *use) add(j *job) {
	u.Name = j.claim.Name
	if j.took > 0 {
		u.runs++
		u.took += j.took
	}
}

// pay charges for a job that has ended, whether it ran or not.
func (r *run) pay(j *job) {
	var cost time.Duration
	if j.took > 0 {
		cost = max(j.took, schedule.MinCost)
	}
	if more := cost - time.Duration(j.charged.Swap(int64(cost))); more != 0 {
		j.place.Charge(more)
		r.pool.stray(more)
	}
}

// spent charges for one job that has ended, and learns from it.
func (r *run) spent(j *job) {
	r.pay(j)
	var u use
	u.add(j)
	r.used.add(u)
}

// account tells the dealer which jobs have begun and how long others ran, and charges for those that run.
func (f *fetcher) account(now time.Time) {
	f.r.pool.begun(func(j *job) { f.dealer.Begun(j.place) })
	if !f.r.pool.working() {
		f.dealer.Caught(now)
	}
	for _, u := range f.r.used.take() {
		f.dealer.Learn(now, u.Name, u.took/time.Duration(u.runs))
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
			j.place.Charge(time.Duration(ran - charged))
			f.r.pool.stray(time.Duration(ran - charged))
		}
	}
}
