package federated

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// A filtered is a partition and what a filter is there.
type filtered struct {
	*partition
	jobqueue.Filter
}

// within returns the partitions that may hold what f matches, in the order of the IDs, which is that of their names.
func (b *Backend) within(f jobqueue.Filter) ([]filtered, error) {
	after, afterID := (*partition)(nil), ""
	if f.After != "" {
		var ok bool
		if after, afterID, ok = b.local(f.After); !ok {
			return nil, invalid("there is no job id %q to list after, it begins with no partition's name", f.After)
		}
	}
	var parts []filtered
	for _, p := range b.sorted {
		mine := filtered{p, f}
		mine.After = ""
		switch {
		case after == p:
			mine.After = afterID
		case after != nil && strings.Compare(p.name, after.name) < 0:
			continue
		}
		if f.IDs != nil {
			mine.IDs = []string{}
			for _, id := range f.IDs {
				if home, local, ok := b.local(id); ok && home == p {
					mine.IDs = append(mine.IDs, local)
				}
			}
			if len(mine.IDs) == 0 && mine.After == "" {
				continue
			}
		}
		parts = append(parts, mine)
	}
	return parts, nil
}

// List implements [jobqueue.Backend]: partition by partition, in the order of their names. Jobs of one that is
// away are left out, and a [jobqueue.PartError] is the last thing.
func (b *Backend) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		parts, err := b.within(f)
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		left := f.Limit
		var g gap
		for _, p := range parts {
			if f.Limit > 0 {
				if p.Limit = left; left <= 0 {
					break
				}
			}
			more, err := p.list(ctx, yield)
			switch {
			case err == errStopped:
				return
			case err != nil && !partial(err):
				yield(jobqueue.Entry{}, err)
				return
			case err != nil:
				g.add(p.name, err)
			}
			left -= more
		}
		if len(g.parts) == len(b.parts) {
			yield(jobqueue.Entry{}, b.nobody("answers"))
		} else if err := g.err(); err != nil {
			yield(jobqueue.Entry{}, err)
		}
	}
}

// errStopped says that the caller wants no more.
var errStopped = errors.New("stopped")

// list yields the jobs of one partition and returns how many.
func (p filtered) list(ctx context.Context, yield func(jobqueue.Entry, error) bool) (int, error) {
	n := 0
	return once(ctx, p.partition, func(ctx context.Context, b jobqueue.Backend) (int, error) {
		for e, err := range b.List(ctx, p.Filter) {
			if err != nil {
				return n, err
			}
			e.ID = p.prefix + e.ID
			if n++; !yield(e, nil) {
				return n, errStopped
			}
		}
		return n, nil
	})
}

// Delete implements [jobqueue.Backend].
func (b *Backend) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	return b.change(ctx, f, jobqueue.Backend.Delete)
}

// Requeue implements [jobqueue.Backend].
func (b *Backend) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	return b.change(ctx, f, jobqueue.Backend.Requeue)
}

func (b *Backend) change(ctx context.Context, f jobqueue.Filter, do func(jobqueue.Backend, context.Context, jobqueue.Filter) (int, error)) (n int, err error) {
	parts, err := b.within(f)
	if err != nil {
		return 0, err
	}
	var g gap
	for _, p := range parts {
		if f.Limit > 0 {
			if p.Limit = f.Limit - n; p.Limit <= 0 {
				break
			}
		}
		changed, err := once(ctx, p.partition, func(ctx context.Context, b jobqueue.Backend) (int, error) {
			return do(b, ctx, p.Filter)
		})
		n += changed
		if err != nil && !partial(err) {
			return n, err
		}
		if err != nil {
			g.add(p.name, err)
		}
	}
	if len(g.parts) == len(b.parts) {
		return n, b.nobody("answers")
	}
	return n, g.err()
}
