package queuedb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	mostNews = 1000        // queues that are told one by one
	newsKept = time.Second // after a Wait has ended, for the next one
)

// A Teller is a [Store] that is told in which queues work has arrived.
type Teller interface {
	// Wrote is called after the commit of a Write that made jobs ready, or after such a statement of a [Direct],
	// with the names of their queues or, with none, when these are not known.
	Wrote(names ...jobqueue.Name)
}

// told passes on which queues got jobs by what was committed.
func (b *Backend) told(anywhere bool, names []jobqueue.Name) {
	if t, ok := b.store.(Teller); ok {
		if anywhere {
			t.Wrote()
		} else if len(names) > 0 {
			t.Wrote(names...)
		}
	}
}

// News say in which queues work has arrived. The zero value says nothing.
type News struct {
	anywhere bool
	names    map[jobqueue.Name]struct{}
}

// Add adds queues or, without names, that it is anywhere; so are more names than it is worth to tell.
func (n *News) Add(names ...jobqueue.Name) {
	if len(names) == 0 {
		n.anywhere = true
	}
	for i, name := range names {
		if n.anywhere || i > 0 && name == names[i-1] {
			continue
		}
		if n.names == nil {
			n.names = map[jobqueue.Name]struct{}{}
		}
		n.names[name] = struct{}{}
		n.anywhere = len(n.names) > mostNews
	}
}

// Some reports whether there are any.
func (n *News) Some() bool { return n.anywhere || len(n.names) > 0 }

// Names returns the queues, or nil for anywhere.
func (n *News) Names() []jobqueue.Name {
	if n.anywhere {
		return nil
	}
	return slices.AppendSeq(make([]jobqueue.Name, 0, len(n.names)), maps.Keys(n.names))
}

// A Bell tells those who wait in which queues work has arrived. The zero value is ready to use.
type Bell struct {
	mu      sync.Mutex
	waiters map[*waiter]struct{}
	ended   time.Time // when the last of them went
	missed  News      // since then
}

// A waiter is one call of Wait.
type waiter struct {
	news  News
	woken chan struct{} // closed once there is news
}

// Ring wakes those who wait, for queues or, without names, for any. One who waits again and again
// hears of it though it comes between two waits.
func (b *Bell) Ring(names ...jobqueue.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiters {
		if !w.news.Some() {
			close(w.woken)
		}
		w.news.Add(names...)
	}
	if len(b.waiters) == 0 && time.Since(b.ended) < newsKept {
		b.missed.Add(names...)
	}
}

// Wait is the Wait of a [jobqueue.Waiter], until the backend is closed.
func (b *Bell) Wait(ctx context.Context, closed <-chan struct{}) (names []jobqueue.Name, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &waiter{woken: make(chan struct{})}
	b.mu.Lock()
	if b.missed.Some() {
		close(w.woken)
	}
	w.news, b.missed = b.missed, News{}
	if b.waiters == nil {
		b.waiters = map[*waiter]struct{}{}
	}
	b.waiters[w] = struct{}{}
	b.mu.Unlock()
	select {
	case <-w.woken:
	case <-ctx.Done():
		err = ctx.Err()
	case <-closed:
		err = fmt.Errorf("%w: backend is closed", jobqueue.ErrUnavailable)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiters, w)
	b.ended = time.Now()
	if err != nil {
		return nil, err
	}
	return w.news.Names(), nil
}
