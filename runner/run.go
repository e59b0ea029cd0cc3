package runner

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Run claims jobs of g and runs them with the constructors in reg until there
// is a reason to stop; Result.Reached says which. Nil options are zero options.
// If g has no policies of its own, those in reg hold; the policy of a type is read once.
//
// When ctx ends, Run stops claiming, gives back what has not started, and lets
// the rest finish within Options.Grace. Then it ends the contexts of these jobs with the
// cause [ErrStopped], gives back those that return an error, and leaves those that do not
// return within ten seconds to their lease: Result.Stuck names them, and they may still
// be running when Run returns. Stopping is no error.
//
// The Result is never nil. The error is its Err.
func Run(ctx context.Context, g *jobqueue.Group, reg *jobqueue.Registry, o *Options) (*Result, error) {
	r := newRun(g, reg, o)
	begin := time.Now()
	reason, err := r.run(ctx)
	res := &Result{Reached: reason, Err: err, Elapsed: time.Since(begin), Backoffs: r.fetcher.backoffs(), Faults: r.fetcher.faults(), Stuck: r.stuck()}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	res.Counts = r.tally.counts
	if n := res.Counts.Unsettled; n > 0 {
		r.log.Error("results were not recorded: these jobs run again when their leases end", "jobs", n)
	}
	return res, err
}

// A run is one call of Run.
type run struct {
	id       string // random
	group    *jobqueue.Group
	reg      *jobqueue.Registry
	o        Options
	log      *slog.Logger
	debug    bool  // whether each job is logged
	readOnly error // why the group refuses to pop

	stores  []*store
	fetcher *fetcher
	pool    *pool
	workers []*worker
	watch   *watch
	memory  *memory
	scarce  *scarcity // nil without Options.SoftMemory
	tally   tally
	hints   hints
	used    uses
	caps    *caps
	resting sync.Map // types whose handler is at fault, and why

	base    context.Context          // of jobs: the values of Run's context, never done
	calls   context.Context          // of the fetcher's calls: ends with Options.Abort
	cutOff  atomic.Bool              // running jobs are being told to end
	changed chan struct{}            // something that the fetcher may wait for has changed
	news    chan struct{}            // something that others should know at once has changed
	hinted  atomic.Bool              // a store said that there may be work
	served  atomic.Pointer[[]string] // what Options.Domains returned last; nil without it
	claimed int64                    // claims so far; the fetcher's
	unrun   atomic.Int64             // of these, such as were given back or lost before they ran
	ran     atomic.Int64             // runs that have ended
	urgent  atomic.Bool              // what is not in the buffer may be claimed now: one like it has begun, or is known to be quick
	eager   atomic.Bool              // it may go before what is there: domains were charged, or have none there any more
	unsure  atomic.Int64             // workers that wait until their job is settled, to run it then

	background sync.WaitGroup
	bg         context.Context // of what goes on besides: beaters, watch, waiters, maintenance
}

func newRun(g *jobqueue.Group, reg *jobqueue.Registry, o *Options) *run {
	r := &run{id: uuid.NewString(), group: g, reg: reg, o: o.withDefaults(), changed: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	r.log = r.o.Logger
	r.debug = r.log.Enabled(context.Background(), slog.LevelDebug)
	routes := g.Routes
	if g.ReadOnly != "" {
		r.readOnly = fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, g.ReadOnly)
	}
	if routes.Policy == nil {
		routes.Policy = reg.Policy
	}
	if r.o.Wait {
		r.hints.aggregator = g.Aggregator
	}
	for _, b := range g.Backends() {
		s := newStore(r, b, routes)
		s.index = len(r.stores)
		r.stores = append(r.stores, s)
	}
	r.pool = newPool(r.o.Workers, r.wake, func() { r.more(&r.eager) }, r.calm)
	r.workers = make([]*worker, r.o.Workers)
	for i := range r.workers {
		r.workers[i] = &worker{r: r, id: i}
	}
	r.watch = &watch{r: r, wake: make(chan struct{}, 1)}
	r.memory = &memory{limit: uint64(max(r.o.MemoryLimit, 0))}
	r.caps = newCaps(r)
	r.fetcher = newFetcher(r)
	if r.o.Domains != nil {
		r.serve()
	}
	return r
}

