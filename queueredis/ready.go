package queueredis

import (
	"context"
	"iter"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// Ready implements [jobqueue.Backend].
func (b *Backend) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		parts := b.keysByShard(names)
		b.sweepOthers(ctx, func(shard int) bool { _, is := parts[shard]; return is })
		for shard, keys := range parts {
			from, skip, seen := "", "0", map[string]bool{}
			for first := true; first || from != "" || len(keys) > 0; first = false {
				args := []any{"all", from, skip}
				if len(names) > 0 {
					part := keys[:min(batch, len(keys))]
					keys = keys[len(part):]
					args = []any{"names"}
					for _, k := range part {
						args = append(args, k)
					}
				}
				v, err := b.run(ctx, shard, readyScript, args...)
				a := list(v)
				if err == nil && len(a) != 3 {
					err = errAnswer
				}
				if err != nil {
					yield(jobqueue.Backlog{}, err)
					return
				}
				from, skip = text(a[1]), text(a[2])
				for f := range slices.Chunk(list(a[0]), 2) {
					name, ok := parseName(text(f[0]))
					if !ok || seen[text(f[0])] {
						continue
					}
					seen[text(f[0])] = true
					if !yield(jobqueue.Backlog{Name: name, Age: duration(number(f[1]))}, nil) {
						return
					}
				}
			}
		}
	}
}

// keysByShard returns the keys of names by shard or, without names, every shard.
func (b *Backend) keysByShard(names []jobqueue.Name) map[int][]string {
	parts := map[int][]string{}
	if len(names) == 0 {
		for s := range b.shards {
			parts[s] = nil
		}
	}
	for _, n := range names {
		s := b.shardOf(n.Domain)
		parts[s] = append(parts[s], nameKey(n))
	}
	return parts
}
