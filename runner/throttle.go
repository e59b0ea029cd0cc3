package runner

import (
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
type gate struct {
	rate float64
	next time.Time // when the next job may start
}

// charge returns when a job of so many items may start. It charges it only if that is soon.
func (g *gate) charge(now time.Time, items int) (start time.Time, ok bool) {
	if start = g.next; start.Before(now) {
		start = now
	}
	if start.Sub(now) > holdTime {
		return start, false
	}
	// A century is as good as for ever, and does not overflow.
	wait := min(float64(max(items, 0))/g.rate, 100*365*24*3600)
	g.next = start.Add(time.Duration(wait * float64(time.Second)))
	return start, true
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
	now := time.Now()
	kept := jobs[:0]
	for _, j := range jobs {
		g := j.typ.gate
		if g == nil {
			kept = append(kept, j)
			continue
		}
		items := 1
		if work, err := f.r.decode(j); err == nil {
			j.work, items = work, workItems(work)
		}
		at, ok := g.charge(now, items)
		switch {
		case !ok, at.After(now) && j.claim.Suspect():
			f.r.giveBack(f.box(), j, 0)
		case at.After(now):
			f.held = append(f.held, heldJob{j, at})
		default:
			kept = append(kept, j)
		}
	}
	return kept
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

// nextHeld returns how long until the next held job's turn, or d if that is sooner.
func (f *fetcher) nextHeld(d time.Duration) time.Duration {
	for _, h := range f.held {
		d = min(d, max(time.Until(h.at), 0))
	}
	return d
}
