package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

const (
	capPrefix = "cap/"                 // of the keys in a Control
	capTime   = 15 * time.Second       // how long what a runner has announced counts
	capBeat   = capTime / 4            // between two announcements
	capWait   = 100 * time.Millisecond // at least, and twice that at most, between two looks at what the others have
)

// Caps bound how many jobs run at once, in all runners of the farm that have the same caps. Where the
// default backend is no [jobqueue.Control] they hold for each call of Run by itself.
// A runner that dies keeps its part for 15 seconds. A job whose claim was lost while it ran is
// told to end, and may still run beside one that got its place.
type Caps struct {
	Types   map[string]int // how many of a type
	Domains map[string]int // how many of a domain
	Domain  int            // how many of any domain that Domains does not name; 0 is no limit
}

func (c *Caps) any() bool { return len(c.Types) > 0 || len(c.Domains) > 0 || c.Domain > 0 }

// of returns the cap of a type and of a domain, if there are any.
func (c *Caps) of(n jobqueue.Name) (typ, domain int, ofType, ofDomain bool) {
	typ, ofType = c.Types[n.Type]
	if domain, ofDomain = c.Domains[n.Domain]; !ofDomain {
		domain, ofDomain = c.Domain, c.Domain > 0
	}
	return typ, domain, ofType, ofDomain
}

// caps keeps a run within the caps of the farm. Before it claims a runner announces how many jobs it would then
// have, and then reads what all others have announced. Of two that want the last place each sees the other,
// so that never both take it; that neither does, happens, and then they try again.
type caps struct {
	r       *run
	limits  Caps
	control jobqueue.Control // nil: there is none, or no caps

	// The fetcher's own.
	others  tolls // what other runners had announced when that was read
	blocked bool  // somebody else has what would have got a place
	next    time.Time
	failed  int // times in a row that it could not be announced or read

	turn      chan struct{} // held by the call that announces
	mu        sync.Mutex
	announced tolls // no less than what the runner has
	at        time.Time
}

func newCaps(r *run) *caps {
	c := &caps{r: r, limits: r.o.Caps, others: newTolls(), announced: newTolls(), turn: make(chan struct{}, 1)}
	if c.limits.any() {
		if c.control = r.group.Control; c.control == nil {
			r.log.Warn("caps hold for this process alone, as the default backend has no Control")
		}
	}
	return c
}

// room says whether one more job of a queue may be claimed, beside those that the runner has.
func (c *caps) room(n jobqueue.Name, mine tolls) schedule.Answer {
	typ, domain, ofType, ofDomain := c.limits.of(n)
	if c.failed > 0 && (ofType || ofDomain) {
		c.blocked = true
		if ofType {
			return schedule.NoType
		}
		return schedule.NoDomain
	}
	if ofType && mine.Types[n.Type]+c.others.Types[n.Type] >= typ {
		c.blocked = c.blocked || c.others.Types[n.Type] > 0
		return schedule.NoType
	}
	if ofDomain && mine.Domains[n.Domain]+c.others.Domains[n.Domain] >= domain {
		c.blocked = c.blocked || c.others.Domains[n.Domain] > 0
		return schedule.NoDomain
	}
	return schedule.Admit
}

// mine returns what the runner has of what has a cap, counted live.
func (c *caps) mine() tolls {
	t := newTolls()
	if c.limits.any() {
		c.r.live(func(n jobqueue.Name) { t.add(n, &c.limits) })
	}
	return t
}

// admit returns those of some places that the farm has room for.
func (c *caps) admit(ctx context.Context, places []schedule.Place) (admitted, refused []schedule.Place) {
	if c.control == nil || len(places) == 0 {
		return places, nil
	}
	mine, want := c.mine(), c.mine()
	places, refused = c.sayable(places, want)
	if c.holds(want) {
		return places, refused
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err := c.announce(ctx, want)
	if err == nil {
		err = c.look(ctx)
	}
	c.heard(err)
	for _, p := range places {
		if c.room(p.Name, mine) != schedule.Admit {
			refused = append(refused, p)
			continue
		}
		mine.add(p.Name, &c.limits)
		admitted = append(admitted, p)
	}
	if !want.within(mine) {
		// What is not known to be free is not taken later either, without another look.
		if lower := c.announce(ctx, mine); err == nil {
			c.heard(lower)
		}
	}
	return admitted, refused
}

// sayable adds places to want, and refuses those for which one value has no room.
func (c *caps) sayable(places []schedule.Place, want tolls) (some, refused []schedule.Place) {
	bytes := want.bytes()
	for _, p := range places {
		more := want.more(p.Name, &c.limits)
		if more > 0 && bytes+more > jobqueue.MaxValue {
			refused = append(refused, p)
			continue
		}
		bytes += more
		want.add(p.Name, &c.limits)
		some = append(some, p)
	}
	return some, refused
}

// holds reports whether so much was announced already, and counts for a while.
func (c *caps) holds(t tolls) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.within(c.announced) && (t.none() || time.Since(c.at) < capTime*2/3)
}

