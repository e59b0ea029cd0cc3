package federated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A partition is one of the backends and what is known of its health, by all who use it.
type partition struct {
	f      *Backend
	place  int    // among all
	name   string // without the colon
	prefix string // with it
	tag    tag
	seed   uint64  // of its scores
	weight float64 // for the order in which Pops ask
	noPush bool
	opens  func(context.Context) (jobqueue.Backend, io.Closer, error)

	well  atomic.Bool  // not away; read without the lock
	busy  atomic.Int32 // calls under way; read without the lock
	swept atomic.Int64 // when this process has surely had it swept, in nanoseconds by Backend.now

	mu      sync.Mutex
	backend jobqueue.Backend // nil until it is open
	named   jobqueue.Backend // the same, if it knows IDs with the prefix; else nil
	closer  io.Closer
	away    error         // why it is; nil if it is not
	since   time.Time     // since when it has been well
	pause   time.Duration // before the next probe
	tried   time.Time     // when the last one failed
	next    time.Time     // when the next one may be made
	probe   *probe        // under way
	calls   []*call       // under way
	watched bool          // the timer of look is set
	full    error         // why it takes no jobs
	until   time.Time     // when it is asked again whether it does
}

// A call is under way at a partition.
type call struct {
	began  time.Time
	cancel context.CancelCauseFunc
	place  int // in partition.calls
}

func (p *partition) String() string { return p.name }

// up reports whether the partition is not away, and has it probed if it is time to.
func (p *partition) up() bool {
	if p.well.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil && !time.Now().Before(p.next) {
		p.try() // Nothing comes of it once the backend is closed.
	}
	return p.away == nil
}

// hurry has the partition, if it is away, probed a second after the last time, however long it has been away: there
// are claims to be kept, and the first one to find it back is to be who has them.
func (p *partition) hurry() {
	if p.well.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if soon := p.tried.Add(firstPause); p.next.After(soon) {
		p.next = soon
	}
}

// takes reports whether the partition is up and takes jobs, as far as is known.
func (p *partition) takes() bool {
	if !p.up() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full == nil || !time.Now().Before(p.until)
}

// refuse notes that the partition does not take jobs for now, though it is well.
func (p *partition) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full, p.until = err, time.Now().Add(fullTime)
}

// why returns what was wrong with the partition last; nil if nothing is known.
func (p *partition) why() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil {
		return p.away
	}
	return p.full
}

// ask has do called with the backend of the partition. When that cannot be reached it is asked once more, unless
// it turns out to be away: everything that is asked so may be repeated.
func ask[T any](ctx context.Context, p *partition, do func(context.Context, jobqueue.Backend) (T, error)) (T, error) {
	v, err := attempt(ctx, p, do)
	if unavailable(err) && ctx.Err() == nil && p.answers(ctx) {
		return attempt(ctx, p, do)
	}
	return v, err
}

// once is ask for what is not repeated.
func once[T any](ctx context.Context, p *partition, do func(context.Context, jobqueue.Backend) (T, error)) (T, error) {
	v, err := attempt(ctx, p, do)
	if unavailable(err) && ctx.Err() == nil {
		p.answers(ctx)
	}
	return v, err
}

// attempt calls do, whose context ends when the partition turns out to be away.
func attempt[T any](ctx context.Context, p *partition, do func(context.Context, jobqueue.Backend) (T, error)) (v T, err error) {
	if !p.up() {
		return v, gone(p.why())
	}
	ctx, c, err := p.begin(ctx)
	if err != nil {
		return v, err
	}
	defer p.done(c)
	return do(ctx, p.backend)
}

// gone returns the error of a call of a partition that is away, given why, which may not be known.
func gone(err error) error {
	switch {
	case unavailable(err):
		return err
	case err == nil:
		err = errNoAnswer
	}
	return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, err)
}

// begin notes a call. The context ends when the partition is found to be away.
func (p *partition) begin(ctx context.Context) (context.Context, *call, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &call{began: time.Now(), cancel: cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil {
		cancel(nil)
		return nil, nil, gone(p.away)
	}
	c.place = len(p.calls)
	p.calls = append(p.calls, c)
	p.busy.Add(1)
	if !p.watched {
		p.watched = true
		time.AfterFunc(slowTime, p.look)
	}
	return ctx, c, nil
}

// done notes that a call is over.
func (p *partition) done(c *call) {
	c.cancel(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy.Add(-1)
	last := len(p.calls) - 1
	p.calls[c.place] = p.calls[last]
	p.calls[c.place].place = c.place
	p.calls[last] = nil
	p.calls = p.calls[:last]
}

// look has the partition probed when a call takes long, and looks again as long as there are calls.
func (p *partition) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watched = len(p.calls) > 0; !p.watched {
		return
	}
	oldest := slices.MinFunc(p.calls, func(a, b *call) int { return a.began.Compare(b.began) })
	left := slowTime - time.Since(oldest.began)
	if left <= 0 {
		p.try()
		left = slowTime
	}
	time.AfterFunc(left, p.look)
}

func unavailable(err error) bool { return errors.Is(err, jobqueue.ErrUnavailable) }
