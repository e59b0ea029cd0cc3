package queueredis

import (
	"context"
	"sync"

	"github.com/wikifarm/jobqueue"
)

// maintainRounds is how often a Maintain repeats a script that found as much as it may do.
const maintainRounds = 20

// Maintain implements [jobqueue.Backend].
func (b *Backend) Maintain(ctx context.Context) (m jobqueue.Maintained, err error) {
	var mu sync.Mutex
	err = each(b.every(), func(shard int, _ struct{}) error {
		what := "srpfq"
		for range maintainRounds {
			v, err := b.run(ctx, shard, maintainScript, what)
			if err != nil {
				return err
			}
			a := list(v)
			if len(a) != 5 {
				return errAnswer
			}
			mu.Lock()
			m.Recycled += int(number(a[0]))
			m.Released += int(number(a[1]))
			m.Pruned += int(number(a[2]))
			m.Forgotten += int(number(a[3]))
			mu.Unlock()
			if what = text(a[4]); what == "" {
				break
			}
		}
		return nil
	})
	return m, err
}
