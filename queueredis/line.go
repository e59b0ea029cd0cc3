package queueredis

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/wikifarm/jobqueue"
)

// Bounds of a call that may share a script, and of a script that is shared.
const (
	sharedWeight = 200
	mostWeight   = 1000
)

// A line is where small calls wait while another is under way. Those that wait go together in
// the next one, so that the more there are, the less each of them costs.
type line[C any] struct {
	do func(ctx context.Context, calls []*C) error // does them all, or fails

	mu    sync.Mutex
	busy  bool
	waits []*ticket[C]
}

// A ticket is a call in line.
type ticket[C any] struct {
	call   *C
	weight int
	done   chan error
}

// call does c, and returns when it has been done, or ctx ends.
// A call that is under way then may take effect all the same.
func (l *line[C]) call(ctx context.Context, c *C, weight int) error {
	if weight > sharedWeight {
		return l.do(ctx, []*C{c})
	}
	if ctx.Err() != nil {
		return gone(ctx)
	}
	l.mu.Lock()
	if !l.busy {
		l.busy = true
		l.mu.Unlock()
		defer l.pass()
		return l.do(ctx, []*C{c})
	}
	t := &ticket[C]{c, weight, make(chan error, 1)}
	l.waits = append(l.waits, t)
	l.mu.Unlock()
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waits, t); i >= 0 {
		l.waits = slices.Delete(l.waits, i, i+1)
	}
	return gone(ctx)
}

// pass lets those go who wait.
func (l *line[C]) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waits) == 0 {
		l.busy = false
		return
	}
	go l.together(l.gather())
}

// gather takes out of the line whoever goes next.
func (l *line[C]) gather() (group []*ticket[C]) {
	weight := 0
	l.waits = slices.DeleteFunc(l.waits, func(t *ticket[C]) bool {
		if len(group) > 0 && weight+t.weight > mostWeight {
			return false
		}
		weight += t.weight
		group = append(group, t)
		return true
	})
	return group
}

// together does the calls of a group at once or, if they fail because of one of them, one by one.
func (l *line[C]) together(group []*ticket[C]) {
	defer l.pass()
	calls := make([]*C, len(group))
	for i, t := range group {
		calls[i] = t.call
	}
	err := l.do(context.Background(), calls)
	for _, t := range group {
		if err == nil || errors.Is(err, jobqueue.ErrUnavailable) || len(group) == 1 {
			t.done <- err
			continue
		}
		t.done <- l.do(context.Background(), []*C{t.call})
	}
}
