package queuedb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Bounds of a push that may share a transaction.
const (
	sharedRecords = 100
	sharedBytes   = 1 << 20
)

// A pushCall is one Push.
type pushCall struct {
	ctx     context.Context
	id      uuid.UUID
	records []jobqueue.Record
	headers []string
	size    int // of the parameters

	answer answer
	err    error
	turn   chan bool // true: it goes on for those that wait; false: it has its answer
}

// shares reports whether c may share a transaction: it is small, and no time of its roots depends on other pushes.
func (c *pushCall) shares() bool {
	for i := range c.records {
		r := &c.records[i]
		if c.size += len(r.Params); r.Root.Key != "" && r.Root.Time.IsZero() {
			return false
		}
	}
	return len(c.records) <= sharedRecords && c.size <= sharedBytes
}

// A line is where small pushes wait while another is under way. The one at its
// head goes next and takes with it those behind.
type line struct {
	gathers bool

	mu    sync.Mutex
	busy  bool
	waits []*pushCall
}

// push does c, and returns when c.answer or c.err is there.
func (l *line) push(b *Backend, c *pushCall) {
	if !l.gathers || !c.shares() {
		c.err = b.pushAll(c.ctx, c)
		return
	}
	if !l.enter(c) {
		return
	}
	defer l.pass()
	if err := c.ctx.Err(); err != nil {
		c.err = fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(c.ctx))
		return
	}
	for group := l.gather(c); len(group) > 0 && group[0] == c; {
		group = l.goOn(b, group)
	}
}

// goOn does the pushes of a group, and returns those that are left. Without its first one these wait again, before all others.
func (l *line) goOn(b *Backend, group []*pushCall) (left []*pushCall) {
	defer func() {
		for _, c := range group[1:] {
			if !slices.Contains(left, c) {
				c.turn <- false
			}
		}
		if len(left) > 0 && left[0] != group[0] {
			l.mu.Lock()
			l.waits = append(left, l.waits...)
			l.mu.Unlock()
		}
	}()
	return b.pushTogether(group)
}

// enter waits until c is at the head of the line, and returns false if it has its answer before.
func (l *line) enter(c *pushCall) (head bool) {
	l.mu.Lock()
	if !l.busy {
		l.busy = true
		l.mu.Unlock()
		return true
	}
	c.turn = make(chan bool, 1)
	l.waits = append(l.waits, c)
	l.mu.Unlock()
	select {
	case head := <-c.turn:
		return head
	case <-c.ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.waits, c)
	if i >= 0 {
		l.waits = slices.Delete(l.waits, i, i+1)
	}
	l.mu.Unlock()
	if i >= 0 {
		c.err = fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(c.ctx))
		return false
	}
	return <-c.turn // It is under way, and ends early for this.
}

// gather takes those out of the line that go with c.
func (l *line) gather(c *pushCall) (group []*pushCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	group = append(group, c)
	ids := map[uuid.UUID]struct{}{c.id: {}}
	n, size := len(c.records), c.size
	l.waits = slices.DeleteFunc(l.waits, func(w *pushCall) bool {
		_, same := ids[w.id]
		if same || n+len(w.records) > jobqueue.MaxPush || size+w.size > jobqueue.MaxPushBytes {
			return false
		}
		ids[w.id] = struct{}{}
		n, size = n+len(w.records), size+w.size
		group = append(group, w)
		return true
	})
	return group
}

// pass lets the next one go.
func (l *line) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waits) == 0 {
		l.busy = false
		return
	}
	next := l.waits[0]
	l.waits = slices.Delete(l.waits, 0, 1)
	next.turn <- true
}

// pushTogether does the pushes of a group in one transaction or, if that fails because of one of them, each in its
// own. It ends early when one of the callers goes, who does not know then what became of his push, and returns the others.
func (b *Backend) pushTogether(group []*pushCall) (left []*pushCall) {
	for _, c := range group {
		c.err = fmt.Errorf("%w: panic in another push", jobqueue.ErrUnavailable)
	}
	ctx, cancel := group[0].ctx, func() {}
	if len(group) > 1 {
		ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
		for _, c := range group {
			defer context.AfterFunc(c.ctx, cancel)()
		}
	}
	defer cancel()
	err := b.pushAll(ctx, group...)
	switch {
	case err != nil && len(group) > 1 && ctx.Err() != nil:
		for _, c := range group {
			if c.err = context.Cause(c.ctx); c.err == nil {
				left = append(left, c)
			} else {
				c.err = fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, c.err)
			}
		}
	case err != nil && len(group) > 1 && !errors.Is(err, jobqueue.ErrUnavailable):
		var all sync.WaitGroup
		for _, c := range group {
			all.Go(func() { c.err = b.pushAll(c.ctx, c) })
		}
		all.Wait()
	default:
		for _, c := range group {
			c.err = err
		}
	}
	return left
}

// InLine returns how many pushes wait for another one. It is for tests.
func (b *Backend) InLine() int {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	return len(b.line.waits)
}
