package queueredis

import (
	"context"
	"time"
)

// sweepEvery is how old the last sweep of a shard is when a Pop that is about others makes one there.
const sweepEvery = time.Second

// now returns the time of this handle in microseconds, which is compared with itself alone.
func (b *Backend) now() int64 {
	if at := b.stopped.Load(); at != 0 {
		return at + b.offset.Load()
	}
	return time.Now().UnixMicro() + b.offset.Load()
}

// sweepOthers has the shards swept that a call is not about, lest the claims of a dead runner stay there until somebody
// looks. It waits for nothing: a shard that is away must not keep the others from being popped.
func (b *Backend) sweepOthers(ctx context.Context, about func(shard int) bool) {
	if b.shards == 1 {
		return
	}
	now := b.now()
	for shard := range b.shards {
		last := b.swept[shard].Load()
		switch {
		case about(shard):
			b.swept[shard].Store(now)
		case (now-last > sweepEvery.Microseconds() || now < last) && b.swept[shard].CompareAndSwap(last, now):
			go b.turn(context.WithoutCancel(ctx), shard, 1, []any{"w"})
		}
	}
}
