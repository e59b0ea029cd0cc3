package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// A worker runs one job at a time.
type worker struct {
	r       *run
	id      int
	batch   *batch
	current atomic.Pointer[job] // for those who cancel
	early   atomic.Pointer[job] // that is settled, and then becomes current
	at      *job                // for the next goroutine, should the job's code end this one
}

// loop runs jobs until the pool is closed.
func (w *worker) loop() {
	over := false
	defer func() {
		if !over {
			// What called runtime.Goexit took the goroutine with it.
			go w.loop()
			return
		}
		w.r.pool.leave()
	}()
	if j := w.at; j != nil {
		w.resume(j)
	}
	for j := w.next(); j != nil; j = w.next() {
		w.r.scarce.before()
		w.do(j)
	}
	over = true
}

// resume goes on with a job whose code ended the goroutine, as with one that failed.
func (w *worker) resume(j *job) {
	if j.state.Load() == waiting {
		j.flaw = errGoexit
		w.do(j)
		return
	}
	w.ran(j, errGoexit)
}

func (w *worker) next() *job {
	if b := w.batch; b != nil {
		i := b.next.Add(1) - 1
		// A batch may be larger than the buffer, by one for each worker that was idle.
		if i == int64(max(len(b.jobs)/2, len(b.jobs)-maxBuffer/2)) {
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
	w.at = j
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
	w.early.Store(nil)
	// Those who cancel set the flag before they look at the workers.
	if w.r.cutOff.Load() {
		j.ctx.end(ErrStopped)
	}
	w.r.watch.expect(j.ctx.deadline)
	if !j.quick() {
		w.r.more(&w.r.urgent)
	} else if j.last {
		w.r.more(&w.r.eager)
	}
	if f := w.r.o.OnStart; f != nil {
		bad := guard(func() error {
			f(j.claim)
			return nil
		})
		if err == nil {
			err = bad
		}
	}
	if err == nil {
		err = w.call(j, job)
	}
	w.ran(j, err)
}

// decode makes the job of a claim, unless that was done.
func (r *run) decode(j *job) (job jobqueue.Job, err error) {
	if j.work != nil || j.flaw != nil {
		return j.work, j.flaw
	}
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return r.reg.Job(j.claim)
}

// settleFirst settles a job as done before it runs, and reports whether that is certain.
func (w *worker) settleFirst(j *job) bool {
	j.early = make(chan bool, 1)
	j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionDone}
	j.state.Store(sure)
	w.early.Store(j)
	w.r.unsure.Add(1)
	j.hand.beater.s.settler.add(w.id, j)
	ok := <-j.early
	w.r.unsure.Add(-1)
	w.r.wake()
	if !ok {
		j.state.Store(dropped)
		w.early.Store(nil)
		w.r.unrun.Add(1)
		w.r.spent(j)
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
	w.at = nil
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
		w.r.more(&w.r.urgent)
	}
	w.r.pay(j)
	// Deferred, as functions that are called on the way may end the goroutine.
	defer w.r.conclude(w.id, j)
	switch {
	case !early && j.lost.Load():
		j.outcome = jobqueue.Outcome{}
		w.r.tell(j, jobqueue.ErrNotClaimed, 0)
		return
	case err == nil:
		j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionDone}
		w.r.learn(j, nil, jobqueue.ActionDone)
		w.r.tell(j, nil, jobqueue.ActionDone)
		return
	case errors.Is(cause, ErrTimeout):
		// Not wrapped: a job out of time fails, whatever it asks for.
		err = fmt.Errorf("%w: %v: %v", ErrTimeout, j.typ.policy.Timeout, err)
	}
	f := w.r.judge(j, err)
	switch {
	case early:
		j.outcome.Do = jobqueue.ActionAbandon
		w.r.learn(j, f, jobqueue.ActionAbandon)
	case errors.Is(cause, ErrStopped) && j.outcome.Do != jobqueue.ActionGiveBack:
		j.outcome = jobqueue.Outcome{Claim: j.claim, Do: jobqueue.ActionGiveBack}
	default:
		j.snoozed = j.outcome.Do == jobqueue.ActionGiveBack && !j.fault
		w.r.learn(j, f, j.outcome.Do)
	}
	w.r.tell(j, f, j.outcome.Do)
}
