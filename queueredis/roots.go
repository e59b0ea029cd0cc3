package queueredis

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue"
)

// batch is how many names, ids and the like go into one script.
const batch = 500

// MarkRoots implements [jobqueue.Backend].
func (b *Backend) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	times := make([]time.Time, len(marks))
	places := make([]int, len(marks))
	for i := range marks {
		places[i] = i
	}
	err := each(byShard(b, places, func(i int) int { return b.shardOf(marks[i].Domain) }), func(shard int, places []int) error {
		for len(places) > 0 {
			part := places[:min(batch, len(places))]
			places = places[len(part):]
			var args []any
			for _, i := range part {
				at := stamp(marks[i].Time)
				if marks[i].Next {
					at = "+"
				}
				args = append(args, nameKey(marks[i].Name), marks[i].Key, at)
			}
			v, err := b.run(ctx, shard, markScript, args...)
			if err != nil {
				return err
			}
			for k, t := range list(v) {
				times[part[k]] = parseStamp(text(t))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return times, nil
}