// serve returns the domains to serve, and notes them for whoever asks from outside.
func (r *run) serve() []string {
	domains := slices.Clone(r.o.Domains())
	r.served.Store(&domains)
	return domains
}

func (r *run) run(ctx context.Context) (Reason, error) {
	if len(r.stores) == 0 {
		return NonePossible, fmt.Errorf("%w: the group has no backend", jobqueue.ErrInvalid)
	}
	for _, t := range r.o.Types {
		if !r.reg.Has(t) {
			return NonePossible, fmt.Errorf("%w %q", jobqueue.ErrUnknownType, t)
		}
	}
	r.base = context.WithoutCancel(ctx)
	claiming, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if r.o.MaxTime > 0 {
		var cancel context.CancelFunc
		claiming, cancel = context.WithTimeoutCause(claiming, r.o.MaxTime, errTimeLimit)
		defer cancel()
	}
	var abort, end context.CancelFunc
	r.calls, abort = context.WithCancel(r.base)
	defer abort()
	r.bg, end = context.WithCancel(r.base)
	r.scarce = newScarcity(r, stop, abort)
	r.start(func() {
		abort()
		stop(ErrStopped)
	})
	if r.scarce != nil {
		r.background.Go(func() { r.scarce.guard(r.bg) })
	}
	r.background.Go(func() {
		select {
		case <-r.o.Drain:
			stop(errDrained)
		case <-r.bg.Done():
		}
	})
	reason, err := r.fetcher.run(claiming)
	stop(ErrStopped)
	r.fetcher.repeat(claiming) // only to give them back
	r.fetcher.giveBackAll()
	r.pool.close()
	r.settleRest(r.windDown(ctx))
	r.flush()
	end()
	r.background.Wait()
	return reason, err
}

// flush has the aggregator know what was given back, before the program ends.
func (r *run) flush() {
	ctx, cancel := context.WithTimeout(r.base, presenceWait)
	defer cancel()
	for _, s := range r.stores {
		// If that fails, a sweep finds it.
		_ = s.group.Flush(ctx)
	}
}

// start starts everything but the fetcher.
func (r *run) start(abort func()) {
	r.background.Go(func() {
		select {
		case <-r.o.Abort:
			abort()
		case <-r.bg.Done():
		}
	})
	r.background.Go(func() { r.watch.run(r.bg) })
	r.background.Go(func() { r.announce(r.bg) })
	r.background.Go(func() { r.caps.keep(r.bg) })
	for _, s := range r.stores {
		go s.settler.run()
		r.background.Go(func() { s.maintain(r.bg) })
		if w, ok := s.backend.(jobqueue.Waiter); ok && r.o.Wait {
			r.background.Go(func() { s.wait(r.bg, w) })
		}
	}
	if a := r.hints.aggregator; a != nil {
		r.background.Go(func() { r.sweep(r.bg) })
		if w, ok := a.(jobqueue.Waiter); ok {
			r.background.Go(func() { r.listen(r.bg, w) })
		}
	}
	for _, w := range r.workers {
		go w.loop()
	}
}

// wake makes the fetcher look at what has changed.
func (r *run) wake() { poke(r.changed) }

// more makes the fetcher see whether there is something to be claimed that goes before what waits.
func (r *run) more(why *atomic.Bool) {
	why.Store(true)
	r.wake()
}

// inHand returns how many claims are not settled.
func (r *run) inHand() (n int64) {
	for _, s := range r.stores {
		n += s.inHand.Load()
	}
	return n
}

// idle reports whether nothing runs and nothing is to be settled.
func (r *run) idle() bool { return r.inHand() == 0 && r.pool.load().busy == 0 }

