package federated

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

const (
	slowTime   = 500 * time.Millisecond // after which a call is looked at
	probeTime  = 500 * time.Millisecond // for the answer to a probe
	openTime   = 3 * time.Second        // for opening a partition
	firstPause = time.Second            // before the first probe of one that is away
	longPause  = 30 * time.Second       // before any; whoever was well for so long begins with the first one again
	fullTime   = time.Second            // in which one that refused jobs is not asked to take any
)

var (
	errNoAnswer = errors.New("it does not answer")
	errClosed   = fmt.Errorf("%w: backend is closed", jobqueue.ErrUnavailable)
)

// A probe finds out whether a partition answers.
type probe struct {
	done chan struct{}
	err  error // once it is done
}

// answers has the partition probed, together with all who want to know, and reports whether it answers.
func (p *partition) answers(ctx context.Context) bool {
	p.mu.Lock()
	if p.away != nil {
		p.mu.Unlock()
		return false
	}
	r := p.try()
	p.mu.Unlock()
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return r.err == nil
	case <-ctx.Done():
		return false
	}
}

// try begins a probe, if none is under way. The caller holds the lock.
func (p *partition) try() *probe {
	if p.probe != nil {
		return p.probe
	}
	r := &probe{done: make(chan struct{})}
	if !p.f.task(func(ctx context.Context) { p.run(ctx, r) }) {
		return nil
	}
	p.probe = r
	return r
}

func (p *partition) run(ctx context.Context, r *probe) {
	p.mu.Lock()
	b, away := p.backend, p.away != nil
	p.mu.Unlock()
	if b == nil {
		r.err = p.start(ctx)
	} else {
		r.err = sign(ctx, b)
	}
	if away && r.err == nil {
		p.f.refresh(ctx, p)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probe = nil
	switch {
	case ctx.Err() != nil:
	case r.err != nil:
		if !unavailable(r.err) {
			p.f.log.Error("partition cannot be opened", "partition", p.name, "error", r.err)
		}
		p.eject(r.err)
	case p.away != nil:
		p.recover()
	}
	close(r.done)
}

// sign asks for a sign of life. A backend may have a way of its own for heartbeats, past what waits; where
// it has none, reading is what gets through. So one of the two is enough, and so is any answer.
func sign(ctx context.Context, b jobqueue.Backend) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTime, errNoAnswer)
	defer cancel()
	answers := make(chan error, 2)
	go func() {
		_, err := b.Extend(ctx, time.Second, uuid.UUID{})
		answers <- err
	}()
	go func() {
		_, err := b.MarkRoots(ctx, jobqueue.Mark{Name: jobqueue.Name{Domain: "probe", Type: "probe"}, Key: "probe"})
		answers <- err
	}()
	var err error
	for range cap(answers) {
		select {
		case err = <-answers:
			if !unavailable(err) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
		}
	}
	return err
}

// eject notes that the partition is away, and gives up what is under way. The caller holds the lock.
func (p *partition) eject(err error) {
	if p.pause == 0 || p.away == nil && time.Since(p.since) > longPause {
		p.pause = firstPause
	} else {
		p.pause = min(2*p.pause, longPause)
	}
	p.tried = time.Now()
	p.next = p.tried.Add(p.pause*3/4 + rand.N(p.pause/2))
	first := p.away == nil
	p.away = err
	p.well.Store(false)
	if first {
		p.f.log.Warn("partition is away", "partition", p.name, "error", err)
	}
	gone := fmt.Errorf("partition %s is away: %w", p.name, err)
	for _, c := range p.calls {
		c.cancel(gone)
	}
}

// recover notes that the partition is back. The caller holds the lock.
func (p *partition) recover() {
	p.away, p.full, p.since = nil, nil, time.Now()
	p.well.Store(true)
	p.f.log.Info("partition is back", "partition", p.name)
	p.f.wake()
}

// first opens the partition for the first time.
func (p *partition) first(ctx context.Context) error {
	if p.backend != nil {
		p.use(p.backend)
		p.well.Store(true)
		return nil
	}
	err := p.start(ctx)
	if err != nil && !unavailable(err) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.eject(err)
		return err
	}
	p.well.Store(true)
	return nil
}

// start opens the partition.
func (p *partition) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openTime, errNoAnswer)
	defer cancel()
	b, closer, err := p.opens(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.use(b)
	p.closer = closer
	return nil
}

// A namer is a backend that knows IDs with a prefix, so that they need not be written anew here.
type namer interface{ WithPrefix(string) jobqueue.Backend }

// use has the partition be at a backend.
func (p *partition) use(b jobqueue.Backend) {
	p.backend = b
	if n, ok := b.(namer); ok {
		p.named = n.WithPrefix(p.prefix)
	}
}

// closeAll closes what was opened here.
func (b *Backend) closeAll() error {
	var errs []error
	for _, p := range b.parts {
		p.mu.Lock()
		if p.closer != nil {
			errs = append(errs, p.closer.Close())
			p.closer = nil
		}
		p.away = errClosed
		p.well.Store(false)
		for _, c := range p.calls {
			c.cancel(errClosed)
		}
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}

// wake ends the waits of all who wait for work, as a partition that is back may have some.
func (b *Backend) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.back)
	b.back = make(chan struct{})
}
