package runner

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/wikifarm/jobqueue"
)

// holdTime is how long a throttled job may wait in hand; one that would have
// to wait longer is given back.
const holdTime = time.Second

// A gate spaces the starts of a type so that on average rate work items
// start a second. A job of many items starts when its turn comes and moves the next
// one back accordingly, so that there is no bound on the items of a job.
// Nothing is saved up while there is no work.
//
// Where runners share the rate, next is when this one was told last that its next
// job may start; others may have taken that turn since.
type gate struct {
	rate float64
	key  string    // of the rate in a Limiter
	next time.Time // when the next job may start
}

// charge returns how long a job must wait. It books it only if that is soon.
func (g *gate) charge(now time.Time, c jobqueue.Charge) time.Duration {
	wait := max(g.next.Sub(now), 0)
	if wait <= holdTime {
		g.next = now.Add(wait).Add(c.Takes())
	}
	return wait
}

// told notes what a Limiter said of a job.
func (g *gate) told(now time.Time, c jobqueue.Charge, wait time.Duration) {
	if wait < jobqueue.MaxWait {
		g.next = now.Add(wait).Add(c.Takes())
		return
	}
	// Somebody else has booked the next second; room for one job alone is not worth a claim.
	g.next = now.Add(wait).Add(holdTime / 4)
}

// room returns how many jobs of one item may start soon.
func (g *gate) room(now time.Time) int {
	wait := max(g.next.Sub(now), 0)
	if wait > holdTime {
		return 0
	}
	return 1 + int(min((holdTime-wait).Seconds()*g.rate, math.MaxInt32))
}

// closedUntil returns until when the type is left alone; zero if it is not.
func (g *gate) closedUntil(now time.Time) time.Time {
	if g == nil || g.next.Sub(now) <= holdTime {
		return time.Time{}
	}
	return g.next
}

// limit looks once for what holds all runners together to the rates.
func (f *fetcher) limit() {
	if f.limited {
		return
	}
	f.limited = true
	var ok bool
	if f.limiter, ok = f.r.group.Default.(jobqueue.Limiter); !ok {
		f.r.log.Warn("rates hold for this process alone, as the default backend has no Limiter")
	}
}

// RateWait returns how long until the next job of a type may start because of its
// rate, as far as runners of the group share it; 0 if they don't or it has none.
func RateWait(ctx context.Context, g *jobqueue.Group, typ string) (time.Duration, error) {
	rate := g.Policy(typ).Rate
	l, ok := g.Default.(jobqueue.Limiter)
	if rate <= 0 || !ok {
		return 0, nil
	}
	// What has no items waits like the next job, and books nothing.
	waits, err := l.Charge(ctx, jobqueue.Charge{Key: rateKey(typ, rate), PerSecond: rate})
	if err != nil {
		return 0, fmt.Errorf("read the rate of %s: %w", typ, err)
	}
	return waits[0], nil
}

// rateKey returns the key of a type's rate. A rate that is changed begins afresh.
func rateKey(typ string, rate float64) string { return fmt.Sprintf("%s@%v", typ, rate) }

// workItems returns what throttling charges for a job.
func workItems(job jobqueue.Job) int {
	if w, ok := job.(interface{ WorkItems() int }); ok {
		return w.WorkItems()
	}
	return 1
}

// A heldJob is a throttled job that waits in hand for its turn.
type heldJob struct {
	*job
	at time.Time
}

// throttle sorts claimed jobs: those to run now are returned, those whose turn comes soon are
// kept until then, the others are given back.
func (f *fetcher) throttle(jobs []*job) []*job {
	kept := jobs[:0]
	var gated []*job
	var charges []jobqueue.Charge
	for _, j := range jobs {
		if j.typ.gate == nil {
			kept = append(kept, j)
			continue
		}
		gated = append(gated, j)
		charges = append(charges, f.bill(j))
	}
	if len(gated) == 0 {
		return kept
	}
	waits, now := f.charge(gated, charges)
	for i, j := range gated {
		switch wait := waits[i]; {
		case wait > holdTime:
			f.r.giveBack(f.box(), j, 0)
		case wait > 0:
			f.held = append(f.held, heldJob{j, now.Add(wait)})
		default:
			kept = append(kept, j)
		}
	}
	return kept
}

// bill returns what the rate of its type charges for a job.
func (f *fetcher) bill(j *job) jobqueue.Charge {
	items := f.r.measure(j)
	return jobqueue.Charge{Key: j.typ.gate.key, Items: float64(max(items, 0)), PerSecond: j.typ.gate.rate}
}

// charge books jobs, and returns how long each must wait after now, in one call of the
// store if runners share the rates. A wait longer than holdTime is not booked.
func (f *fetcher) charge(jobs []*job, charges []jobqueue.Charge) (waits []time.Duration, now time.Time) {
	waits, now = make([]time.Duration, len(jobs)), time.Now()
	if f.limiter == nil {
		for i, j := range jobs {
			waits[i] = j.typ.gate.charge(now, charges[i])
		}
		return waits, now
	}
	d := callTime
	if f.unbooked > 0 {
		d = probeTime
	}
	ctx, cancel := context.WithTimeout(f.r.calls, d)
	defer cancel()
	booked, err := f.limiter.Charge(ctx, charges...)
	now = time.Now()
	if err != nil {
		if f.unbooked == 0 && f.r.calls.Err() == nil {
			f.r.log.Warn("rates cannot be charged, types that have one wait", "error", printable(err.Error()))
		}
		wait := holdTime + backoff(f.unbooked)
		f.unbooked++
		for i, j := range jobs {
			waits[i], j.typ.gate.next = wait, now.Add(wait)
		}
		return waits, now
	}
	f.unbooked = 0
	for i, j := range jobs {
		j.typ.gate.told(now, charges[i], booked[i])
		if waits[i] = booked[i]; booked[i] >= jobqueue.MaxWait {
			waits[i] = max(waits[i], holdTime+1) // also that of exactly a second
		}
	}
	return waits, now
}

// release puts the held jobs whose turn has come into the buffer.
func (f *fetcher) release() {
	if len(f.held) == 0 {
		return
	}
	now := time.Now()
	var due []*job
	rest := f.held[:0]
	for _, h := range f.held {
		if h.at.After(now) {
			rest = append(rest, h)
		} else {
			due = append(due, h.job)
		}
	}
	f.held = rest
	f.r.pool.put(due)
}

// heldSuspects returns for how many jobs a worker is kept free until their turn comes.
func (f *fetcher) heldSuspects() (n int) {
	for _, h := range f.held {
		if h.claim.Suspect() {
			n++
		}
	}
	return n
}

// nextHeld returns how long until the turn of the next job that is held or must run alone, or d if that is sooner.
func (f *fetcher) nextHeld(d time.Duration) time.Duration {
	if o := f.solo; o != nil && !o.begun && !o.turn.IsZero() {
		d = min(d, max(time.Until(o.turn), 0))
	}
	for _, h := range f.held {
		d = min(d, max(time.Until(h.at), 0))
	}
	return d
}
