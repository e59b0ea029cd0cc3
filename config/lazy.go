package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A full backend is what each kind of them is.
type full interface {
	jobqueue.Backend
	jobqueue.Waiter
	jobqueue.Control
	jobqueue.Limiter
	jobqueue.Holder
}

const (
	openTime   = 30 * time.Second // that a try to open a backend may take
	reopenTime = time.Second      // between two tries
	shutTime   = time.Second      // that Close waits for one
)

var errShut = errors.New("backend is closed")

// A lazy is a backend that is opened by the first call, which waits for that. When it could not be opened, calls
// fail as that did, at once, and each has it tried again in the background.
type lazy struct {
	name string
	open func(context.Context) (jobqueue.Backend, io.Closer, error)
	is   atomic.Pointer[full] // once it is open
	life context.Context      // ends with Close
	end  context.CancelFunc

	mu     sync.Mutex
	err    error         // why it could not be opened
	next   time.Time     // when to try again
	flying chan struct{} // closed when the try under way ends; nil without one
	closer io.Closer
}

func newLazy(name string, open func(context.Context) (jobqueue.Backend, io.Closer, error)) *lazy {
	l := &lazy{name: name, open: open}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// get returns what is open.
func (l *lazy) get(ctx context.Context) (full, error) {
	for {
		if b := l.is.Load(); b != nil {
			return *b, nil
		}
		flying, err := l.try()
		if err != nil {
			return nil, err
		}
		select {
		case <-flying:
		case <-l.life.Done():
		case <-ctx.Done():
			return nil, &OpenError{l.name, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))}
		}
	}
}

// try begins to open the backend if it is time to. It returns what is closed when that has ended or, if it failed
// before, how.
func (l *lazy) try() (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil {
		return nil, &OpenError{l.name, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errShut)}
	}
	if l.flying == nil && l.is.Load() == nil && !time.Now().Before(l.next) {
		l.flying = make(chan struct{})
		go l.fly(l.flying)
	}
	if l.err != nil && l.is.Load() == nil {
		return nil, l.err
	}
	if l.flying == nil {
		return landed, nil
	}
	return l.flying, nil
}

var landed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (l *lazy) fly(end chan struct{}) {
	ctx, cancel := context.WithTimeout(l.life, openTime)
	defer cancel()
	b, closer, err := l.open(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(end)
	l.flying = nil
	if l.life.Err() != nil {
		// Nobody is there to be told of errors.
		if closer != nil {
			_ = closer.Close()
		}
		return
	}
	if l.err = err; err != nil {
		l.next = time.Now().Add(reopenTime)
		return
	}
	l.closer = closer
	all := b.(full)
	l.is.Store(&all)
}

// Close closes the backend if it is open, and ends a try to open it. It does not wait long for that: what is opened all the
// same is closed then.
func (l *lazy) Close() error {
	l.mu.Lock()
	l.end()
	flying, closer := l.flying, l.closer
	l.closer = nil
	l.mu.Unlock()
	if closer != nil {
		return closer.Close()
	}
	if flying != nil {
		select {
		case <-flying:
		case <-time.After(shutTime):
		}
	}
	return nil
}
