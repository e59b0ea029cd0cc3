package aggregator

import (
	"context"
	"iter"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// Polling is an aggregator that keeps nothing: it asks the backends of a group each time. What it
// yields is true and has no version, and there is nothing to notify or to clear.
type Polling struct{ backends []jobqueue.Backend }

// NewPolling returns an aggregator over the backends of g, for what wants one in a farm that has none.
// It is of no use in [jobqueue.Routes], as a group without an aggregator does the same.
func NewPolling(g *jobqueue.Group) *Polling { return &Polling{g.Backends()} }

// Notify implements [jobqueue.Aggregator]. It does nothing.
func (*Polling) Notify(context.Context, ...jobqueue.Backlog) error { return nil }

// Clear implements [jobqueue.Aggregator]. It does nothing.
func (*Polling) Clear(context.Context, ...jobqueue.Backlog) error { return nil }

// Ready implements [jobqueue.Aggregator]. What a backend holds that cannot be asked is missing; its
// error comes last.
func (p *Polling) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		var failed error
		for _, b := range p.backends {
			for q, err := range b.Ready(ctx) {
				if err != nil {
					failed = err
					break
				}
				if (len(types) == 0 || slices.Contains(types, q.Type)) && !yield(q, nil) {
					return
				}
			}
		}
		if failed != nil {
			yield(jobqueue.Backlog{}, failed)
		}
	}
}
