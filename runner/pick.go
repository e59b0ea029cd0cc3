package runner

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// How much may wait in the buffer, beyond one job for each free worker.
const (
	maxBuffer = 1000
	maxAhead  = 250 * time.Millisecond // of expected work of all workers
	slowAhead = 50 * time.Millisecond  // of that before a job that is not known to be quick
	maxBytes  = 4 << 20                // of parameters
	stallTime = time.Second            // after which what is in the buffer is given back
)

// A room says how many jobs may be claimed.
type room struct {
	free  int           // for workers that have nothing to do
	ahead int           // beyond that, into the buffer
	work  time.Duration // how long these may take one worker
	limit int           // all together

	over int // in addition, such as go before many that wait in the buffer
}

func (r room) none() bool { return r.limit <= 0 || r.free+r.ahead <= 0 }

// taken returns how many of the jobs in the buffer workers will have taken by the time that a claim
// is answered: as many more are claimed, or a store that answers slowly would keep quick workers waiting.
func (f *fetcher) taken(l load) int {
	took := f.answer.Load() * int64(f.r.o.Workers)
	if took >= int64(l.work) {
		return l.buffered
	}
	return int(int64(l.buffered) * took / int64(l.work))
}

// room returns how many jobs may be claimed now.
func (f *fetcher) room() room {
	l := f.r.pool.load()
	buffered := l.buffered + len(f.held)
	suspects := f.heldSuspects()
	r := room{free: max(0, l.free-suspects), limit: maxInHand}
	if f.solo != nil || l.stuck >= f.r.o.Workers {
		return room{}
	}
	if !f.careful && suspects == 0 && f.r.ran.Load() >= f.resume {
		r.over = 2*maxBuffer - buffered
		r.ahead = maxBuffer - buffered
		r.work = maxAhead*time.Duration(f.r.o.Workers) - l.work
		// Refilling a buffer that is more than half full would mean many small claims, unless it is empty by the time of the answer.
		taken := f.taken(l)
		full := r.ahead < maxBuffer/2 && (taken < buffered || r.ahead < 0)
		if r.free == 0 && (full || r.work < maxAhead*time.Duration(f.r.o.Workers)/2) {
			r.ahead = 0
		} else {
			r.ahead += taken
		}
	}
	if f.lonely {
		r.limit = 1
	}
	if n := int64(f.r.o.MaxJobs); n > 0 {
		r.limit = min(r.limit, int(n-f.r.claimed+f.r.unrun.Load()))
	}
	return r
}

// unstall gives the buffer back when it has waited much longer than expected, behind jobs that
// take longer than others of their type: somebody else may have a worker free.
// Until as many runs as there are workers have ended, nothing is claimed ahead.
func (f *fetcher) unstall() {
	l := f.r.pool.load()
	if l.buffered == 0 || time.Since(l.since) < stallTime {
		return
	}
	f.giveBack(f.r.pool.drain(), 0)
	f.resume = f.r.ran.Load() + int64(f.r.o.Workers)
}

