package runner

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

const (
	soloDoubles = 3 // how often the wait to be alone, of a lease at first, is doubled
	soloPause   = 9 // how many times as long no job is waited for afterwards
)

// A solo is a job that must run with no other beside it in the process, so that a crash can only
// be its own. While there is one nothing else is claimed. Nor is the job itself while it waits to be
// alone, lest it be blamed for what others do; so long a delay keeps other runners from it.
type solo struct {
	*job
	until time.Time // when it stops waiting to be alone
	turn  time.Time // when its rate lets it start; zero: not asked yet
	begun bool
}

// isolate makes one of some claimed jobs the solo, if it is such a job, and gives back all that
// has not started. It returns the jobs that are left, and whether there is a solo.
func (f *fetcher) isolate(jobs []*job) (left []*job, alone bool) {
	if o := f.solo; o != nil {
		f.begin(o, jobs)
		return nil, true
	}
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
	wait := f.soloWait(j)
	f.solo = &solo{job: j, until: time.Now().Add(wait)}
	if f.solo.alone(l, 1) && l.buffered == 0 && len(f.held) == 0 && j.typ.gate == nil {
		f.begin(f.solo, jobs)
		return nil, true
	}
	others := append(slices.Delete(jobs, i, i+1), f.r.pool.drain()...)
	f.r.giveBack(f.box(), j, wait)
	f.giveBack(others, 0)
	f.giveBackAll()
	// None of them is to be blamed for what others do.
	j.hand.beater.s.settler.hasten()
	return nil, true
}

// alone reports whether nothing runs, and the store of the solo has recorded all but n of its claims.
// What other stores have not recorded yet has ended all the same.
func (o *solo) alone(l load, n int64) bool {
	return l.busy == 0 && l.stuck == 0 && o.hand.beater.s.inHand.Load() == n
}

// begin starts the solo, which was claimed with nothing else in hand.
func (f *fetcher) begin(o *solo, jobs []*job) {
	if len(jobs) > 0 {
		o.job, o.begun, f.crowds = jobs[0], true, 0
		f.r.pool.put(jobs)
	}
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

// attend claims and starts the solo once it would be alone, or leaves it to others if that takes
// too long. When it has run and is settled, or cannot be, other jobs are claimed again.
func (f *fetcher) attend(ctx context.Context) {
	o := f.solo
	if o == nil {
		return
	}
	s, l := o.hand.beater.s, f.r.pool.load()
	switch {
	case o.begun:
		if !o.unsettled() && (s.inHand.Load() == 0 || s.settler.failing() || l.stuck > 0) {
			f.solo = nil
		}
	case o.alone(l, 0):
		if !f.due(o) {
			return
		}
		if _, refused := f.r.caps.admit(f.r.calls, []schedule.Place{{Name: o.claim.Name}}); len(refused) > 0 {
			f.solo = nil
			return
		}
		f.pop(ctx, s, o.hand.beater.ttl, &pop{wants: []jobqueue.Want{{Name: o.claim.Name, Max: 1, ID: o.claim.ID}}})
		if !o.begun {
			f.solo = nil // somebody else has it, or the answer was lost
		}
	case l.stuck > 0 || !time.Now().Before(o.until):
		f.crowded = time.Now().Add(soloPause * f.soloWait(o.job))
		f.crowds++
		f.solo = nil
	}
}

// due reports whether the rate of the solo's type lets it start. If that takes long it is
// not waited for any more.
func (f *fetcher) due(o *solo) bool {
	if o.typ.gate == nil {
		return true
	}
	if o.turn.IsZero() {
		waits, now := f.charge([]*job{o.job}, []jobqueue.Charge{f.bill(o.job)})
		if waits[0] > holdTime {
			f.solo = nil
			return false
		}
		o.turn = now.Add(waits[0])
	}
	return !time.Now().Before(o.turn)
}
