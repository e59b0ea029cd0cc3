package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

const (
	readyTime = 100 * time.Millisecond // how long a list of ready queues is used
	quickLook = 10 * time.Millisecond  // the first pause after finding nothing, doubling up to Options.Poll
	busyLook  = 2 * time.Second        // between looks while all workers are busy: they have the store find ended leases
	longPause = 10 * time.Second       // the most between two looks that find much that cannot be run
	manyVain  = 10                     // queues; looking takes longer the more there are
	maxInHand = 4 * maxBuffer          // claims of one store; more than that are behind in being settled
)

// A fetcher claims jobs for the workers. It is one goroutine.
type fetcher struct {
	r         *run
	dealer    *schedule.Dealer
	limits    *limits
	types     map[string]*jobType
	manyTypes int             // up to how many none is forgotten
	domains   map[string]bool // what Options.Domains returned last
	asked     map[string]bool // Options.Types; nil: all
	only      map[string]map[string]bool
	held      []heldJob
	limiter   jobqueue.Limiter // holds all runners together to the rates; nil: there is none
	limited   bool             // it was looked for
	unbooked  int              // charges in a row that failed
	careful   bool             // the last claim had a suspect
	solo      *solo            // what must run alone; nil: nothing
	crowded   time.Time        // until when nothing waits to be alone, as it was in vain
	crowds    int              // how often in a row it was
	stuck     time.Time        // since when all workers are stuck; zero: they are not
	lonely    bool             // it was one that must run alone
	resume    int64            // how many runs must have ended before something is claimed ahead again
	nothing   int              // looks in a row that found nothing
	quiet     time.Time        // no look before
	hush      time.Time        // no look before, even if there is a hint; queues that this names are claimed of without
	idle      bool             // nothing was in hand at the last look
	looked    time.Time        // when the stores were last asked
	served    time.Time        // when Options.Domains was last called
	dealt     time.Time        // when places were last dealt
	news      bool             // a queue has become ready since the last deal
	refused   bool             // one got no place then that would have been the next to begin
	charged   time.Time        // when running jobs were last charged
	queued    queued           // what waited in the buffer at the last deal
	answer    atomic.Int64     // how long a claim that was answered took, in nanoseconds
}

func newFetcher(r *run) *fetcher {
	f := &fetcher{r: r, limits: newLimits(&r.o), only: only(r.o.Only), types: map[string]*jobType{}, manyTypes: manyTypes}
	f.dealer = schedule.New(rand.Uint64(), f.limits.dealt())
	if len(r.o.Types) > 0 {
		f.asked = map[string]bool{}
		for _, t := range r.o.Types {
			f.asked[t] = true
		}
	}
	return f
}

// box is the outbox of all that is not a worker.
func (f *fetcher) box() int { return f.r.o.Workers }

// run claims until there is a reason to stop.
func (f *fetcher) run(ctx context.Context) (Reason, error) {
	for {
		if alive := f.r.o.Alive; alive != nil {
			alive()
		}
		if ctx.Err() != nil {
			switch context.Cause(ctx) {
			case errTimeLimit:
				return TimeLimit, nil
			case errDrained:
				return Drained, nil
			case errSoftMemory:
				return LowMemory, nil
			}
			return Stopped, nil
		}
		if n := int64(f.r.o.MaxJobs); n > 0 && f.r.ran.Load() >= n {
			return JobLimit, nil
		}
		if f.r.memory.over() {
			return MemoryLimit, nil
		}
		if err := f.hopeless(); err != nil {
			return Exception, err
		}
		f.release()
		f.unstall()
		f.r.caps.tend(time.Now())
		f.attend(ctx)
		room := f.room()
		if room.none() {
			if f.overtake(ctx, room) {
				continue
			}
			if reason, err := f.standstill(); reason != "" {
				return reason, err
			}
			if time.Since(f.looked) > busyLook {
				f.look()
			}
			wait := busyLook
			if f.refused || f.news {
				wait = quickLook
			}
			f.sleep(ctx, wait)
			continue
		}
		// Asked before the look: what a job pushed before it was settled is found.
		idle := f.r.idle()
		last := idle && !f.idle && !f.r.o.Wait // a run that would end looks at once
		quiet := f.quiet
		if f.r.hinted.Load() {
			if quiet = f.hush; f.r.hints.named() {
				quiet = time.Time{}
			}
		}
		if wait := time.Until(quiet); wait > 0 && !last {
			f.sleep(ctx, wait)
			continue
		}
		f.idle = idle
		f.r.hinted.Store(false)
		again := f.repeat(ctx)
		look := f.look()
		asked, kept := 0, 0
		if look.ready > 0 {
			asked, kept = f.claim(ctx, room)
		}
		switch {
		case look.named && again == 0 && kept > 0 && !f.more():
			// That was all. The next look is when it was to be.
			f.quiet = later(f.quiet, f.hush)
			continue
		case again+kept+f.r.hints.cleared > 0:
			f.r.hints.cleared = 0
			f.nothing, f.quiet = 0, time.Time{}
			continue
		case asked == 0 && look.ready > 0 && !idle:
			// There is work, but not for a buffer: it waits for a worker.
			f.quiet = time.Time{}
			wait := f.r.o.Poll
			if f.refused {
				wait = min(wait, quickLook)
			}
			f.sleep(ctx, wait)
			continue
		}
		if reason, err := f.over(look, idle); reason != "" {
			return reason, err
		}
		f.rest(look)
	}
}

