package runner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

const (
	settleMax  = 1000 // outcomes in one settlement
	settleSoon = 1000 // as many are settled without waiting for more
	settleWait = 5 * time.Millisecond
	flights    = 2 // settlements under way at once
	outboxSoon = 128
)

// A settler settles the jobs of a store in batches. While workers are busy it
// waits a moment for more; when none is, it settles at once.
// It repeats a settlement until the store has answered it, and only
// giveUp makes it end before. What only a part of the store does not take is
// set aside, and tried again beside the rest.
type settler struct {
	s       *store
	boxes   []outbox // one for each worker, one for all others
	wake    chan struct{}
	landed  chan struct{}
	closing chan struct{} // closed: end when everything is settled
	ended   chan struct{}
	calls   context.Context // of every call
	giveUp  context.CancelFunc
	refuses atomic.Bool  // results were refused since the fetcher last looked
	hurry   atomic.Bool  // what there is does not wait for more
	asides  atomic.Int64 // batches that are set aside

	mu    sync.Mutex
	fails failures // settlements under way
	apart failures // batches that are set aside
	never refusals
}

// An outbox collects what one worker has to settle, so that workers don't wait for each other.
type outbox struct {
	mu   sync.Mutex
	jobs []*job
	_    [96]byte // keeps boxes off each other's cache lines
}

func newSettler(s *store, boxes int) *settler {
	// Not derived from anything that ends with the run: results are worth more than a quick end.
	calls, giveUp := context.WithCancel(context.Background())
	return &settler{
		s:       s,
		calls:   calls,
		giveUp:  giveUp,
		boxes:   make([]outbox, boxes),
		wake:    make(chan struct{}, 1),
		landed:  make(chan struct{}, flights),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
}

// add hands over a job with its outcome.
func (t *settler) add(box int, j *job) {
	b := &t.boxes[box]
	b.mu.Lock()
	b.jobs = append(b.jobs, j)
	n := len(b.jobs)
	b.mu.Unlock()
	if n == 1 || n == outboxSoon {
		poke(t.wake)
	}
}

// hasten has what there is settled without waiting for more.
func (t *settler) hasten() {
	t.hurry.Store(true)
	poke(t.wake)
}

// poke makes the reader of a channel of one place look again.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// atWork reports whether workers have something to do, so that there will be more to settle.
func (r *run) atWork() bool {
	l := r.pool.load()
	return l.buffered > 0 || l.busy > int(r.unsure.Load())
}

// calm has what there is settled if no worker is busy but those who wait for it.
func (r *run) calm(busy int) {
	if busy > int(r.unsure.Load()) {
		return
	}
	for _, s := range r.stores {
		poke(s.settler.wake)
	}
}

// collect empties the outboxes.
func (t *settler) collect(pending []*job) []*job {
	for i := range t.boxes {
		b := &t.boxes[i]
		b.mu.Lock()
		pending = append(pending, b.jobs...)
		clear(b.jobs)
		b.jobs = b.jobs[:0]
		b.mu.Unlock()
	}
	return pending
}

func (t *settler) run() {
	defer close(t.ended)
	var (
		pending []*job
		since   time.Time // when the oldest of pending was seen
		flying  int
		closing bool
		hurry   bool
		timer   = time.NewTimer(time.Hour)
	)
	defer timer.Stop()
	for {
		// Asked before: what was added by then is collected.
		hurry = t.hurry.Swap(false) || hurry && len(pending) > 0
		if pending = t.collect(pending); len(pending) > 0 && since.IsZero() {
			since = time.Now()
		}
		for flying < flights && len(pending) > 0 && (closing || len(pending) >= settleSoon ||
			time.Since(since) >= settleWait || !t.s.r.atWork() || hurry) {
			n := min(len(pending), settleMax)
			go t.fly(append([]*job(nil), pending[:n]...))
			flying++
			rest := copy(pending, pending[n:])
			clear(pending[rest:])
			pending = pending[:rest]
			since = time.Time{}
			if rest > 0 {
				since = time.Now() // What is left over waits for more, too.
			}
		}
		if closing && flying == 0 && len(pending) == 0 && t.asides.Load() == 0 {
			return
		}
		closed := t.closing
		if closing {
			closed = nil
		}
		timer.Reset(settleWait)
		if len(pending) == 0 || flying == flights {
			timer.Stop()
		}
		select {
		case <-t.wake:
		case <-timer.C:
		case <-t.landed:
			flying--
		case <-closed:
			closing = true
		}
	}
}

func (t *settler) fly(jobs []*job) {
	t.land(jobs, false)
	t.landed <- struct{}{}
}

// land settles a batch, and counts what the store refuses for good.
func (t *settler) land(jobs []*job, aside bool) {
	if refused, err := t.settle(jobs, aside); err != nil {
		t.refused(refused, err)
		t.refuses.Store(true)
		t.unsettled(refused)
	}
}

// settle settles a batch however long it takes, unless the settler is told to give up. It
// returns the jobs whose results the store will never take, and why it refused the last of them.
func (t *settler) settle(jobs []*job, aside bool) (refused []*job, why error) {
	for n := 0; ; n++ {
		lost, err := sortErrors(t.try(jobs))
		part, partly := errors.AsType[*jobqueue.PartError](err)
		switch {
		case err == nil:
			t.recovered(n, aside)
			t.settled(jobs, lost)
			return nil, nil
		case final(err):
			t.recovered(n, aside)
			return t.search(jobs, aside, err)
		case partly:
			var done []*job
			done, jobs = split(jobs, part.Claims)
			t.settled(done, lost)
			if !aside || len(jobs) == 0 {
				t.recovered(n, aside)
				t.setAside(jobs)
				return nil, nil
			}
		}
		t.failed(n, aside, err)
		select {
		case <-time.After(backoff(n)):
		case <-t.calls.Done():
			t.unsettled(jobs)
			return nil, nil
		}
	}
}

func (t *settler) try(jobs []*job) error {
	outcomes := make([]jobqueue.Outcome, len(jobs))
	for i, j := range jobs {
		outcomes[i] = j.outcome
	}
	ctx, cancel := context.WithTimeout(t.calls, callTime)
	defer cancel()
	return t.s.group.Settle(ctx, outcomes...)
}

// final reports whether trying again cannot help.
func final(err error) bool {
	return errors.Is(err, jobqueue.ErrInvalid) || errors.Is(err, jobqueue.ErrTooLarge)
}

// sortErrors splits the error of a settlement into the claims that were lost and the rest.
func sortErrors(err error) (lost []*jobqueue.Claim, rest error) {
	if err == nil {
		return nil, nil
	}
	parts := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts = joined.Unwrap()
	}
	var others []error
	for _, e := range parts {
		if l, ok := errors.AsType[*jobqueue.LostError](e); ok {
			lost = append(lost, l.Claims...)
		} else {
			others = append(others, e)
		}
	}
	return lost, errors.Join(others...)
}

