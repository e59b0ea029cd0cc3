package queueredis

import (
	"context"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// Delete implements [jobqueue.Backend].
func (b *Backend) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	states := f.States
	if states == nil {
		states = []jobqueue.State{jobqueue.Ready, jobqueue.Delayed, jobqueue.Abandoned}
	}
	return b.change(ctx, f, states, "delete")
}

// Requeue implements [jobqueue.Backend].
func (b *Backend) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	states := f.States
	if states == nil {
		states = []jobqueue.State{jobqueue.Abandoned}
	}
	states = slices.DeleteFunc(slices.Clone(states), func(s jobqueue.State) bool { return s == jobqueue.Ready })
	return b.change(ctx, f, states, "requeue")
}

// changeBatch is how many jobs one script changes.
const changeBatch = 500

func (b *Backend) change(ctx context.Context, f jobqueue.Filter, states []jobqueue.State, how string) (changed int, err error) {
	q, some, err := b.newQuery(f, states)
	if err != nil || !some {
		return 0, err
	}
	if len(q.shards) > 1 && f.Limit > 0 {
		return b.changeFirst(ctx, f, states, how)
	}
	for _, shard := range q.shards {
		after := q.after[shard]
		for {
			most := changeBatch
			if f.Limit > 0 {
				most = min(most, f.Limit-changed)
			}
			args, last, ok := q.args(shard, after, most)
			if !ok || most == 0 {
				break
			}
			v, err := b.run(ctx, shard, changeScript, append(args, how)...)
			if err != nil {
				return changed, err
			}
			a := list(v)
			if len(a) != 2 {
				return changed, errAnswer
			}
			changed += int(number(a[0]))
			if last > 0 {
				after = last
			} else if after = number(a[1]); after == 0 {
				break
			}
		}
	}
	return changed, nil
}

// changeFirst changes the first jobs that f matches in whatever shards they are.
func (b *Backend) changeFirst(ctx context.Context, f jobqueue.Filter, states []jobqueue.State, how string) (changed int, err error) {
	for changed < f.Limit {
		q, some, err := b.newQuery(f, states)
		if err != nil || !some {
			return changed, err
		}
		q.Limit = min(changeBatch, f.Limit-changed)
		ids := []string{}
		for e, err := range b.merged(ctx, q) {
			if err != nil {
				return changed, err
			}
			if ids = append(ids, e.ID); len(ids) == q.Limit {
				break
			}
		}
		if len(ids) == 0 {
			return changed, nil
		}
		n, err := b.change(ctx, jobqueue.Filter{Domain: f.Domain, Type: f.Type, IDs: ids}, states, how)
		if changed += n; err != nil {
			return changed, err
		}
		f.After = ids[len(ids)-1]
	}
	return changed, nil
}
