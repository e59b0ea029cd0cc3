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

	// Exec, if it is not nil, does the work of a domain in a process of its own. A run that cannot be started so is done here.
	Exec *Exec

	// Probes are the paths of requests that poke nothing, as load balancers and monitors send them. Nil are
	// /health, /healthz, /livez, /metrics, /ping and /readyz.
	Probes []string

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
	looking int         // goroutines that look
	places  int         // free ones for runs
	due     []*want     // that wait for one of them
	runs    map[string]int
	closed  bool
	done    sync.WaitGroup

	launches launcher
	counters
}

// lookers is how many leases are looked at once.
const lookers = 4

// A want is a domain that has to be run after a poke.
type want struct {
	domain string
	party  lease.Party
	onDeck bool
	behind int64         // the token when somebody else was on deck; with a newer one the run has begun
	seen   time.Time     // when that was read
	rest   time.Duration // after which it was tried last, in vain
	asked  time.Time     // when it was poked, first of what no run has followed
	poked  time.Time     // when it was poked last
	warnAt time.Duration // beyond the interval, of a run of another process
	place  bool          // it has a place for a run
	lost   bool          // it is not wanted, but was by a process that may have died
	why    error         // nothing can be done for it now

	at time.Time // when it is looked at, in deck
}

// New returns a Runner. The caller closes it. It panics at once without Leases, or if these have no Control.
func New(o Options) *Runner {
	if o.Leases == nil || o.Leases.Control == nil {
		panic("ondemand: New needs Leases with a Control")
	}
	given, onRun := o.Switch, o.OnRun
	o.Switch = func(domain string) (s Switch) {
		if given != nil {
			s.ReadOnly = "what switches it has panicked" // unless it returns
			guard(o.Logger, func() { s = given(domain) })
		}
		return s
	}
	o.OnRun = func(run Run) {
		if onRun != nil {
			guard(o.Logger, func() { onRun(run) })
		}
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
	r := &Runner{o: o, wanted: map[string]*want{}, places: o.Concurrent, runs: map[string]int{}, counters: counters{ends: map[string]int64{}}}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	return r
}

// Poke says that a domain may have work. It returns at once; while the domain waits for a run it does nothing.
func (r *Runner) Poke(domain string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if w := r.wanted[domain]; w != nil {
		w.poked = now
		return
	}
	if r.closed {
		return
	}
	r.pokes.Add(1)
	w := &want{domain: domain, asked: now, poked: now, party: lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}}
	r.wanted[domain] = w
	r.enqueue(w)
}

// wait has a domain wait for so long behind another process that is on deck, unless it is wanted anyway.
func (r *Runner) wait(domain string, behind int64, seen time.Time, d time.Duration) {
	w := &want{domain: domain, behind: behind, seen: seen, asked: seen, poked: seen, party: lease.Party{ID: uuid.NewString(), Owner: r.o.Owner}}
	r.mu.Lock()
	known := r.closed || r.wanted[domain] != nil
	if !known {
		r.wanted[domain] = w
	}
	r.mu.Unlock()
	if !known {
		r.later(w, d)
	}
}

// Waiting returns how many domains wait for a run or are looked at.
func (r *Runner) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wanted)
}

// Close starts nothing more, leaves the places on deck, and waits for the runs. When ctx
// ends before them it ends their contexts, with the cause [ErrClosed], and waits on: jobs that run have the Grace
// of their runner.Options then, 30 s by default.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	wanted := r.wanted
	r.wanted, r.deck, r.queue, r.due = map[string]*want{}, nil, nil, nil
	r.mu.Unlock()

	end := context.AfterFunc(ctx, func() { r.stop(ErrClosed) })
	defer end()
	r.done.Wait()
	r.stop(ErrClosed)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
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
	if r.looking < lookers {
		r.looking++
		r.done.Go(r.work)
	}
}

// work looks at what is in the queue until there is nothing.
func (r *Runner) work() {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.looking--
			r.queue = nil
			r.mu.Unlock()
			return
		}
		w := r.queue[0]
		r.queue = r.queue[1:]
		r.mu.Unlock()
		if w.lost {
			r.find(w)
		} else {
			r.look(w)
		}
	}
}

// reserve takes a place for a run, if one is free.
func (r *Runner) reserve() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.places == 0 {
		return false
	}
	r.places--
	return true
}

// release gives a place back, to who has waited for one for longest.
func (r *Runner) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) == 0 {
		r.places++
		return
	}
	w := r.due[0]
	r.due = r.due[1:]
	w.place = true
	r.enqueue(w)
}

// line has w looked at when there is a place for a run.
func (r *Runner) line(w *want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case r.places > 0:
		r.enqueue(w)
	default:
		r.due = append(r.due, w)
	}
}

// running notes that a domain runs, until what it returns is called.
func (r *Runner) running(domain string) (ended func()) {
	add := func(n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.runs[domain] += n; r.runs[domain] == 0 {
			delete(r.runs, domain)
		}
	}
	add(1)
	return func() { add(-1) }
}

func (r *Runner) isRunning(domain string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[domain] > 0
}

// note notes why nothing can be done for w; nil if that is over.
func (r *Runner) note(w *want, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.why = why
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

// followed reports whether the run of who was on deck is what w waits for, and forgets it then. It is not if w was poked since
// that one was seen there; when its run began no other process knows for sure.
func (r *Runner) followed(w *want) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.poked.After(w.seen) {
		w.asked = w.seen // or later
		return false
	}
	if r.wanted[w.domain] == w {
		delete(r.wanted, w.domain)
	}
	return true
}

// remember undoes forget. It returns false if the domain was poked meanwhile, which is as good.
func (r *Runner) remember(w *want) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.wanted[w.domain] != nil {
		return false
	}
	r.wanted[w.domain] = w
	return true
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
