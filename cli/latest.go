package cli

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A latest is what was read last of something that may be slow, or away. It is read in the background, once
// at a time, for at most as long as patience, and so that ten times as long passes without.
type latest[T any] struct {
	read            func(context.Context) (T, error)
	every, patience time.Duration

	mu     sync.Mutex
	flying chan struct{} // closed when the read under way ends; nil without one
	began  time.Time     // of the last read
	next   time.Time     // not before then
	known  reading[T]
}

// A reading is what a read returned.
type reading[T any] struct {
	value T
	err   error
	at    time.Time // zero: it was never read
}

// ok reports whether the value is known.
func (r reading[T]) ok() bool { return !r.at.IsZero() && r.err == nil }

// look begins to read if it is time to. What it returns is closed when no read is under way.
func (l *latest[T]) look(ctx context.Context) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.flying != nil:
		return l.flying
	case time.Now().Before(l.next):
		return landed
	}
	l.flying, l.began = make(chan struct{}), time.Now()
	go l.fly(ctx, l.flying)
	return l.flying
}

var landed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (l *latest[T]) fly(ctx context.Context, end chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	value, err := l.read(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(end)
	now := time.Now()
	l.known = reading[T]{value, err, now}
	l.flying, l.next = nil, l.began.Add(l.every)
	if rest := now.Add(10 * now.Sub(l.began)); err == nil && rest.After(l.next) {
		l.next = rest
	}
}

// last returns what is known. What has not answered for as long as patience counts as away.
func (l *latest[T]) last() reading[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.known
	if l.flying != nil && time.Since(l.began) > l.patience {
		known.err, known.at = fmt.Errorf("no answer for %v", time.Since(l.began).Round(time.Second)), time.Now()
	}
	return known
}

// within waits until all of some reads have ended, but no longer than d.
func within(ctx context.Context, d time.Duration, reads ...<-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, end := range reads {
		select {
		case <-end:
		case <-ctx.Done():
			return
		}
	}
}
