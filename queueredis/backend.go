package queueredis

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

// format is that of the keys which this program writes.
const format = 1

// A Backend is a [jobqueue.Backend], a [jobqueue.Waiter], a [jobqueue.Control], a [jobqueue.Limiter] and a [jobqueue.Holder] over the
// keys of one prefix. Any number of processes may use them.
type Backend struct {
	client   redis.UniversalClient
	where    string // for messages; without secrets
	user     string
	prefix   string
	shards   int
	keys     [][]string        // of each shard, what its scripts get
	turns    []*line[turnCall] // of each shard
	pushes   []*line[pushCall]
	compress int

	stopped atomic.Int64   // where the clock stands, in microseconds since 1970; 0 while it goes
	offset  atomic.Int64   // microseconds
	swept   []atomic.Int64 // when this process has had each shard swept
	newest  atomic.Int64   // the highest number of a job that this process has pushed

	watch watch
}

var (
	_ jobqueue.Backend = (*Backend)(nil)
	_ jobqueue.Waiter  = (*Backend)(nil)
	_ jobqueue.Control = (*Backend)(nil)
	_ jobqueue.Limiter = (*Backend)(nil)
)

// Open connects to a server or a Cluster, and makes the store known as one of this program if it is
// new. A store that needs a newer program or has another number of shards, and a server that is too old
// or may evict keys, are an [jobqueue.ErrInvalid]. The caller closes the backend.
func Open(ctx context.Context, o *Options) (*Backend, error) {
	c, err := newConfig(o)
	if err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	b := &Backend{where: c.where, user: c.Username, prefix: c.Prefix, shards: c.Shards, compress: c.Compress}
	if b.user == "" {
		b.user = "default"
	}
	for i := range b.shards {
		base := "{" + b.prefix + ":" + strconv.Itoa(i) + "}:"
		b.keys = append(b.keys, []string{base + "meta", base + "void"})
	}
	b.swept = make([]atomic.Int64, b.shards)
	b.openLines()
	if err := b.connect(ctx, c); err != nil {
		if b.client != nil {
			b.client.Close()
		}
		return nil, err
	}
	b.watch.init(b)
	return b, nil
}

// Close closes the connections. Calls that run or wait fail.
func (b *Backend) Close() error {
	b.watch.end()
	return b.client.Close()
}

// Shift moves the clock of this handle by d from now on. It is for tests.
func (b *Backend) Shift(d time.Duration) { b.offset.Add(d.Microseconds()) }

// StopClock makes the clock of this handle stand at an instant from now on, moved by
// Shift alone. It is for tests, which call it before anything else.
func (b *Backend) StopClock(at time.Time) { b.stopped.Store(at.UnixMicro()) }

// clock returns the clock as scripts take it.
func (b *Backend) clock() string {
	if at := b.stopped.Load(); at != 0 {
		return "=" + strconv.FormatInt(at+b.offset.Load(), 10)
	}
	return "+" + strconv.FormatInt(b.offset.Load(), 10)
}

// each calls do for the shards that parts has, at once if there are several, and returns the first error.
func each[T any](parts map[int]T, do func(shard int, part T) error) error {
	if len(parts) == 1 {
		for s, p := range parts {
			return do(s, p)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var first error
	for s, p := range parts {
		all.Go(func() {
			if err := do(s, p); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	all.Wait()
	return first
}

// every returns a part for every shard.
func (b *Backend) every() map[int]struct{} {
	parts := map[int]struct{}{}
	for s := range b.shards {
		parts[s] = struct{}{}
	}
	return parts
}