// deal shares the room over the queues that are ready.
func (f *fetcher) deal(r room) []schedule.Place {
	now := time.Now()
	f.account(now)
	f.dealt, f.news = now, false
	f.r.eager.Store(false)
	f.r.urgent.Store(false)
	gates := map[*gate]int{} // how many jobs each may still let through
	probes := map[*jobType]bool{}
	bytes := int64(maxBytes)
	buffer, workers := &f.queued, time.Duration(f.r.o.Workers)
	f.r.pool.queued(buffer)
	due := f.r.o.Workers - buffer.slow
	var dealt time.Duration // how long what is dealt now takes
	passed := false         // what is not known to be quick was left out
	mine := f.r.caps.mine()
	f.limits.count(f.r)
	f.refused = false
	admit := func(p schedule.Place) schedule.Answer {
		t := f.types[p.Type]
		if !f.here(p.Domain) {
			return schedule.NoDomain
		}
		trouble, alone, _ := t.rest.state(now)
		if alone || t.store.closed(now) || trouble && (probes[t] || r.free == 0) {
			return schedule.NoType
		}
		if !f.limits.room(p.Type) {
			return schedule.NoType
		}
		if answer := f.r.caps.room(p.Name, mine); answer != schedule.Admit {
			return answer
		}
		if t.gate != nil {
			n, ok := gates[t.gate]
			if !ok {
				n = t.gate.room(now)
			}
			if n == 0 || !t.gate.closedUntil(now).IsZero() {
				return schedule.NoType
			}
			gates[t.gate] = n - 1
		}
		if r.free > 0 {
			if trouble {
				probes[t] = true
			}
			r.free--
			return schedule.Admit
		}
		// Only what is known to be quick waits in the buffer; other jobs are claimed when they are
		// the next to get a worker.
		each, size := time.Duration(t.each.Load()), t.size.Load()
		answer := schedule.NoRoom
		if each > 0 && each <= maxAhead && p.Cost > maxAhead {
			answer = schedule.NoDomain
		}
		each = max(each, p.Cost)
		quick := t.each.Load() > 0 && each <= maxAhead && size <= bytes
		enough := 1 + int(2*quickLook/max(p.Cost, schedule.MinCost)) // for each worker until the next deal
		switch {
		case quick && r.ahead > 0 && each <= r.work:
			r.ahead--
			r.work -= each
			f.refused = f.refused || passed
		case !buffer.before(p), quick && !buffer.well(p):
			passed = passed || !quick
			return answer // it would go before few others, if any
		case buffer.of(p) >= enough*f.r.o.Workers:
			f.refused = true
			return schedule.NoDomain
		case quick && r.over > 0 && buffer.ahead(p)+dealt+each <= maxAhead*workers:
			r.over--
		case !quick && r.over > 0 && due > 0 && buffer.ahead(p)+dealt <= slowAhead*workers:
			due--
		default:
			f.refused = true
			return answer
		}
		dealt += each
		bytes -= size
		return schedule.Admit
	}
	return f.dealer.Deal(now, r.limit, func(p schedule.Place) schedule.Answer {
		answer := admit(p)
		if answer == schedule.Admit {
			f.limits.add(p.Name)
			mine.add(p.Name, &f.r.o.Caps)
		}
		return answer
	})
}

// overtake claims what has become ready since and goes before what is in the buffer, though there
// is no room. It reports whether there was anything.
func (f *fetcher) overtake(ctx context.Context, r room) bool {
	now := time.Now()
	told, vague := f.r.hints.take()
	asked := map[*store]bool{}
	for s := range vague {
		if now.Sub(s.looked) > readyTime && !s.closed(now) {
			f.ask(s, f.wanted())
			asked[s] = true
		}
	}
	if f.learn(now, told, asked) || len(asked) > 0 || f.r.urgent.Swap(false) {
		f.news = true
	}
	if f.r.eager.Swap(false) {
		f.refused = true
	}
	if r.over <= 0 || r.limit <= 0 || !f.news && !(f.refused && now.Sub(f.dealt) >= quickLook) {
		return false
	}
	_, kept := f.claim(ctx, r)
	return kept > 0
}

// accept hands claimed jobs to the workers, and returns how many. What may have
// killed its process is treated with care.
func (f *fetcher) accept(ctx context.Context, jobs []*job) int {
	if n := int64(f.r.o.MaxJobs); n > 0 {
		// A repeated claim may bring more than there is room for by now.
		jobs = f.giveBack(jobs, int(max(0, int64(len(jobs))-(f.r.claimed-f.r.unrun.Load()-n))))
	}
	if ctx.Err() != nil {
		jobs = f.giveBack(jobs, 0)
	}
	jobs = f.keep(jobs)
	suspects := 0
	if jobs, f.lonely = f.isolate(jobs); f.lonely {
		f.careful = true
		return 1
	}
	for _, j := range jobs {
		if j.claim.Suspect() {
			suspects++
		}
	}
	f.careful = suspects > 0
	n := len(jobs)
	if suspects > 0 {
		jobs = f.keepFree(jobs)
		n = len(jobs)
	}
	f.r.pool.put(f.throttle(jobs))
	return n
}

// giveBack gives back all but the first n jobs, and returns these.
func (f *fetcher) giveBack(jobs []*job, n int) []*job {
	n = min(n, len(jobs))
	for _, j := range jobs[n:] {
		f.r.giveBack(f.box(), j, 0)
	}
	return jobs[:n]
}

// keepFree returns the suspects that a worker is free for, then the others, and gives back the rest.
func (f *fetcher) keepFree(jobs []*job) []*job {
	free := f.r.pool.load().free - f.heldSuspects()
	var first, others []*job
	for _, j := range jobs {
		switch {
		case !j.claim.Suspect():
			others = append(others, j)
		case len(first) < free:
			first = append(first, j)
		default:
			f.r.giveBack(f.box(), j, 0)
		}
	}
	return append(first, others...)
}

// giveBackAll gives back everything that has not started.
func (f *fetcher) giveBackAll() {
	f.giveBack(f.r.pool.drain(), 0)
	for _, h := range f.held {
		f.r.giveBack(f.box(), h.job, 0)
	}
	f.held = nil
}
