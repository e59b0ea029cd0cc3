// Package latest keeps what was read last of something that may be slow, or away.
package latest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Value is read in the background when somebody looks, one read at a time. It is safe for concurrent use.
type Value[T any] struct {
	// Read reads it. With a [jobqueue.PartError] what it returns lacks a part, and is kept all the same.
	Read func(context.Context) (T, error)

	Every    time.Duration // at least between two reads; and ten times as long as the last one took, if that went well
	Patience time.Duration // how long a read may take

	mu     sync.Mutex
	flying chan struct{} // closed when the read under way ends; nil without one
	began  time.Time     // of the last read
	next   time.Time     // not before then
	known  Reading[T]
}

// A Reading is what is known.
type Reading[T any] struct {
	Value T         // of the last read that went well, if only in part
	At    time.Time // when that ended; zero if none did
	Err   error     // of the last read
}

// OK reports whether the last read went well.
func (r Reading[T]) OK() bool { return r.Err == nil && !r.At.IsZero() }

// Part returns the error that says what a value lacks.
func (r Reading[T]) Part() error {
	if part, ok := errors.AsType[*jobqueue.PartError](r.Err); ok {
		return part
	}
	return nil
}

// Away returns why the last read did not go well, not even in part.
func (r Reading[T]) Away() error {
	if r.Part() != nil {
		return nil
	}
	return r.Err
}

// Look begins to read if it is time to. What it returns is closed when no read is under way.
func (v *Value[T]) Look(ctx context.Context) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.flying != nil:
		return v.flying
	case time.Now().Before(v.next):
		return landed
	}
	v.flying, v.began = make(chan struct{}), time.Now()
	go v.fly(ctx, v.flying)
	return v.flying
}

var landed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (v *Value[T]) fly(ctx context.Context, end chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, v.Patience)
	defer cancel()
	value, err := v.Read(ctx)
	if err != nil && ctx.Err() != nil {
		err = late(v.began, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	defer close(end)
	now := time.Now()
	if v.known.Err = err; v.known.Away() == nil {
		v.known.Value, v.known.At = value, now
	}
	v.flying, v.next = nil, v.began.Add(v.Every)
	if rest := now.Add(10 * now.Sub(v.began)); err == nil && rest.After(v.next) {
		v.next = rest
	}
}

func late(began time.Time, err error) error {
	return fmt.Errorf("no answer for %v: %w", time.Since(began).Round(time.Second), err)
}

// Last returns what is known. What has not answered for as long as Patience, and heeds no context, is away.
func (v *Value[T]) Last() Reading[T] {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.known
	if v.flying != nil && time.Since(v.began) > v.Patience {
		known.Err = late(v.began, context.DeadlineExceeded)
	}
	return known
}

// Set has v know a value that was not read.
func (v *Value[T]) Set(value T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = Reading[T]{Value: value, At: time.Now()}
}

// Wait waits until all of some reads have ended, but no longer than d.
func Wait(ctx context.Context, d time.Duration, reads ...<-chan struct{}) {
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
