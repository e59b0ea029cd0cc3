package runner

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	callTime  = 10 * time.Second       // for a call of a store
	probeTime = time.Second            // for one of a store that failed the last time
	retryMin  = 100 * time.Millisecond // between two tries of a store that fails, doubling
	retryMax  = 5 * time.Second
)

// A store is one backend of the group, with all that depends on whether it
// answers, so that one backend in trouble leaves the others alone.
type store struct {
	r       *run
	index   int // among the stores of the run
	backend jobqueue.Backend
	group   *jobqueue.Group // routes everything to the backend
	settler *settler
	beaters map[time.Duration]*beater // by lease; the fetcher's
	inHand  atomic.Int64              // claims that are not settled

	// The fetcher's own: when it said what is ready, and how it answered.
	foreign  int // queues that were ready, but not for this run
	looked   time.Time
	answered time.Time // zero: never
	failures int
	retryAt  time.Time
	popped   int  // calls of Backend.Pop that were answered
	again    *pop // a claim that may have been made, though no answer came
	err      error
	missing  error     // why a part of it did not say what is ready
	missed   time.Time // since when
}

// newStore wraps a backend. Its group counts what a Pop settles by itself.
func newStore(r *run, b jobqueue.Backend, routes jobqueue.Routes) *store {
	s := &store{r: r, backend: b, beaters: map[time.Duration]*beater{}}
	theirs := routes.Trace
	trace := *theirs
	trace.Superseded = func(ctx context.Context, c *jobqueue.Claim) {
		r.tally.add(func(n *Counts) { n.Superseded++ })
		if f := theirs.Superseded; f != nil {
			f(ctx, c)
		}
	}
	trace.Exhausted = func(ctx context.Context, c *jobqueue.Claim, reason string) {
		r.tally.add(func(n *Counts) { n.Abandoned++ })
		r.log.Error("job abandoned", r.attrs(c, "error", printable(reason))...)
		if f := theirs.Exhausted; f != nil {
			f(ctx, c, reason)
		}
	}
	trace.Popped = func(ctx context.Context, claims []*jobqueue.Claim, err error) {
		if err == nil {
			s.popped++
		}
		if f := theirs.Popped; f != nil {
			f(ctx, claims, err)
		}
	}
	routes.Default, routes.Types, routes.Trace = b, nil, &trace
	s.group = jobqueue.NewGroup("runner", routes)
	s.settler = newSettler(s, r.o.Workers+1)
	return s
}

// closed reports whether nothing is claimed from the store at the moment.
func (s *store) closed(now time.Time) bool {
	return s.again != nil || s.err != nil && now.Before(s.retryAt) || s.settler.failing() || s.inHand.Load() >= maxInHand
}

// call returns a context for one call of the fetcher.
func (s *store) call() (context.Context, context.CancelFunc) {
	d := callTime
	if s.failures > 0 {
		d = probeTime
	}
	return context.WithTimeout(s.r.calls, d)
}

// heard notes how the store answered the fetcher.
func (s *store) heard(err error) {
	if err == nil {
		if s.failures > 0 {
			s.r.log.Info("store answers again")
		}
		s.answered, s.failures, s.err = time.Now(), 0, nil
		return
	}
	if s.failures == 0 && s.r.calls.Err() == nil { // else it is the abort that fails
		msg := "store fails"
		if errors.Is(err, jobqueue.ErrReadOnly) {
			msg = "store is read-only"
		}
		s.r.log.Warn(msg, "error", printable(err.Error()))
	}
	s.err = err
	s.retryAt = time.Now().Add(backoff(s.failures))
	s.failures++
	s.r.fetcher.set(s, nil)
	s.looked = time.Time{}
}

// partly notes whether a part of the store did not answer.
func (s *store) partly(err error) {
	switch {
	case err == nil && s.missing != nil:
		s.r.log.Info("store answers in full again")
	case err != nil && s.missing == nil:
		s.missed = time.Now()
		s.r.log.Warn("a part of the store fails", "error", printable(err.Error()))
	}
	s.missing = err
}

// backoff returns how long to wait after the n'th failure in a row, the first being 0.
func backoff(n int) time.Duration {
	return jobqueue.ExponentialBackoff(retryMin, retryMax)(n + 1)
}

// patience is how long a store that answered before may be away before
// a run that does not wait gives up.
const patience = 10 * time.Second

// refusing returns why the store has not taken results for so long.
func (s *store) refusing() error {
	if since, err := s.settler.trouble(); err != nil && time.Since(since) > patience {
		return err
	}
	return nil
}

// fatal returns why a run that does not wait cannot go on, or "".
func (s *store) fatal() (Reason, error) {
	if err := s.refusing(); err != nil {
		return Exception, err
	}
	switch {
	case s.err == nil && s.missing != nil && time.Since(s.missed) > patience:
		return Exception, s.missing
	case s.err == nil:
		return "", nil
	case errors.Is(s.err, jobqueue.ErrReadOnly):
		return ReadOnly, s.err
	case s.answered.IsZero() || time.Since(s.answered) > patience:
		return Exception, s.err
	}
	return "", nil
}

// drop notes that n claims are no longer in hand.
func (s *store) drop(n int) {
	s.inHand.Add(-int64(n))
	s.r.wake()
}
