//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A place is what a process opens: a file, a database or a server, as it is reached from there.
type place struct {
	Name string // of it among several
	Kind string // sqlite, postgres or redis
	At   string // path or host:port
}

// open opens the place.
func (p place) open(ctx context.Context) (clocked, error) {
	switch p.Kind {
	case "sqlite":
		return sqlite.Open(p.At, nil)
	case "postgres":
		return postgres.Open(ctx, "postgres://jobqueue@"+p.At+"/postgres?connect_timeout=5", nil)
	default:
		return queueredis.Open(ctx, &queueredis.Options{URL: "redis://" + p.At, Shards: 2})
	}
}

// A kept says where a store keeps its jobs: in one place, or in those of a federation.
type kept struct {
	Places []place
}

// A clockwork moves the clocks of all places that a process has opened, as if they were the servers'.
type clockwork struct {
	mu    sync.Mutex
	shift time.Duration
	parts []clocked
}

func (w *clockwork) move(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shift += d
	for _, c := range w.parts {
		c.Shift(d)
	}
}

// open opens a place, whose clock is from then on where the others' are.
func (w *clockwork) open(ctx context.Context, p place) (clocked, error) {
	c, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Shift(w.shift)
	w.parts = append(w.parts, c)
	return c, nil
}

// once opens the store, if it is there.
func (k kept) once(ctx context.Context, w *clockwork) (store, error) {
	if len(k.Places) == 1 {
		return w.open(ctx, k.Places[0])
	}
	var all []federated.Partition
	for _, p := range k.Places {
		all = append(all, federated.Partition{Name: p.Name, Weight: 1, Open: func(ctx context.Context) (jobqueue.Backend, io.Closer, error) {
			c, err := w.open(ctx, p)
			if err != nil {
				return nil, nil, err
			}
			return c, c.(io.Closer), nil
		}})
	}
	return federated.New(ctx, all, &federated.Options{Logger: slog.New(slog.DiscardHandler)})
}

// open opens the store, however long it is away.
func (k kept) open(ctx context.Context, w *clockwork) (store, error) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		s, err := k.once(once, w)
		cancel()
		if err == nil || !errors.Is(err, jobqueue.ErrUnavailable) {
			return s, err
		}
		wait(ctx, 50*time.Millisecond)
	}
	return nil, ctx.Err()
}
