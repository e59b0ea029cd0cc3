package runner

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	watchTime = time.Second      // between two looks at the workers when no time limit is nearer
	deafTime  = 10 * time.Second // how long a job may ignore the end of its context
)

// A watch holds jobs to their time limits. One goroutine does it for all
// workers, instead of a timer for each job.
type watch struct {
	r    *run
	wake chan struct{}
	next atomic.Int64 // when it looks again, in nanoseconds since 1970
}

// expect makes the watch look at a deadline if it would not by itself.
func (w *watch) expect(deadline time.Time) {
	if !deadline.IsZero() && deadline.UnixNano() < w.next.Load() {
		poke(w.wake)
	}
}

func (w *watch) run(ctx context.Context) {
	timer := time.NewTimer(watchTime)
	defer timer.Stop()
	for {
		now := time.Now()
		// Set before looking, so that a job which starts meanwhile pokes rather than waits.
		w.next.Store(now.Add(watchTime).UnixNano())
		next := w.look(now)
		w.next.Store(next.UnixNano())
		timer.Reset(next.Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.wake:
		}
	}
}

// look ends the contexts of jobs out of time, gives up those that ignored it, and
// returns when to look next.
func (w *watch) look(now time.Time) time.Time {
	next := now.Add(watchTime)
	for _, k := range w.r.workers {
		j := k.current.Load()
		if j == nil || j.ctx.deadline.IsZero() {
			continue
		}
		switch late := now.Sub(j.ctx.deadline); {
		case late < 0:
			next = earlier(next, j.ctx.deadline)
		case late < deafTime:
			j.ctx.end(ErrTimeout)
			next = earlier(next, j.ctx.deadline.Add(deafTime))
		default:
			w.giveUp(j)
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// giveUp settles a job as failed while it still runs.
func (w *watch) giveUp(j *job) {
	early := j.state.CompareAndSwap(sure, overdue)
	if !early && !j.state.CompareAndSwap(running, overdue) {
		return
	}
	r := w.r
	j.took = time.Since(j.started)
	r.strand(j.claim)
	// On a goroutine that what is called may end.
	r.background.Go(func() {
		defer r.pool.block(+1) // last: the run may end as soon as no other worker is busy
		defer r.conclude(r.o.Workers, j)
		if !early && j.lost.Load() {
			j.outcome = jobqueue.Outcome{}
			r.tell(j, jobqueue.ErrNotClaimed, 0)
			return
		}
		f := r.judge(j, fmt.Errorf("%w: %v, and its end was ignored", ErrTimeout, j.typ.policy.Timeout))
		if early {
			j.outcome.Do = jobqueue.ActionAbandon
		}
		r.tell(j, f, j.outcome.Do)
	})
}