// over returns why a run that does not wait ends after a look that found nothing.
func (f *fetcher) over(l look, idle bool) (Reason, error) {
	if f.r.o.Wait {
		return "", nil
	}
	down := false
	for _, s := range f.r.stores {
		if !f.needs(s) {
			continue
		}
		if reason, err := s.fatal(); reason != "" {
			return reason, err
		}
		down = down || s.err != nil || s.missing != nil
	}
	switch {
	case !idle || down || l.ready > 0 && f.nothing < 10:
		return "", nil
	case l.faulty && l.hope:
		return "", nil
	case l.faulty:
		return HandlerFault, f.fault()
	case l.throttled, l.ready > 0 && f.r.caps.blocked:
		return Throttled, nil
	}
	return NoneReady, nil
}

// needs reports whether jobs that this run may run are in a store.
func (f *fetcher) needs(s *store) bool {
	types := f.r.o.Types
	if len(types) == 0 {
		types = f.r.reg.Types()
	}
	// What has no name of its own is in any of them.
	return f.runs("") || slices.ContainsFunc(types, func(typ string) bool { return f.runs(typ) && f.r.group.Backend(typ) == s.backend })
}

// standstill returns why a run that does not wait ends though there is no room for more: its
// workers wait for a store that takes no results, or all of them are stuck.
func (f *fetcher) standstill() (Reason, error) {
	l := f.r.pool.load()
	if l.stuck < f.r.o.Workers {
		f.stuck = time.Time{}
	} else if f.stuck.IsZero() {
		f.stuck = time.Now()
	}
	if f.r.o.Wait || l.busy > int(f.r.unsure.Load()) {
		return "", nil
	}
	for _, s := range f.r.stores {
		if err := s.refusing(); err != nil {
			return Exception, err
		}
	}
	if f.stuck.IsZero() || !f.r.idle() {
		return "", nil
	}
	look := f.look()
	switch {
	case look.ready == 0:
		return f.over(look, true)
	case time.Since(f.stuck) < patience:
		return "", nil
	}
	return Stuck, fmt.Errorf("%w: %d workers", errStuck, l.stuck)
}

// rest decides when to look again after finding nothing.
func (f *fetcher) rest(l look) {
	d := f.r.o.Poll
	if f.nothing < 20 {
		d = min(d, quickLook<<f.nothing)
	}
	f.nothing++
	d -= rand.N(d/2 + 1)
	now := time.Now()
	if due := f.quiet; l.named && due.After(now) {
		d = min(d, due.Sub(now)) // however often it is told of what others have claimed by then
	}
	f.quiet = now.Add(d)
	for _, t := range f.types {
		if at := t.gate.closedUntil(now); !at.IsZero() {
			f.quiet = earlier(f.quiet, at.Add(-holdTime))
		}
		if at := t.rest.ends(now); !at.IsZero() {
			f.quiet = earlier(f.quiet, at)
		}
	}
	if f.r.caps.blocked {
		f.quiet = earlier(f.quiet, f.r.caps.next)
	}
	if hush := now.Add(pause(l)); f.hush.Before(hush) {
		f.hush = hush
	}
	if f.quiet.Before(f.hush) {
		f.quiet = f.hush
	}
}

// pause returns how long not to look after one that found little but what cannot be run: so long
// that looking takes a hundredth of the time. What hints name is claimed meanwhile.
func pause(l look) time.Duration {
	switch d := 100 * l.took; {
	case l.vain < manyVain:
		return 0
	case l.throttled:
		return min(d, holdTime/2) // or the rate would not be reached
	default:
		return min(d, longPause)
	}
}

// sleep waits for at most d until something has changed. Nobody tells it of workers that others have no more.
func (f *fetcher) sleep(ctx context.Context, d time.Duration) {
	if f.r.pool.working() {
		d = min(d, stallTime)
	}
	d = f.r.caps.wait(f.nextHeld(d))
	for ; f.limits.restricted() && d > quickLook; d -= quickLook {
		if !f.await(ctx, quickLook) {
			return
		}
		if f.limits.changed() {
			f.quiet = time.Time{}
			return
		}
	}
	f.await(ctx, d)
}

// await waits for d, and returns false if something has changed before.
func (f *fetcher) await(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.r.changed:
	case <-timer.C:
		return true
	}
	return false
}

var (
	errTimeLimit = errors.New("time limit of the run")
	errDrained   = errors.New("the run is to drain")
	errStuck     = errors.New("every worker has a job that ignores its time limit")
)

// backoffs returns the types that are throttled, and until when.
func (f *fetcher) backoffs() map[string]time.Time {
	now := time.Now()
	m := map[string]time.Time{}
	for _, t := range f.types {
		if at := t.gate.closedUntil(now); !at.IsZero() {
			m[t.name] = at
		}
	}
	return m
}
