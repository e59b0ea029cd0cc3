package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	restMin       = time.Second // the first rest of a type, doubling up to
	restMax       = time.Minute
	manyAbandoned = 20 // in a row: as bad as a fault
)

// A rest keeps the jobs of a type from starting while its handler is at fault.
// When it is over, one job is let through: what becomes of that one ends the trouble,
// or begins a rest of twice the length.
type rest struct {
	trouble   atomic.Bool
	abandoned atomic.Int64 // in a row
	worked    atomic.Bool  // whether a job of the type has gone well

	mu     sync.Mutex
	since  time.Time     // of the trouble
	length time.Duration // of this rest
	until  time.Time
	probe  *job // the one that was let through
	err    error
}

// admit reports whether a job may start.
func (t *rest) admit(j *job) bool {
	if !t.trouble.Load() {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trouble.Load() {
		if t.closed(time.Now()) && t.probe != j {
			return false
		}
		t.probe = j
	}
	return true
}

// closed reports whether no job at all may start.
func (t *rest) closed(now time.Time) bool {
	return now.Before(t.until) || t.probe != nil && t.probe.unsettled()
}

// state reports whether there is trouble, whether jobs of the type are not to be claimed because of it, and
// whether to hope that it ends soon: the handler worked a moment ago.
func (t *rest) state(now time.Time) (trouble, alone, hope bool) {
	if !t.trouble.Load() {
		return false, false, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return true, t.closed(now), t.worked.Load() && now.Sub(t.since) < patience
}

// ends returns when the type may be tried again; zero if it does not rest.
func (t *rest) ends(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.trouble.Load() || !now.Before(t.until) {
		return time.Time{}
	}
	return t.until
}

// reason returns what is wrong with the handler; nil if nothing is.
func (t *rest) reason() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.trouble.Load() {
		return nil
	}
	return t.err
}

// heard learns from how a job ended. It returns a rest that begins with it, or whether it ends the trouble.
func (t *rest) heard(j *job, err error, do jobqueue.Action) (begins time.Duration, ends bool) {
	switch {
	case err == nil:
		if !t.worked.Load() {
			t.worked.Store(true)
		}
		if t.abandoned.Load() != 0 {
			t.abandoned.Store(0)
		}
		if !t.trouble.Load() {
			return 0, false
		}
	case errors.Is(err, jobqueue.ErrFault):
	case do == jobqueue.ActionAbandon && t.abandoned.Add(1) >= manyAbandoned:
		err = fmt.Errorf("%d jobs in a row were abandoned, the last: %w", t.abandoned.Load(), err)
	case do == jobqueue.ActionRetry && t.abandoned.Load() >= manyAbandoned:
		// It failed, if not for good; so nothing has changed.
	default:
		err = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.trouble.Load() && t.probe != j:
		return 0, false // began before the trouble
	case err == nil:
		ends = t.trouble.Swap(false)
		t.length, t.until, t.probe, t.err = 0, time.Time{}, nil, nil
		return 0, ends
	case !t.trouble.Load():
		t.since = now
	}
	t.length = min(max(2*t.length, restMin), restMax)
	t.until, t.probe, t.err = now.Add(t.length), nil, err
	t.trouble.Store(true)
	return t.length, false
}

// unsettled reports whether the job waits or runs.
func (j *job) unsettled() bool {
	switch j.state.Load() {
	case waiting, running, sure:
		return true
	}
	return false
}

// learn has the type of a job that ran learn from how it ended.
func (r *run) learn(j *job, err error, do jobqueue.Action) {
	begins, ends := j.typ.rest.heard(j, err, do)
	switch {
	case begins > 0:
		if reason := j.typ.rest.reason(); reason != nil {
			r.resting.Store(j.typ.name, reason.Error())
		}
		r.log.Error("handler at fault, its type rests", "type", printable(j.typ.name), "for", begins, "error", printable(err.Error()))
		poke(r.news)
		r.wake()
	case ends:
		r.resting.Delete(j.typ.name)
		r.log.Info("handler works again", "type", printable(j.typ.name))
		poke(r.news)
		r.wake()
	}
}

// faults returns why types rest.
func (f *fetcher) faults() map[string]string {
	m := map[string]string{}
	for _, t := range f.types {
		if err := t.rest.reason(); err != nil {
			m[t.name] = err.Error()
		}
	}
	return m
}

// fault returns one error for all types that rest.
func (f *fetcher) fault() error {
	var errs []string
	for typ, reason := range f.faults() {
		errs = append(errs, typ+": "+reason)
	}
	slices.Sort(errs)
	return fmt.Errorf("%w: %s", jobqueue.ErrFault, strings.Join(errs, "; "))
}
