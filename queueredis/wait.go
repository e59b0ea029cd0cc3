package queueredis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

// pingTime is how often a subscription that hears nothing looks whether it is still connected. Whoever
// waits also polls, so this need not be often.
const pingTime = 10 * time.Second

var errClosed = errors.New("backend is closed")

// A watch listens to what scripts tell of queues that have become ready, once somebody waits for it.
type watch struct {
	b      *Backend
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	started bool
	waiters map[*waiter]struct{}
}

// A waiter is one call of Wait.
type waiter struct {
	names map[jobqueue.Name]struct{}
	any   bool
	woken chan struct{} // closed once there is a name, or any
}

func (w *watch) init(b *Backend) {
	w.b, w.waiters = b, map[*waiter]struct{}{}
	w.ctx, w.cancel = context.WithCancel(context.Background())
}

func (w *watch) end() {
	w.cancel()
	w.ended.Wait()
}

// Wait implements [jobqueue.Waiter].
func (b *Backend) Wait(ctx context.Context) ([]jobqueue.Name, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &b.watch
	me := &waiter{names: map[jobqueue.Name]struct{}{}, woken: make(chan struct{})}
	w.mu.Lock()
	w.waiters[me] = struct{}{}
	if !w.started {
		w.started = true
		w.ended.Go(w.listen)
	}
	w.mu.Unlock()
	var err error
	select {
	case <-me.woken:
	case <-ctx.Done():
		err = ctx.Err()
	case <-w.ctx.Done():
		err = fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, errClosed)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiters, me)
	if err != nil || me.any {
		return nil, err
	}
	names := make([]jobqueue.Name, 0, len(me.names))
	for n := range me.names {
		names = append(names, n)
	}
	return names, nil
}

// listen wakes those who wait until the backend is closed. The driver connects again by itself, and
// tells when it has; what was told meanwhile is lost, so everybody looks then.
func (w *watch) listen() {
	var channels []string
	for _, keys := range w.b.keys {
		channels = append(channels, strings.TrimSuffix(keys[0], "meta")+"wake")
	}
	ps := w.b.client.Subscribe(w.ctx, channels...)
	defer ps.Close()
	messages := ps.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(pingTime))
	for {
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				w.wake(nil)
			case *redis.Message:
				w.wake(readNames(m.Payload))
			}
		case <-w.ctx.Done():
			return
		}
	}
}

// wake tells everybody who waits that some queues have become ready or, without names, any.
func (w *watch) wake(names []jobqueue.Name) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for me := range w.waiters {
		if len(me.names) == 0 && !me.any {
			close(me.woken)
		}
		me.any = me.any || len(names) == 0
		for _, n := range names {
			me.names[n] = struct{}{}
		}
	}
}

// readNames reads a message. It returns nil for one that is not understood.
func readNames(s string) (names []jobqueue.Name) {
	for s != "" {
		digits, rest, _ := strings.Cut(s, ":")
		size, err := strconv.Atoi(digits)
		if err != nil || size < 0 || size > len(rest) {
			return nil
		}
		n, ok := parseName(rest[:size])
		if !ok {
			return nil
		}
		names, s = append(names, n), rest[size:]
	}
	return names
}
