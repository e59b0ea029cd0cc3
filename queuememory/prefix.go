package queuememory

import (
	"context"
	"iter"
	"strings"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// WithPrefix returns a backend with the same jobs, whose IDs begin with the prefix there. Whoever keeps several
// backends apart by what their IDs begin with need not write those of every job anew.
func (b *Backend) WithPrefix(prefix string) jobqueue.Backend { return prefixed{b, prefix} }

type prefixed struct {
	*Backend
	prefix string
}

func (p prefixed) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	return p.Backend.push(ctx, p.prefix, id, records)
}

func (p prefixed) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	return p.Backend.pop(ctx, p.prefix, l, wants)
}

func (p prefixed) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) ([]*jobqueue.Claim, error) {
	return p.Backend.settle(ctx, p.prefix, outcomes)
}

func (p prefixed) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		for e, err := range p.Backend.List(ctx, p.local(f)) {
			if err == nil {
				e.ID = p.prefix + e.ID
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (p prefixed) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	return p.Backend.Delete(ctx, p.local(f))
}

func (p prefixed) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	return p.Backend.Requeue(ctx, p.local(f))
}

// local returns the filter with IDs as they are without the prefix; of one that has another prefix nothing is left.
func (p prefixed) local(f jobqueue.Filter) jobqueue.Filter {
	f.After, _ = strings.CutPrefix(f.After, p.prefix)
	if f.IDs != nil {
		ids := make([]string, 0, len(f.IDs))
		for _, id := range f.IDs {
			if id, ok := strings.CutPrefix(id, p.prefix); ok {
				ids = append(ids, id)
			}
		}
		f.IDs = ids
	}
	return f
}
