package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Ready yields the queues that have work now, each from the backend its
// type is routed to, and the error of each backend that could not be asked.
// What is paused, see [Group.Pause], is left out.
func (g *Group) Ready(ctx context.Context, names ...Name) iter.Seq2[Backlog, error] {
	return func(yield func(Backlog, error) bool) {
		held, err := g.paused(ctx)
		if err != nil {
			yield(Backlog{}, &Error{Op: "ready", Err: err})
			return
		}
		for _, b := range g.backends {
			mine := slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return g.Backend(n.Type) != b })
			if len(names) > 0 && len(mine) == 0 {
				continue
			}
			for r, err := range b.Ready(ctx, mine...) {
				if err != nil {
					err = &Error{Op: "ready", Err: err}
				} else if g.Backend(r.Type) != b || held != nil && held.covers(r.Name) {
					continue
				}
				if !yield(r, err) {
					return
				}
			}
		}
	}
}

// Hints yields what the [Aggregator] has, without what is paused; see [Group.Pause]. A
// hint may be wrong. Whoever finds nothing where there should be work clears it. Without an
// aggregator Hints yields what Ready does, of the given types.
func (g *Group) Hints(ctx context.Context, types ...string) iter.Seq2[Backlog, error] {
	return func(yield func(Backlog, error) bool) {
		if g.Aggregator == nil {
			for r, err := range g.Ready(ctx) {
				if (err != nil || len(types) == 0 || slices.Contains(types, r.Type)) && !yield(r, err) {
					return
				}
			}
			return
		}
		var held *paused
		first := true
		for r, err := range g.Aggregator.Ready(ctx, types...) {
			if first && err == nil {
				// While there is nothing, nobody need know what is paused.
				held, err = g.paused(ctx)
				first = false
			}
			if err != nil {
				yield(Backlog{}, &Error{Op: "read hints", Err: err})
				return
			}
			if held != nil && held.covers(r.Name) {
				continue
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Counts returns the exact counts of each name from its backend or, without names, of
// every queue that holds a job in any backend, including such as hold
// jobs of a type that is routed elsewhere by now.
func (g *Group) Counts(ctx context.Context, names ...Name) ([]Counts, error) {
	var all []Counts
	for _, b := range g.backends {
		mine := slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return g.Backend(n.Type) != b })
		if len(names) > 0 && len(mine) == 0 {
			continue
		}
		counts, err := b.Counts(ctx, mine...)
		if err != nil {
			return nil, &Error{Op: "count", Err: err}
		}
		all = append(all, counts...)
	}
	return all, nil
}

// within returns the backends that a filter is about. IDs are those of one backend, so
// with several of them a filter that has any must have a type as well.
func (g *Group) within(f Filter) ([]Backend, error) {
	switch {
	case len(g.backends) == 1 || f.IDs == nil && f.After == "":
		return g.backends, nil
	case f.Type == "":
		return nil, fmt.Errorf("%w: there are %d backends, each with IDs of its own: name the type, too", ErrInvalid, len(g.backends))
	}
	return []Backend{g.Backend(f.Type)}, nil
}

// List yields the jobs that f matches, backend by backend. If f has IDs or After and
// there are several backends, f.Type says which is meant, else it is an [ErrInvalid].
func (g *Group) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f := f // The sequence may be iterated again.
		backends, err := g.within(f)
		if err != nil {
			yield(Entry{}, &Error{Op: "list", Err: err})
			return
		}
		limited := f.Limit > 0
		for _, b := range backends {
			for e, err := range b.List(ctx, f) {
				if err != nil {
					err = &Error{Op: "list", Err: err}
				}
				if !yield(e, err) || err != nil {
					return
				}
				if limited {
					f.Limit-- // The backend ends by itself, and may have to say then what it has left out.
				}
			}
			if limited && f.Limit <= 0 {
				return
			}
		}
	}
}

// Delete deletes the jobs that f matches in every backend; see [Backend], and [Group.List] for IDs.
func (g *Group) Delete(ctx context.Context, f Filter) (int, error) {
	return g.change(ctx, "delete", f, Backend.Delete)
}

// Requeue makes the jobs that f matches ready in every backend; see [Backend], and [Group.List] for IDs.
func (g *Group) Requeue(ctx context.Context, f Filter) (int, error) {
	return g.change(ctx, "requeue", f, Backend.Requeue)
}

func (g *Group) change(ctx context.Context, op string, f Filter, do func(Backend, context.Context, Filter) (int, error)) (n int, err error) {
	if err := g.writable(); err != nil {
		return 0, &Error{Op: op, Err: err}
	}
	backends, err := g.within(f)
	if err != nil {
		return 0, &Error{Op: op, Err: err}
	}
	limit := f.Limit
	for _, b := range backends {
		if limit > 0 {
			if f.Limit = limit - n; f.Limit <= 0 {
				break
			}
		}
		changed, err := do(b, ctx, f)
		n += changed
		if err != nil {
			return n, &Error{Op: op, Err: err}
		}
	}
	return n, nil
}

// Maintain does a bounded amount of hygiene in every backend; see [Backend].
func (g *Group) Maintain(ctx context.Context) (Maintained, error) {
	var sum Maintained
	var errs []error
	for _, b := range g.backends {
		m, err := b.Maintain(ctx)
		if g.Trace.Maintained != nil {
			g.Trace.Maintained(ctx, m, err)
		}
		if err != nil {
			errs = append(errs, &Error{Op: "maintain", Err: err})
		}
		sum.Released += m.Released
		sum.Recycled += m.Recycled
		sum.Pruned += m.Pruned
		sum.Forgotten += m.Forgotten
	}
	return sum, errors.Join(errs...)
}
