package runner

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	soloDoubles = 3 // how often the wait to be alone, of a lease at first, is doubled
	soloPause   = 9 // how many times as long no job is waited for afterwards
)

// A solo is a job that must run with no other beside it in the process, so that a crash can only
// be its own. While there is one nothing is claimed.
type solo struct {
	*job
	until time.Time // when it stops waiting to be alone
	begun bool
}

// isolate makes one of some claimed jobs the solo, if it is such a job, and gives back what
// has not started. It returns the jobs that are left, and whether there is a solo.
func (f *fetcher) isolate(jobs []*job) (left []*job, alone bool) {
	i := slices.IndexFunc(jobs, func(j *job) bool { return j.claim.Alone() })
	if i < 0 {
		return jobs, false
	}
	l := f.r.pool.load()
	if l.stuck > 0 || l.busy > 0 && time.Now().Before(f.crowded) {
		return slices.DeleteFunc(jobs, func(j *job) bool {
			if j.claim.Alone() {
				f.leaveToOthers(j)
			}
			return j.claim.Alone()
		}), false
	}
	j := jobs[i]
	f.giveBack(slices.Delete(jobs, i, i+1), 0)
	f.giveBackAll()
	f.solo = &solo{job: j, until: time.Now().Add(f.soloWait(j))}
	return nil, true
}

// soloWait returns how long a job waits to be alone.
func (f *fetcher) soloWait(j *job) time.Duration {
	return j.hand.beater.ttl << min(f.crowds, soloDoubles)
}

// leaveToOthers gives a job back that cannot be alone here; elsewhere, or later, it may.
func (f *fetcher) leaveToOthers(j *job) {
	ttl := j.hand.beater.ttl
	f.r.giveBack(f.box(), j, ttl+rand.N(ttl))
}

// attend starts the solo once it is alone, or gives it back if that takes too long. When it
// has run and is settled, or cannot be, other jobs are claimed again.
func (f *fetcher) attend() {
	o := f.solo
	if o == nil {
		return
	}
	s, l := o.hand.beater.s, f.r.pool.load()
	switch held := s.inHand.Load(); {
	case !o.unsettled():
		if !o.begun || held == 0 || s.settler.failing() || l.stuck > 0 {
			f.solo = nil
		}
	case o.begun:
	case l.busy == 0 && l.stuck == 0 && held == 1:
		// What other stores have not recorded yet has ended all the same.
		o.begun, f.crowds = true, 0
		f.r.pool.put(f.throttle([]*job{o.job}))
	case l.stuck > 0 || !time.Now().Before(o.until):
		f.crowded = time.Now().Add(soloPause * f.soloWait(o.job))
		f.crowds++
		f.leaveToOthers(o.job)
		f.solo = nil
	}
}
