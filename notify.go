package jobqueue

import (
	"context"
	"sync"
	"time"
)

const (
	notifyPause = 10 * time.Millisecond // in which notifications are gathered
	notifyTime  = 2 * time.Second       // for a call of the aggregator
)

// A notifier tells an aggregator of queues that got work, in the background, at most
// one call at a time.
type notifier struct {
	aggregator Aggregator
	trace      *Trace

	mu    sync.Mutex
	names map[Name]struct{} // to be told of
	idle  chan struct{}     // closed when all is told; nil while there is nothing to tell
}

// add tells of queues soon; the first at once.
func (n *notifier) add(names ...Name) {
	if n == nil || len(names) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names = map[Name]struct{}{}
	}
	for _, name := range names {
		n.names[name] = struct{}{}
	}
	if n.idle == nil {
		n.idle = make(chan struct{})
		go n.run()
	}
}

// run tells of what was added, and again after a pause unless nothing was by then.
func (n *notifier) run() {
	n.mu.Lock()
	names := n.names
	n.names = nil
	if len(names) == 0 {
		close(n.idle)
		n.idle = nil
	}
	n.mu.Unlock()
	if len(names) > 0 {
		n.tell(names)
		time.AfterFunc(notifyPause, n.run)
	}
}

func (n *notifier) tell(names map[Name]struct{}) {
	queues := make([]Backlog, 0, len(names))
	for name := range names {
		queues = append(queues, Backlog{Name: name})
	}
	ctx, cancel := context.WithTimeout(context.Background(), notifyTime)
	defer cancel()
	err := n.aggregator.Notify(ctx, queues...)
	if n.trace.Notified != nil {
		n.trace.Notified(ctx, queues, err)
	}
}

// flush waits until all that was added is told.
func (n *notifier) flush(ctx context.Context) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	idle := n.idle
	n.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Flush waits until the [Aggregator] has been told of everything that was pushed, or ctx
// ends. A program calls it before it exits; one that does not delays its last jobs by a sweep.
// Without an aggregator it does nothing.
func (g *Group) Flush(ctx context.Context) error { return g.notes.flush(ctx) }

// notifyPushed tells of the queues of a piece that is in and holds jobs that are not delayed.
func (g *Group) notifyPushed(records []Record) {
	if g.notes == nil {
		return
	}
	var names []Name
	for i := range records {
		r := &records[i]
		if r.Delay > 0 || !r.ReleaseAt.IsZero() || len(names) > 0 && names[len(names)-1] == r.Name {
			continue
		}
		names = append(names, r.Name)
	}
	g.notes.add(names...)
}

// notifySettled tells of the queues of jobs that went back at once.
func (g *Group) notifySettled(outcomes []Outcome) {
	if g.notes == nil {
		return
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.Delay <= 0 && (o.Do == ActionGiveBack || o.Do == ActionRetry) {
			g.notes.add(o.Claim.Name)
		}
	}
}
