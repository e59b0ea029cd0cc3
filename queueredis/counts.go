package queueredis

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/wikifarm/jobqueue"
)

// Counts implements [jobqueue.Backend].
func (b *Backend) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	if len(names) == 0 {
		return b.countAll(ctx)
	}
	counts := make([]jobqueue.Counts, len(names))
	places := make([]int, len(names))
	for i := range names {
		places[i] = i
	}
	err := each(byShard(b, places, func(i int) int { return b.shardOf(names[i].Domain) }), func(shard int, places []int) error {
		for part := range slices.Chunk(places, batch) {
			args := []any{""}
			for _, i := range part {
				args = append(args, nameKey(names[i]))
			}
			v, err := b.run(ctx, shard, countsScript, args...)
			if err != nil {
				return err
			}
			found, _, err := readCounts(v)
			if err != nil || len(found) != len(part) {
				return cmp.Or(err, errAnswer)
			}
			for k, i := range part {
				counts[i] = found[k]
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// countAll counts every queue that holds a job.
func (b *Backend) countAll(ctx context.Context) (all []jobqueue.Counts, err error) {
	var mu sync.Mutex
	err = each(b.every(), func(shard int, _ struct{}) error {
		for next := "1"; next != ""; {
			v, err := b.run(ctx, shard, countsScript, next)
			if err != nil {
				return err
			}
			var found []jobqueue.Counts
			if found, next, err = readCounts(v); err != nil {
				return err
			}
			mu.Lock()
			all = append(all, slices.DeleteFunc(found, func(c jobqueue.Counts) bool { return c.Total() == 0 })...)
			mu.Unlock()
		}
		return nil
	})
	slices.SortFunc(all, func(x, y jobqueue.Counts) int {
		return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Type, y.Type))
	})
	return all, err
}

func readCounts(v any) (found []jobqueue.Counts, next string, err error) {
	a := list(v)
	if len(a) != 2 {
		return nil, "", errAnswer
	}
	for f := range slices.Chunk(list(a[0]), 6) {
		name, ok := parseName(text(f[0]))
		if !ok {
			return nil, "", errAnswer
		}
		n := func(i int) int { return int(number(f[i])) }
		found = append(found, jobqueue.Counts{
			Name: name, Ready: n(1), Delayed: n(2), Claimed: n(3), Abandoned: n(4), Age: duration(number(f[5])),
		})
	}
	return found, text(a[1]), nil
}
