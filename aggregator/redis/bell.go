package redis

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

// pingTime is how often a subscription that hears nothing looks whether it is still connected. Whoever
// waits also polls, so this need not be often.
const pingTime = 10 * time.Second

// A bell is the one subscription of a process to the names of queues that got an entry.
type bell struct {
	channel string

	mu      sync.Mutex
	pubsub  *redis.PubSub
	waiters map[chan []jobqueue.Name]struct{}
	closed  bool
}

// Wait implements [jobqueue.Waiter] for entries that are new: it returns their names, or none when
// the connection was made anew and some may have been missed.
func (a *Aggregator) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	heard := make(chan []jobqueue.Name, 1)
	if err := a.bell.join(a.client, heard); err != nil {
		return nil, err
	}
	defer a.bell.leave(heard)
	select {
	case names, open := <-heard:
		if !open {
			return nil, failed(ctx, "wait", redis.ErrClosed)
		}
		return names, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *bell) join(client redis.UniversalClient, heard chan []jobqueue.Name) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return failed(context.Background(), "wait", redis.ErrClosed)
	}
	if b.pubsub == nil {
		b.waiters = map[chan []jobqueue.Name]struct{}{}
		b.pubsub = client.Subscribe(context.Background(), b.channel)
		go b.listen(b.pubsub.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(pingTime)))
	}
	b.waiters[heard] = struct{}{}
	return nil
}

func (b *bell) leave(heard chan []jobqueue.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiters, heard)
}

// listen passes on what comes until the subscription is closed.
func (b *bell) listen(messages <-chan any) {
	for m := range messages {
		var names []jobqueue.Name
		if m, ok := m.(*redis.Message); ok {
			var pairs [][2]string
			if json.Unmarshal([]byte(m.Payload), &pairs) == nil {
				for _, p := range pairs {
					names = append(names, jobqueue.Name{Domain: p[0], Type: p[1]})
				}
			}
		}
		b.ring(names)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiters {
		close(w)
	}
	b.waiters = nil
}

func (b *bell) ring(names []jobqueue.Name) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.waiters {
		delete(b.waiters, w)
		w <- names // It has room for one, and gets no other.
	}
}

func (b *bell) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.pubsub == nil {
		return nil
	}
	return b.pubsub.Close()
}
