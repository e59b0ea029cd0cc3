// Package federated makes one [jobqueue.Backend] of several, its partitions, so that a farm outgrows
// one server by adding servers.
//
//	b, err := federated.New(ctx, []federated.Partition{
//		{Name: "q1", Weight: 2, Backend: first},
//		{Name: "q2", Weight: 1, Open: open},
//	}, nil)
//
// A job that is deduplicated has its place by its digest, the others of a push go together to a place
// that the push has. A partition that does not answer is left out until it does; what that
// weakens is told in docs/federated.md.
package federated

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// MaxPartitions is how many partitions a backend has at most.
const MaxPartitions = 64

// A Partition is one of the backends that a [Backend] is made of.
type Partition struct {
	// Name is part of the ID of every job in the partition, and decides which jobs go there. It
	// must stay what it is, and have no colon.
	Name string

	// Weight is the partition's share of the jobs, relative to the others. 0 is for one that takes
	// only what the sections send there.
	Weight float64

	// NoPush keeps new jobs away. Those that are there are handed out as ever: that drains the partition.
	NoPush bool

	// Backend is where the jobs are, or Open returns it. The Backend of the federation calls Open, again and again until it has
	// succeeded once, and closes what it has returned. A nil Closer is fine. An Open that fails
	// with an [jobqueue.ErrUnavailable] when the federation is made means that the partition is away for now.
	// A backend with WithPrefix, as queuememory has it, is spared that the ID of every job is written anew.
	Backend jobqueue.Backend
	Open    func(context.Context) (jobqueue.Backend, io.Closer, error)
}

// A Section sends the jobs of some domains to partitions of their own.
type Section struct {
	Weights map[string]float64 // by the names of partitions
	Domains []string           // whose jobs these are; a domain is in one section at most
}

// Options of [New]. Nil means none.
type Options struct {
	Sections map[string]Section // by name; the jobs of all other domains go by Partition.Weight
	Logger   *slog.Logger       // told which partition is away, and when it is back; nil means slog.Default()
}

// A Backend is a [jobqueue.Backend] made of partitions. It also is a [jobqueue.Waiter], a
// [jobqueue.Control] and a [jobqueue.Limiter], as far as its partitions are.
//
// What it does not promise: queues have no order, but nothing is passed over for ever. A Push of
// several owners is atomic at each of them only. Counts are of one instant at each partition.
type Backend struct {
	parts    []*partition // as they were given; the first keeps the values
	sorted   []*partition // by name
	byName   map[string]*partition
	byTag    map[tag]*partition
	usual    section
	sections map[string]*section // by domain
	log      *slog.Logger

	passed memory[struct{}]                    // pushes that went past their owner
	pops   memory[popped]                      // what recent tokens are of
	times  memory[map[jobqueue.Mark]time.Time] // of new roots, by push
	moved  memory[time.Time]                   // marks that their owners may not have, by rootID
	known  values

	made   time.Time
	offset atomic.Int64 // nanoseconds that the clock is ahead; for tests

	mu    sync.Mutex
	back  chan struct{} // closed when a partition is back
	ended bool
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup
}

var (
	_ jobqueue.Backend = (*Backend)(nil)
	_ jobqueue.Waiter  = (*Backend)(nil)
	_ jobqueue.Control = (*Backend)(nil)
	_ jobqueue.Limiter = (*Backend)(nil)
)

// New returns a backend made of partitions, and opens those that are to be opened, which it waits for
// a few seconds at most. One that is away is no error, unless all are. Errors are [jobqueue.ErrInvalid] for options that make no sense
// and for what Open says cannot work, and [jobqueue.ErrUnavailable]. The caller calls Close when done.
func New(ctx context.Context, partitions []Partition, o *Options) (*Backend, error) {
	if o == nil {
		o = &Options{}
	}
	b := &Backend{
		byName: map[string]*partition{},
		byTag:  map[tag]*partition{},
		log:    o.Logger,
		passed: memory[struct{}]{most: rememberedPushes, life: jobqueue.PushMemory},
		pops:   memory[popped]{most: rememberedPops, life: jobqueue.TokenMemory},
		times:  memory[map[jobqueue.Mark]time.Time]{most: rememberedPops, life: jobqueue.PushMemory},
		moved:  memory[time.Time]{most: rememberedPushes, life: jobqueue.PushMemory},
		back:   make(chan struct{}),
		made:   time.Now(),
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if err := b.plan(partitions, o.Sections); err != nil {
		return nil, err
	}
	b.life, b.end = context.WithCancel(context.Background())
	if err := b.open(ctx); err != nil {
		b.Close()
		return nil, err
	}
	b.task(func(ctx context.Context) { each(b.parts[1:], func(_ int, p *partition) { b.refresh(ctx, p) }) })
	return b, nil
}

// open opens all partitions at once.
func (b *Backend) open(ctx context.Context) error {
	errs := make([]error, len(b.parts))
	each(b.parts, func(i int, p *partition) { errs[i] = p.first(ctx) })
	for i, err := range errs {
		if err != nil && !unavailable(err) {
			return fmt.Errorf("partition %s: %w", b.parts[i].name, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	if len(b.living()) == 0 {
		return b.nobody("answers")
	}
	return nil
}

// Close ends the work on partitions that are away, and closes those that were opened here. Calls that run fail.
func (b *Backend) Close() error {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.end()
	b.tasks.Wait()
	return b.closeAll()
}

// task runs do in the background, unless the backend is closed.
func (b *Backend) task(do func(context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.tasks.Go(func() { do(b.life) })
	return true
}

// living returns the partitions that are not away, as they were given.
func (b *Backend) living() []*partition {
	living := make([]*partition, 0, len(b.parts))
	for _, p := range b.parts {
		if p.up() {
			living = append(living, p)
		}
	}
	return living
}

// now returns the time, as far as this process measures how long ago something was.
func (b *Backend) now() time.Duration { return time.Since(b.made) + time.Duration(b.offset.Load()) }

// each calls do for all, at once if there are several.
func each[T any](all []T, do func(int, T)) {
	var others sync.WaitGroup
	for i, t := range all {
		if i == len(all)-1 {
			do(i, t)
		} else {
			others.Go(func() { do(i, t) })
		}
	}
	others.Wait()
}
