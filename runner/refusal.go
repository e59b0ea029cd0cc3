package runner

import (
	"time"

	"github.com/wikifarm/jobqueue"
)

// failures are settlements that the store has refused so far.
type failures struct {
	n     int
	err   error     // why
	since time.Time // since when
}

// refusals are results that the store will never take.
type refusals struct {
	why  string    // what the log said last
	said time.Time // when
	jobs int       // how many it has not told since
}

// refusedTime is the least between two lines of the log that give the same reason.
const refusedTime = time.Second

// refused logs that the store will never take the results of some jobs. What comes just
// after a line with the same reason is in the next one, or in that of the run's end.
func (t *settler) refused(jobs []*job, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, why, now := &t.never, printable(err.Error()), time.Now()
	f.jobs += len(jobs)
	if why == f.why && now.Sub(f.said) < refusedTime {
		return
	}
	t.s.r.log.Error("results refused: these jobs run again when their leases end",
		t.s.r.attrs(jobs[0].claim, "jobs", f.jobs, "error", why)...)
	*f = refusals{why: why, said: now}
}

// failed notes that the store has not taken a settlement, for the n'th time, the first being 0.
func (t *settler) failed(n int, aside bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, message := &t.fails, "results cannot be recorded: they are kept, and nothing is claimed meanwhile"
	if aside {
		f, message = &t.apart, "results cannot be recorded in a part of the store: they are kept"
	}
	f.err = err
	if n > 0 {
		return
	}
	if f.n++; f.n == 1 {
		f.since = time.Now()
		t.s.r.log.Warn(message, "error", printable(err.Error()))
	}
}

// recovered notes that the store has taken a settlement after n failures.
func (t *settler) recovered(n int, aside bool) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &t.fails
	if aside {
		f = &t.apart
	}
	if f.n--; f.n == 0 {
		f.err = nil
		t.s.r.log.Info("store takes results again")
	}
}

// trouble returns since when and why the store, or a part of it, does not take results; nil if it does.
func (t *settler) trouble() (since time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.fails
	if f.err == nil || t.apart.err != nil && t.apart.since.Before(f.since) {
		f = t.apart
	}
	return f.since, f.err
}

// failing reports whether the store takes no results at all.
func (t *settler) failing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fails.err != nil
}

// setAside goes on with jobs whose part of the store does not take results, while others are settled.
func (t *settler) setAside(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	t.asides.Add(1)
	go func() {
		t.land(jobs, true)
		t.asides.Add(-1)
		poke(t.wake)
	}()
}

// split returns the jobs without and with one of the claims.
func split(jobs []*job, claims []*jobqueue.Claim) (without, with []*job) {
	those := make(map[*jobqueue.Claim]bool, len(claims))
	for _, c := range claims {
		those[c] = true
	}
	for _, j := range jobs {
		if those[j.claim] {
			with = append(with, j)
		} else {
			without = append(without, j)
		}
	}
	return without, with
}
