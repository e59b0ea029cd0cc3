package ondemand

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue/lease"
)

// ErrClosed is the cause of the end of what still ran when the context of [Runner.Close] ended.
var ErrClosed = errors.New("ondemand: closed")

// A Switch is what holds for a domain at the moment. The zero Switch is the usual way.
type Switch struct {
	Disabled bool   // pokes do nothing
	NoDelay  bool   // what is not due is not waited for; the next poke may find it due
	ReadOnly string // why nothing may be written; a run waits until it may
}

// Options say what to run, and when.
type Options struct {
	Leases *lease.Store // who may run, and how often; required
	Work   []Work       // what a run does, one after the other

	// Switch is asked before each look at a lease, so it should be quick. Default the zero Switch for all.
	Switch func(domain string) Switch

	Concurrent int       // how many domains are run at once. Default 4
	OnRun      func(Run) // is called after each run, if it is not nil; it must return soon

	Owner  string       // names this process to people. Default host name and process id
	Logger *slog.Logger // Default [slog.Default]
}

// A Runner runs the domains that are poked. It is safe for concurrent use.
type Runner struct {
	o    Options
	ctx  context.Context // of all runs
	stop context.CancelCauseFunc

	mu      sync.Mutex
	wanted  map[string]*want // those that wait, or are looked at; one that runs may be wanted again
	deck    deck
	timer   *time.Timer // for the first of deck; nil: there was none yet
	queue   []*want     // to be looked at now
	working int         // goroutines that look and run
	closed  bool
	done    sync.WaitGroup
}

// A want is a domain that has to be run after a poke.
type want struct {
	domain string
	party  lease.Party
	onDeck bool
	behind int64         // the token when somebody else was on deck; with a newer one the run has begun
	rest   time.Duration // after which it was tried last, in vain

	at time.Time // when it is looked at, in deck
}

// New returns a Runner. The caller closes it.
func New(o Options) *Runner {
	if o.Switch == nil {
		o.Switch = func(string) Switch { return Switch{} }
	}
	if o.Concurrent <= 0 {
		o.Concurrent = 4
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Owner == "" {
		host, _ := os.Hostname()
		o.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	r := &Runner{o: o, wanted: map[string]*want{}}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	return r
}

// Poke says that a domain may have work. It returns at once; while the domain waits for a run it does nothing.
func (r *Runner) Poke(domain string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.wanted[domain] != nil {
		return
	}
	w := &want{domain: domain, party: lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}}
	r.wanted[domain] = w
	r.enqueue(w)
}

// Waiting returns how many domains wait for a run or are looked at.
func (r *Runner) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wanted)
}

// Close starts nothing more, leaves the places on deck, and waits for the runs. When ctx
// ends before them it ends their contexts, with the cause [ErrClosed], and waits on.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	wanted := r.wanted
	r.wanted, r.deck, r.queue = map[string]*want{}, nil, nil
	r.mu.Unlock()

	end := context.AfterFunc(ctx, func() { r.stop(ErrClosed) })
	defer end()
	r.done.Wait()
	r.stop(ErrClosed)
	var errs error
	for _, w := range wanted {
		if w.onDeck {
			if err := r.o.Leases.Leave(ctx, w.domain, w.party); err != nil {
				errs = errors.Join(errs, err)
				break // the store is away, or time is up; the places run out by themselves
			}
		}
	}
	return errs
}

// enqueue has w looked at as soon as there is a place. The caller has the lock.
func (r *Runner) enqueue(w *want) {
	r.queue = append(r.queue, w)
	if r.working < r.o.Concurrent {
		r.working++
		r.done.Go(r.work)
	}
}

// work looks at what is in the queue until there is nothing.
func (r *Runner) work() {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.working--
			r.queue = nil
			r.mu.Unlock()
			return
		}
		w := r.queue[0]
		r.queue = r.queue[1:]
		r.mu.Unlock()
		r.look(w)
	}
}

// later has w looked at when d is over.
func (r *Runner) later(w *want, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	w.at = time.Now().Add(d)
	heap.Push(&r.deck, w)
	r.arm()
}

// arm sets the timer to the first of deck. The caller has the lock.
func (r *Runner) arm() {
	switch {
	case len(r.deck) == 0:
	case r.timer == nil:
		r.timer = time.AfterFunc(time.Until(r.deck[0].at), r.ring)
	default:
		r.timer.Reset(time.Until(r.deck[0].at))
	}
}

// ring enqueues what is due.
func (r *Runner) ring() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for now := time.Now(); len(r.deck) > 0 && !r.deck[0].at.After(now); {
		r.enqueue(heap.Pop(&r.deck).(*want))
	}
	r.arm()
}

// forget says that w waits no more: the next poke counts.
func (r *Runner) forget(w *want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted[w.domain] == w {
		delete(r.wanted, w.domain)
	}
}

// A deck has the want first that is to be looked at first.
type deck []*want

func (d deck) Len() int           { return len(d) }
func (d deck) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deck) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deck) Push(x any)        { *d = append(*d, x.(*want)) }
func (d *deck) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = nil
	*d = (*d)[:len(*d)-1]
	return last
}
