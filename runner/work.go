package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Causes of the end of a job's context, for [context.Cause]. A claim
// that is lost has the cause [jobqueue.ErrNotClaimed].
var (
	ErrTimeout = errors.New("time limit exceeded")    // [jobqueue.Policy.Timeout]
	ErrStopped = errors.New("the runner is stopping") // Options.Grace is over, or Options.Abort
)

var errGoexit = errors.New("the job called runtime.Goexit")

// A worker runs one job at a time.
type worker struct {
	r       *run
	id      int
	batch   *batch
	current atomic.Pointer[job] // for those who cancel
}

// loop runs jobs until the pool is closed.
func (w *worker) loop() {
	defer func() {
		// A job that called runtime.Goexit takes this goroutine with it.
		if j := w.current.Load(); j != nil {
			w.ran(j, errGoexit)
			go w.loop()
			return
		}
		w.r.pool.leave()
	}()
	for j := w.next(); j != nil; j = w.next() {
		w.do(j)
	}
}

func (w *worker) next() *job {
	if b := w.batch; b != nil {
		i := b.next.Add(1) - 1
		if i == int64(len(b.jobs)/2) {
			w.r.wake()
			// Workers that never block would keep the fetcher off the CPUs until they run dry.
			runtime.Gosched()
		}
		if i < int64(len(b.jobs)) {
			return b.jobs[i]
		}
	}
	j, b := w.r.pool.take()
	w.batch = b
	return j
}

// do runs a job, or finds out why not.
func (w *worker) do(j *job) {
	j.started = time.Now()
	if !j.hand.fresh(j.started) {
		w.r.giveBack(w.id, j, 0)
		return
	}
	job, err := w.r.decode(j)
	if errors.Is(err, jobqueue.ErrUnknownType) {
		w.r.giveBack(w.id, j, 0)
		return
	}
	if !j.typ.rest.admit(j) {
		w.r.giveBack(w.id, j, 0)
		return
	}
	if !j.state.CompareAndSwap(waiting, running) {
		return // lost meanwhile
	}
	if j.typ.policy.AtMostOnce && !w.settleFirst(j) {
		return
	}
	j.ctx.claim, j.ctx.base = j.claim, w.r.base
	if limit := j.typ.policy.Timeout; limit > 0 {
		j.ctx.deadline = j.started.Add(limit)
	}
	w.current.Store(j)
	// Those who cancel set the flag before they look at the workers.
	if w.r.cutOff.Load() {
		j.ctx.end(ErrStopped)
	}
	w.r.watch.expect(j.ctx.deadline)
	if f := w.r.o.OnStart; f != nil {
		f(j.claim)
	}
	if err == nil {
		err = w.call(j, job)
	}
	w.ran(j, err)
}

// decode makes the job of a claim, unless that was done.
func (r *run) decode(j *job) (job jobqueue.Job, err error) {
	if j.work != nil {
		return j.work, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return r.reg.Job(j.claim)
}

func panicked(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }

// settleFirst settles a job as done before it runs, and reports whether that is certain.
func (w *worker) settleFirst(j *job) bool {
	j.early = make(chan bool, 1)
	j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionDone}
	j.state.Store(sure)
	j.hand.beater.s.settler.add(w.id, j)
	if !<-j.early {
		w.r.unrun.Add(1)
		return false
	}
	j.started = time.Now()
	return true
}

// call runs the job and turns a panic into an error.
func (w *worker) call(j *job, job jobqueue.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if m := w.r.o.Middleware; m != nil {
		return m(&j.ctx, job, job.Run)
	}
	return job.Run(&j.ctx)
}

// ran decides what becomes of a job that has run.
func (w *worker) ran(j *job, err error) {
	w.current.Store(nil)
	took := max(time.Since(j.started), 1)
	cause := j.ctx.endCause()
	j.ctx.end(context.Canceled)
	early := j.early != nil
	if !j.state.CompareAndSwap(running, settling) && !(early && j.state.CompareAndSwap(sure, settling)) {
		// It was given up, as overdue or at the end of the run; what it says now counts for nothing.
		if j.state.Load() == overdue {
			w.r.pool.block(-1)
		}
		return
	}
	j.took = took
	if j.typ.each.Load() == 0 {
		observe(&j.typ.each, int64(took)) // the settler does the rest
	}
	if err != nil && errors.Is(cause, ErrTimeout) {
		// Not wrapped: a job out of time fails, whatever it asks for.
		err = fmt.Errorf("%w: %v: %v", ErrTimeout, j.typ.policy.Timeout, err)
	}
	fault := err != nil && errors.Is(err, jobqueue.ErrFault)
	if fault && !early {
		w.r.unrun.Add(1)
	} else {
		w.r.ran.Add(1)
	}
	switch {
	case early:
		w.r.learn(j, err, earlyAction(err))
		observe(&j.typ.each, int64(j.took))
		w.r.ended(j, err, earlyAction(err))
		w.r.tally.add(func(c *Counts) {
			if err == nil {
				c.Done++
			} else {
				c.Failed++
			}
		})
		w.r.wake()
		return
	case j.lost.Load():
		w.r.ended(j, jobqueue.ErrNotClaimed, 0)
		w.r.tally.add(func(c *Counts) { c.Lost++ })
		j.hand.letGo(1)
		j.hand.beater.s.drop(1)
		return
	}
	s := j.hand.beater.s
	j.outcome = s.group.Outcome(j.claim, err)
	j.snoozed = j.outcome.Do == jobqueue.ActionGiveBack && !fault
	if err != nil && errors.Is(cause, ErrStopped) && j.outcome.Do != jobqueue.ActionGiveBack {
		j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionGiveBack}
	} else {
		w.r.learn(j, err, j.outcome.Do)
	}
	w.r.ended(j, err, j.outcome.Do)
	s.settler.add(w.id, j)
}

func earlyAction(err error) jobqueue.Action {
	if err == nil {
		return jobqueue.ActionDone
	}
	return jobqueue.ActionAbandon
}

// ended tells the log and the caller of a run that has ended.
func (r *run) ended(j *job, err error, do jobqueue.Action) {
	if f := r.o.OnEnd; f != nil {
		f(Ended{Claim: j.claim, Err: err, Action: do, Took: j.took})
	}
	if err == nil {
		if r.debug {
			r.log.Debug("job done", claimAttrs(j.claim, "took", j.took)...)
		}
		return
	}
	level, msg := slog.LevelWarn, "job failed"
	switch do {
	case jobqueue.ActionGiveBack:
		level, msg = slog.LevelInfo, "job put off"
	case jobqueue.ActionAbandon:
		level, msg = slog.LevelError, "job abandoned"
	}
	r.log.Log(r.base, level, msg, claimAttrs(j.claim, "took", j.took, "error", printable(err.Error()))...)
}

// giveBack settles a job that has not run, uncounted.
func (r *run) giveBack(box int, j *job, delay time.Duration) {
	if !j.state.CompareAndSwap(waiting, settling) {
		return
	}
	r.unrun.Add(1)
	j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionGiveBack, Delay: delay}
	j.hand.beater.s.settler.add(box, j)
}
