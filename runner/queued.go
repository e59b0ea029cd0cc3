package runner

import (
	"sort"
	"time"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A queued is what waits in the buffer, in its order.
type queued struct {
	places []schedule.Place
	work   []time.Duration // how long workers take for those before each
	slow   int             // jobs that are not known to be quick
	shares map[schedule.Share]int
}

// queued reads what waits in the buffer into q.
func (p *pool) queued(q *queued) {
	*q = queued{places: q.places[:0], work: q.work[:0]}
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum time.Duration
	for _, b := range p.queue {
		for _, j := range b.jobs[min(int(b.next.Load()), len(b.jobs)):] {
			q.places = append(q.places, j.place)
			q.work = append(q.work, sum)
			sum += b.each
			if !j.quick() {
				q.slow++
			}
		}
	}
}

// before reports whether a place goes before any of the buffer.
func (q *queued) before(p schedule.Place) bool {
	return len(q.places) > 0 && p.Before(q.places[len(q.places)-1])
}

// well reports whether it goes before half of the buffer; what does not can wait until that is filled again.
func (q *queued) well(p schedule.Place) bool { return p.Before(q.places[len(q.places)/2]) }

// ahead returns how long workers take for what goes before a place that goes before some.
func (q *queued) ahead(p schedule.Place) time.Duration {
	return q.work[sort.Search(len(q.places)-1, func(i int) bool { return p.Before(q.places[i]) })]
}

// of returns how many jobs of the domain of a place are in the buffer, in its class.
func (q *queued) of(p schedule.Place) int {
	if q.shares == nil {
		q.shares = make(map[schedule.Share]int)
		for _, other := range q.places {
			q.shares[other.Share()]++
		}
	}
	return q.shares[p.Share()]
}
