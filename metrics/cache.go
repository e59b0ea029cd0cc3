package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// patience is how long one look may take.
const patience = 5 * time.Second

// A cache holds what was read last, and reads again at most so often, one at a time.
type cache[T any] struct {
	every time.Duration
	read  func(context.Context) (T, error)

	mu     sync.Mutex
	flying chan struct{} // closed when the read that is under way ends; nil without one
	began  time.Time     // of the last read
	next   time.Time     // not before then
	seen   seen[T]
}

// seen is what was read last.
type seen[T any] struct {
	value   T
	err     error     // of the last read
	missing error     // why the value lacks a part of the store
	at      time.Time // when it was read without an error; zero if never
	ever    bool      // it was read at all
}

// refresh begins to read if it is time to. What it returns is closed when no read is under way.
func (c *cache[T]) refresh() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying == nil && !time.Now().Before(c.next) {
		c.flying, c.began = make(chan struct{}), time.Now()
		go c.fly(c.flying)
	}
	if c.flying == nil {
		return done
	}
	return c.flying
}

var done = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (c *cache[T]) fly(landed chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	value, err := c.read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(landed)
	now := time.Now()
	pause := c.every
	part, partly := errors.AsType[*jobqueue.PartError](err)
	if c.seen.missing = nil; partly {
		c.seen.missing, err = part, nil
	}
	if err == nil {
		pause = max(pause, 10*now.Sub(c.began))
		c.seen.value, c.seen.at = value, now
	}
	c.flying, c.next = nil, now.Add(pause)
	c.seen.err, c.seen.ever = err, true
}

// last returns what was read last.
func (c *cache[T]) last() seen[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seen
	if c.flying != nil && time.Since(c.began) > patience {
		s.err, s.ever = context.DeadlineExceeded, true // The store does not even heed the end of a context.
	}
	return s
}