// search finds out which jobs of a refused batch are to blame, and settles the others.
func (t *settler) search(jobs []*job, aside bool, err error) (refused []*job, why error) {
	if len(jobs) == 1 {
		return jobs, err
	}
	for _, half := range [][]*job{jobs[:len(jobs)/2], jobs[len(jobs)/2:]} {
		if r, err := t.settle(half, aside); err != nil {
			refused, why = append(refused, r...), err
		}
	}
	return refused, why
}

type fence struct {
	token uuid.UUID
	id    string
}

// settled counts a batch that the store has answered.
func (t *settler) settled(jobs []*job, lostClaims []*jobqueue.Claim) {
	lost := make(map[fence]bool, len(lostClaims))
	for _, c := range lostClaims {
		lost[fence{c.Token, c.ID}] = true
	}
	var n Counts
	var unrun []*job // whose claims are lost
	for _, j := range jobs {
		gone := len(lost) > 0 && lost[fence{j.claim.Token, j.claim.ID}]
		switch {
		case gone && j.outcome.Do == jobqueue.ActionGiveBack && j.took == 0:
			n.Lost++
			unrun = append(unrun, j)
		case gone:
			n.Lost++
			t.s.r.log.Warn("claim lost before its result was recorded", t.s.r.attrs(j.claim)...)
		case j.early == nil:
			n.count(j)
		}
	}
	if len(unrun) > 0 {
		t.s.r.log.Warn("claims lost before they were given back", t.s.r.attrs(unrun[0].claim, "jobs", len(unrun))...)
	}
	t.s.r.tally.add(func(c *Counts) { c.Add(n) })
	t.release(jobs)
	for _, j := range jobs {
		// From here on the job is its worker's again.
		if j.early != nil {
			j.early <- !lost[fence{j.claim.Token, j.claim.ID}]
		}
	}
}

// unsettled counts a batch that is left to its lease.
func (t *settler) unsettled(jobs []*job) {
	t.s.r.tally.add(func(c *Counts) { c.Unsettled += len(jobs) })
	t.release(jobs)
	for _, j := range jobs {
		if j.early != nil {
			j.early <- false
		}
	}
}

// release lets go of claims that are answered, and learns from their run times.
func (t *settler) release(jobs []*job) {
	for i := 0; i < len(jobs); {
		j, from := jobs[i], i
		var u use
		for ; i < len(jobs) && jobs[i].hand == j.hand && jobs[i].claim.Name == j.claim.Name; i++ {
			if jobs[i].early == nil { // else it runs only now
				t.s.r.pay(jobs[i])
				u.add(jobs[i])
			}
		}
		if u.runs > 0 {
			observe(&j.typ.each, int64(u.took)/int64(u.runs))
		}
		t.s.r.used.add(u)
		j.hand.letGo(i - from)
	}
	t.s.drop(len(jobs))
}

// count adds a job by its outcome.
func (c *Counts) count(j *job) {
	switch j.outcome.Do {
	case jobqueue.ActionDone:
		c.Done++
	case jobqueue.ActionRetry:
		c.Failed++
		c.Retried++
	case jobqueue.ActionAbandon:
		c.Failed++
		c.Abandoned++
	case jobqueue.ActionGiveBack:
		if j.snoozed {
			c.Snoozed++
		} else {
			c.GivenBack++
		}
	}
}
