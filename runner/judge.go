package runner

import (
	"errors"
	"log/slog"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A failure is why a job failed, put into words once: the error may be of a kind that panics.
type failure struct {
	error
	text string
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.error }

// judge decides what becomes of a job that failed, and returns why. A panic on the way is
// one more reason.
func (r *run) judge(j *job, err error) *failure {
	f := &failure{err, ""}
	j.outcome = failed(j.claim, errGoexit)
	bad := guard(func() error {
		f.text = err.Error()
		j.fault = errors.Is(err, jobqueue.ErrFault)
		j.outcome = j.hand.beater.s.group.Outcome(j.claim, f)
		return nil
	})
	if bad != nil {
		f, j.fault = &failure{bad, bad.Error()}, false
		j.outcome = failed(j.claim, f)
	}
	return f
}

// failed returns the outcome of a failure by the default policy.
func failed(c *jobqueue.Claim, err error) jobqueue.Outcome {
	if c.Attempt >= c.MaxTries {
		return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionAbandon, Err: err.Error()}
	}
	delay := jobqueue.Policy{}.WithDefaults().Backoff(c.Attempt)
	return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionRetry, Delay: delay, Err: err.Error()}
}

// tell tells the log and the caller of a run that has ended.
func (r *run) tell(j *job, err error, do jobqueue.Action) {
	if hook := r.o.OnEnd; hook != nil {
		e := Ended{Claim: j.claim, Err: err, Action: do, Began: j.started, Took: j.took}
		if f, ok := err.(*failure); ok {
			e.Err = f.error
		}
		bad := guard(func() error {
			hook(e)
			return nil
		})
		if bad != nil {
			r.log.Error("OnEnd panics", r.attrs(j.claim, "error", printable(bad.Error()))...)
		}
	}
	if r.o.Unlogged {
		return
	}
	if err == nil {
		if r.debug {
			r.log.Debug("job done", r.attrs(j.claim, "took", j.took)...)
		}
		return
	}
	level, msg := slog.LevelWarn, "job failed"
	switch do {
	case jobqueue.ActionGiveBack:
		level, msg = slog.LevelInfo, "job put off"
	case jobqueue.ActionAbandon:
		if level, msg = slog.LevelError, "job abandoned"; j.early != nil {
			msg = "job failed and is not tried again" // It is in no store any more.
		}
	}
	r.log.Log(r.base, level, msg, r.attrs(j.claim, "took", j.took, "error", printable(err.Error()))...)
}

// conclude counts a run that has ended, and hands its job to the settler.
func (r *run) conclude(box int, j *job) {
	s := j.hand.beater.s
	if j.fault && j.early == nil {
		r.unrun.Add(1)
	} else {
		r.ran.Add(1)
	}
	switch {
	case j.early != nil:
		observe(&j.typ.each, int64(j.took))
		r.spent(j)
		r.tally.add(func(c *Counts) {
			if j.outcome.Do == jobqueue.ActionDone {
				c.Done++
			} else {
				c.Failed++
			}
		})
		r.wake()
	case j.outcome.Do == 0:
		r.tally.add(func(c *Counts) { c.Lost++ })
		r.spent(j)
		j.hand.letGo(1)
		s.drop(1)
	default:
		s.settler.add(box, j)
	}
}

// measure makes a job before its turn, and returns what throttling charges for it. It does so
// on a goroutine that the job's code may end.
func (r *run) measure(j *job) int {
	items, flaw := 1, errGoexit
	done := make(chan struct{})
	go func() {
		defer close(done)
		work, err := r.decode(j)
		if err == nil {
			err = guard(func() error {
				items = workItems(work)
				return nil
			})
		}
		j.work, flaw = work, err
	}()
	<-done
	j.flaw = flaw
	return items
}

// stuck returns the jobs that ignored the end of their context and still run.
func (r *run) stuck() (claims []*jobqueue.Claim) {
	for _, w := range r.workers {
		if j := w.current.Load(); j != nil {
			if s := j.state.Load(); s == overdue || s == left {
				claims = append(claims, j.claim)
			}
		}
	}
	return claims
}

// strand tells of a job that ignores the end of its context.
func (r *run) strand(c *jobqueue.Claim) {
	r.log.Error("job ignores the end of its context", r.attrs(c)...)
}

// giveBack settles a job that has not run, uncounted.
func (r *run) giveBack(box int, j *job, delay time.Duration) {
	if !j.state.CompareAndSwap(waiting, settling) {
		return
	}
	r.unrun.Add(1)
	r.pay(j)
	j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionGiveBack, Delay: delay}
	j.hand.beater.s.settler.add(box, j)
}