// look reads what the others have announced.
func (c *caps) look(ctx context.Context) error {
	values, err := c.control.Values(ctx, capPrefix)
	if err != nil {
		return err
	}
	others := newTolls()
	for _, v := range values {
		var t tolls
		if v.Key == capPrefix+c.r.id {
			continue
		}
		if err := json.Unmarshal(v.Data, &t); err != nil {
			return fmt.Errorf("%s: %w", v.Key, err)
		}
		others.plus(t)
	}
	c.others = others
	c.next = time.Now().Add(capWait + rand.N(capWait))
	return nil
}

// announce says how much the runner has. If that fails it counts as announced only as far as it is less than before.
func (c *caps) announce(ctx context.Context, t tolls) error {
	begun, err := c.say(ctx, func() tolls { return t })
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || t.within(c.announced) {
		c.announced = t
	}
	c.at = begun
	return err
}

// repeat says once more what was announced, so that it goes on to count.
func (c *caps) repeat(ctx context.Context) {
	// What fails is tried again, and meanwhile nothing more is claimed.
	begun, _ := c.say(ctx, func() tolls {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.announced
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = begun
}

// say stores what a call returns, one call at a time, and returns since when it counts; zero if that fails. It may
// be stored then; as nothing is claimed before something is, so much is not too little.
func (c *caps) say(ctx context.Context, what func() tolls) (time.Time, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	data, err := json.Marshal(what())
	if err != nil {
		return time.Time{}, err
	}
	begun := time.Now()
	v := jobqueue.Value{Key: capPrefix + c.r.id, Data: data, TTL: capTime, Version: jobqueue.AnyVersion}
	if _, _, err := c.control.SetValue(ctx, v); err != nil {
		return time.Time{}, err
	}
	return begun, nil
}

func (c *caps) heard(err error) {
	if err == nil {
		c.failed = 0
		return
	}
	if c.failed == 0 && c.r.calls.Err() == nil {
		c.r.log.Warn("caps cannot be kept, what has one waits", "error", printable(err.Error()))
	}
	c.next = time.Now().Add(backoff(c.failed))
	c.failed++
}

// tend gives up what the runner does not use any more, and looks what others do if that is waited for.
func (c *caps) tend(now time.Time) {
	if c.control == nil || now.Before(c.next) {
		return
	}
	mine := c.mine()
	c.mu.Lock()
	unused := !c.announced.within(mine)
	c.mu.Unlock()
	if !unused && !c.blocked {
		return
	}
	ctx, cancel := context.WithTimeout(c.r.calls, probeTime)
	defer cancel()
	var err error
	if unused || c.failed > 0 {
		err = c.announce(ctx, mine)
	}
	if err == nil && c.blocked {
		c.blocked = false
		err = c.look(ctx)
	}
	c.next = now.Add(capWait + rand.N(capWait))
	c.heard(err)
}

// wait returns how long until tend may have something to do, at most d.
func (c *caps) wait(d time.Duration) time.Duration {
	if c.control == nil || !c.blocked {
		return d
	}
	return min(d, max(time.Until(c.next), 0))
}

// nothing reports whether nothing was announced.
func (c *caps) nothing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.announced.none()
}

// keep repeats what was announced, so that it goes on to count, until ctx ends; then it takes it back, unless
// there are jobs that do not end.
func (c *caps) keep(ctx context.Context) {
	if c.control == nil {
		return
	}
	tick := time.NewTicker(capBeat)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			call, cancel := context.WithTimeout(ctx, probeTime)
			if !c.nothing() {
				c.repeat(call)
			}
			cancel()
		}
	}
	if c.nothing() || len(c.r.stuck()) > 0 {
		return
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), presenceWait)
	defer cancel()
	// If that fails, it runs out.
	_, _, _ = c.control.SetValue(call, jobqueue.Value{Key: capPrefix + c.r.id, Version: jobqueue.AnyVersion})
}
