package federated

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// whole returns err, the PartError of a call to all partitions, or that of a call that none has answered.
func (b *Backend) whole(missing []share, err error) error {
	if len(missing) == len(b.parts) {
		return b.nobody("answers")
	}
	return err
}

// Counts implements [jobqueue.Backend]. Without the partitions that a [jobqueue.PartError] names they are lower.
func (b *Backend) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	counts := make([][]jobqueue.Counts, len(b.parts))
	missing, err := scatter(b.all(), func(s share) (err error) {
		counts[s.place], err = once(ctx, s.partition, func(ctx context.Context, b jobqueue.Backend) ([]jobqueue.Counts, error) {
			return b.Counts(ctx, names...)
		})
		return err
	})
	if err = b.whole(missing, err); err != nil && len(missing) == 0 || len(missing) == len(b.parts) {
		return nil, err
	}
	index := make(map[jobqueue.Name]*jobqueue.Counts, len(names))
	for _, n := range names {
		index[n] = &jobqueue.Counts{Name: n}
	}
	for _, part := range counts {
		seen := map[jobqueue.Name]bool{}
		for _, c := range part {
			if seen[c.Name] {
				continue
			}
			seen[c.Name] = true
			sum := index[c.Name]
			if sum == nil {
				sum = &jobqueue.Counts{Name: c.Name}
				index[c.Name] = sum
			}
			sum.Ready += c.Ready
			sum.Delayed += c.Delayed
			sum.Claimed += c.Claimed
			sum.Abandoned += c.Abandoned
			sum.Age = max(sum.Age, c.Age)
		}
	}
	var all []jobqueue.Counts
	for _, n := range names {
		all = append(all, *index[n])
	}
	if len(names) == 0 {
		for _, c := range index {
			all = append(all, *c)
		}
		slices.SortFunc(all, func(x, y jobqueue.Counts) int {
			return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Type, y.Type))
		})
	}
	return all, err
}

// Ready implements [jobqueue.Backend]. It yields what there is, and then a [jobqueue.PartError] if a partition is away.
func (b *Backend) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		found := make([][]jobqueue.Backlog, len(b.parts))
		missing, err := scatter(b.all(), func(s share) (err error) {
			found[s.place], err = s.ready(ctx, names...)
			return err
		})
		err = b.whole(missing, err)
		index := map[jobqueue.Name]int{}
		var all []jobqueue.Backlog
		for _, r := range slices.Concat(found...) {
			i, known := index[r.Name]
			if !known {
				i = len(all)
				index[r.Name] = i
				all = append(all, r)
			}
			all[i].Age = max(all[i].Age, r.Age)
		}
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(jobqueue.Backlog{}, err)
		}
	}
}

// ready returns what the partition yields.
func (p *partition) ready(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Backlog, error) {
	at := p.f.now()
	return once(ctx, p, func(ctx context.Context, b jobqueue.Backend) (found []jobqueue.Backlog, err error) {
		for r, err := range b.Ready(ctx, names...) {
			if err != nil {
				return nil, err
			}
			found = append(found, r)
		}
		p.sweeps(at)
		return found, nil
	})
}

// Maintain implements [jobqueue.Backend].
func (b *Backend) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	did := make([]jobqueue.Maintained, len(b.parts))
	missing, err := scatter(b.all(), func(s share) (err error) {
		at := b.now()
		did[s.place], err = once(ctx, s.partition, func(ctx context.Context, b jobqueue.Backend) (jobqueue.Maintained, error) {
			return b.Maintain(ctx)
		})
		if err == nil {
			s.swept.Store(int64(at))
		}
		return err
	})
	var sum jobqueue.Maintained
	for _, m := range did {
		sum.Released += m.Released
		sum.Recycled += m.Recycled
		sum.Pruned += m.Pruned
		sum.Forgotten += m.Forgotten
	}
	return sum, b.whole(missing, err)
}
