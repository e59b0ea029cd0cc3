package runner

import (
	"context"
	"time"
)

// How much may wait in the buffer, beyond one job for each free worker.
const (
	maxBuffer = 1000
	maxAhead  = 250 * time.Millisecond // of expected work of all workers
	maxBytes  = 4 << 20                // of parameters
	stallTime = time.Second            // after which what is in the buffer is given back
)

// A room says how many jobs may be claimed.
type room struct {
	free  int           // for workers that have nothing to do
	ahead int           // beyond that, into the buffer
	work  time.Duration // how long these may take one worker
	limit int           // both together
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
		r.ahead = maxBuffer - buffered
		r.work = maxAhead*time.Duration(f.r.o.Workers) - l.work
		// Refilling a buffer that is more than half full would mean many small claims.
		if r.free == 0 && (r.ahead < maxBuffer/2 || r.work < maxAhead*time.Duration(f.r.o.Workers)/2) {
			return room{}
		}
		r.ahead += f.taken(l)
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
func (f *fetcher) deal(l look, r room) []int {
	now := time.Now()
	gates := map[*gate]int{} // how many jobs each may still let through
	probes := map[*jobType]bool{}
	bytes := int64(maxBytes)
	admit := func(i int) bool {
		t := f.types[l.queues[i].Type]
		probe := t.rest.trouble.Load()
		if probe && (probes[t] || r.free == 0) {
			return false
		}
		if t.gate != nil {
			n, ok := gates[t.gate]
			if !ok {
				n = t.gate.room(now)
			}
			if n == 0 {
				return false
			}
			gates[t.gate] = n - 1
		}
		if r.free > 0 {
			if probe {
				probes[t] = true
			}
			r.free--
			return true
		}
		// Only what is known to be quick is claimed before a worker is free.
		each, size := time.Duration(t.each.Load()), t.size.Load()
		if each == 0 || each > maxAhead || each > r.work || size > bytes || r.ahead <= 0 {
			return false
		}
		r.ahead--
		r.work -= each
		bytes -= size
		return true
	}
	return f.dealer.Deal(l.queues, r.limit, admit)
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
