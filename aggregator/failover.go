package aggregator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	skipMin = time.Second // how long a server that failed is not asked again, doubling
	skipMax = 30 * time.Second
)

// Failover is an aggregator made of several: every call goes to the first that answers.
// Nothing is copied between them. One that takes over knows of nothing that was
// notified before, and one that comes back may know of what is gone, until the next [Sweep].
type Failover struct {
	mu      sync.Mutex
	servers []*server
}

type server struct {
	jobqueue.Aggregator
	failures int
	until    time.Time // when it is asked again
}

// NewFailover returns an aggregator that prefers the first. It panics without any.
func NewFailover(first jobqueue.Aggregator, others ...jobqueue.Aggregator) *Failover {
	f := &Failover{}
	for _, a := range append([]jobqueue.Aggregator{first}, others...) {
		if a == nil {
			panic("aggregator: new failover: an aggregator is nil")
		}
		f.servers = append(f.servers, &server{Aggregator: a})
	}
	return f
}

// Notify implements [jobqueue.Aggregator].
func (f *Failover) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	return f.do(ctx, func(a jobqueue.Aggregator) error { return a.Notify(ctx, queues...) })
}

// Clear implements [jobqueue.Aggregator].
func (f *Failover) Clear(ctx context.Context, seen ...jobqueue.Backlog) error {
	return f.do(ctx, func(a jobqueue.Aggregator) error { return a.Clear(ctx, seen...) })
}

// Ready implements [jobqueue.Aggregator]. It yields the entries of one server.
func (f *Failover) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		var all []jobqueue.Backlog
		err := f.do(ctx, func(a jobqueue.Aggregator) error {
			all = all[:0]
			for q, err := range a.Ready(ctx, types...) {
				if err != nil {
					return err
				}
				all = append(all, q)
			}
			return nil
		})
		if err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		for _, q := range all {
			if !yield(q, nil) {
				return
			}
		}
	}
}

// do asks the servers in order, those last that failed a moment ago.
func (f *Failover) do(ctx context.Context, ask func(jobqueue.Aggregator) error) error {
	var errs []error
	for _, s := range f.order(time.Now()) {
		err := ask(s)
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err()) // That says nothing of the server.
		}
		f.heard(s, err)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no aggregator answers: %w", errors.Join(errs...))
}

func (f *Failover) order(now time.Time) []*server {
	f.mu.Lock()
	defer f.mu.Unlock()
	var well, failed []*server
	for _, s := range f.servers {
		if now.Before(s.until) {
			failed = append(failed, s)
		} else {
			well = append(well, s)
		}
	}
	return append(well, failed...)
}

func (f *Failover) heard(s *server, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		s.failures, s.until = 0, time.Time{}
		return
	}
	s.until = time.Now().Add(min(skipMax, skipMin<<min(s.failures, 10)))
	s.failures++
}
