package runner

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// The states of a job in hand. Whoever moves a job out of waiting or running,
// by compare-and-swap, decides what becomes of it.
const (
	waiting  uint32 = iota // in the buffer
	running                // in Run
	sure                   // settled as done, or about to be, before it runs: at most once
	settling               // its outcome is with the settler
	dropped                // its claim was lost before it ran
	overdue                // settled as failed while it goes on ignoring its context
	left                   // in Run still when the run ended; left to its lease
)

// A job is a claim in hand.
type job struct {
	claim   *jobqueue.Claim
	hand    *hand
	typ     *jobType
	work    jobqueue.Job // if it had to be decoded before its turn
	flaw    error        // why that failed, or what was worse than failing
	ctx     jobContext
	outcome jobqueue.Outcome
	early   chan bool // at most once: whether the early settlement is confirmed
	started time.Time
	took    time.Duration // 0 if it did not run
	place   schedule.Place
	charged atomic.Int64 // what its domain was charged for it so far, in nanoseconds
	last    bool         // of those that were claimed of its queue at once, which may have more
	snoozed bool
	fault   bool // its handler is at fault
	state   atomic.Uint32
	lost    atomic.Bool // its claim was lost while it ran
}

// A jobType is what the runner knows about the jobs of one type.
type jobType struct {
	name   string
	policy jobqueue.Policy
	store  *store
	seen   time.Time    // when it had work last
	gate   *gate        // nil: not throttled
	rest   rest         // while the handler is at fault
	each   atomic.Int64 // how long a run takes, in nanoseconds; 0 is not known
	size   atomic.Int64 // how many bytes the parameters have
}

// observe moves the averages towards what was measured.
func observe(avg *atomic.Int64, measured int64) {
	old := avg.Load()
	if old == 0 {
		avg.Store(max(measured, 1))
		return
	}
	avg.Store(max(old+(measured-old)/4, 1))
}

// A jobContext is the context of one run. Most of a context is made on demand,
// since many jobs never look at theirs.
type jobContext struct {
	claim    *jobqueue.Claim
	base     context.Context // never done
	deadline time.Time

	mu     sync.Mutex
	inner  context.Context
	cancel context.CancelCauseFunc
	cause  error
}

func (c *jobContext) full() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		ctx, cancel := context.WithCancelCause(c.base)
		c.cancel = cancel
		if !c.deadline.IsZero() {
			// Only a deadline of its own lets contexts made of this one tell it from a cancellation.
			timed, stop := context.WithDeadlineCause(ctx, c.deadline, ErrTimeout)
			ctx, c.cancel = timed, func(cause error) {
				cancel(cause)
				stop()
			}
		}
		c.inner = jobqueue.NewContext(ctx, c.claim)
		if c.cause != nil && c.cause != ErrTimeout {
			c.cancel(c.cause)
		}
	}
	return c.inner
}

// end cancels the context; the first cause stays. At the deadline it ends by itself.
func (c *jobContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
		if c.cancel != nil && cause != ErrTimeout {
			c.cancel(cause)
		}
	}
}

func (c *jobContext) endCause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && c.inner != nil {
		return context.Cause(c.inner)
	}
	return c.cause
}

func (c *jobContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *jobContext) Done() <-chan struct{}       { return c.full().Done() }
func (c *jobContext) Err() error                  { return c.full().Err() }
func (c *jobContext) Value(key any) any           { return c.full().Value(key) }