// windDown waits for the workers to end. Once ctx has ended they have the grace period;
// after that, or at an abort, their jobs are told to end. When they wait for stores alone,
// that has a limit, which it returns if it has begun.
func (r *run) windDown(ctx context.Context) (patience <-chan time.Time) {
	stopped, aborted := ctx.Done(), r.calls.Done()
	var grace, deaf <-chan time.Time
	cut := func() {
		stopped, aborted, grace = nil, nil, nil
		deaf = time.After(deafTime)
		r.cutOff.Store(true)
		for _, w := range r.workers {
			if j := w.current.Load(); j != nil {
				j.ctx.end(ErrStopped)
			}
		}
	}
	for {
		busy := int64(r.pool.load().busy)
		settling := busy == r.unsure.Load()
		switch {
		case busy == 0 && !r.pool.working():
			return patience
		case !settling:
			patience = nil
		case patience == nil:
			patience = r.patience()
		}
		select {
		case <-r.changed:
		case <-stopped:
			stopped, grace = nil, time.After(r.o.Grace)
		case <-grace:
			cut()
		case <-aborted:
			cut()
			patience = nil
		case <-deaf:
			r.leave()
			return patience
		case <-patience:
			r.giveUp()
			patience = nil
		}
	}
}

// patience returns when to stop waiting for stores to take what is left.
func (r *run) patience() <-chan time.Time {
	if r.calls.Err() != nil {
		return time.After(deafTime)
	}
	return time.After(max(r.o.Grace, deafTime))
}

// giveUp leaves all that is not settled to its lease.
func (r *run) giveUp() {
	for _, s := range r.stores {
		s.settler.giveUp()
	}
}

// leave gives up the jobs that go on running.
func (r *run) leave() {
	for _, w := range r.workers {
		j := w.current.Load()
		if j == nil {
			continue
		}
		if j.state.CompareAndSwap(running, left) {
			r.strand(j.claim)
			r.tally.add(func(c *Counts) { c.Unsettled++ })
		} else if j.state.CompareAndSwap(sure, left) {
			r.strand(j.claim)
			r.tally.add(func(c *Counts) { c.Failed++ })
		}
	}
}

// settleRest waits until everything is settled, but not for ever.
func (r *run) settleRest(patience <-chan time.Time) {
	for _, s := range r.stores {
		close(s.settler.closing)
	}
	aborted := r.calls.Done()
	if r.calls.Err() != nil {
		aborted = nil
	}
	if patience == nil {
		patience = r.patience()
	}
	for _, s := range r.stores {
		for ended := false; !ended; {
			select {
			case <-s.settler.ended:
				ended = true
			case <-aborted:
				aborted, patience = nil, r.patience()
			case <-patience:
				r.giveUp()
			}
		}
		s.settler.giveUp()
	}
}

// beater returns what extends the leases of one length in a store.
func (r *run) beater(s *store, ttl time.Duration) *beater {
	b := s.beaters[ttl]
	if b == nil {
		b = &beater{s: s, ttl: ttl, hands: map[*hand]struct{}{}}
		s.beaters[ttl] = b
		r.background.Go(func() { b.run(r.bg) })
	}
	return b
}

// wait passes on the store's hints that there may be work.
func (s *store) wait(ctx context.Context, w jobqueue.Waiter) {
	hear(ctx, w, func(names []jobqueue.Name) { s.r.told(s, names) })
}

// told notes that queues got work or, without names, that a store did.
func (r *run) told(s *store, names []jobqueue.Name) {
	mine := slices.DeleteFunc(slices.Clone(names), func(n jobqueue.Name) bool { return !r.fetcher.runs(n.Type) || !serves(r.fetcher.only, n) })
	if len(names) > 0 && len(mine) == 0 {
		return
	}
	r.hints.tell(s, mine)
	r.hinted.Store(true)
	r.wake()
}

// hear calls heard for whatever a waiter hears.
func hear(ctx context.Context, w jobqueue.Waiter, heard func([]jobqueue.Name)) {
	for failures := 0; ctx.Err() == nil; {
		names, err := w.Wait(ctx)
		if err != nil {
			failures++
			select {
			case <-ctx.Done():
			case <-time.After(backoff(failures)):
			}
			continue
		}
		failures = 0
		heard(names)
	}
}
