package runner

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A batch is jobs in the buffer, which all workers draw from at once.
type batch struct {
	jobs []*job
	each time.Duration // how long each is expected to run; 0 is not known
	put  time.Time
	next atomic.Int64 // the first that is not taken; may pass the end
	seen int          // of those taken by workers, how many begun has seen
	end  int          // how many workers can take
}

func (b *batch) take() *job {
	if i := b.next.Add(1) - 1; i < int64(len(b.jobs)) {
		return b.jobs[i]
	}
	return nil
}

func (b *batch) rest() int { return max(0, len(b.jobs)-int(b.next.Load())) }

// A pool is the buffer between the fetcher and the workers, and counts
// the workers. Its lock is taken once per batch and whenever a worker runs dry.
type pool struct {
	wake func()         // tells the fetcher to look again
	more func()         // and to see what goes before what waits
	calm func(busy int) // is called when a worker runs dry, with how many are at work

	mu     sync.Mutex
	filled sync.Cond
	queue  []*batch
	spent  []*batch // those that all jobs were taken of, until begun has seen them
	closed bool
	alive  int // workers that have not ended
	idle   int // of these, such as wait for a job
	stuck  int // of these, such as run a job that is overdue

	strayed atomic.Int64 // how much was charged since the buffer was last put in order, either way
}

func newPool(workers int, wake, more func(), calm func(busy int)) *pool {
	p := &pool{wake: wake, more: more, calm: calm, alive: workers}
	p.filled.L = &p.mu
	return p
}

// put adds jobs to the buffer, where those with better rights go before others.
func (p *pool) put(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if schedule.Sorted(p.waiting(jobs)) {
		p.push(jobs, now)
	} else {
		rest, since := p.empty()
		fresh := make(map[*job]bool, len(jobs))
		for _, j := range jobs {
			fresh[j] = true
		}
		all := append(rest, jobs...)
		schedule.Sort(all, (*job).placed)
		// Those that others go before begin to wait anew: the buffer is not stuck.
		first := slices.IndexFunc(all, func(j *job) bool { return fresh[j] })
		p.push(all[:first:first], since)
		p.push(all[first:], now)
	}
	for range min(len(jobs), p.idle) {
		p.filled.Signal()
	}
}

// reorderAfter is how much is charged, either way, before what waits in the buffer is put in order again.
const reorderAfter = 10 * time.Millisecond

// stray notes that a domain was charged more than its place cost, or less: its others may begin later.
func (p *pool) stray(more time.Duration) {
	if p.strayed.Add(int64(more.Abs())) >= int64(reorderAfter) {
		p.reorder()
		p.more()
	}
}

// reorder puts what waits in the buffer into the order of what domains have used.
func (p *pool) reorder() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strayed.Swap(0) < int64(reorderAfter) || schedule.Sorted(p.waiting(nil)) {
		return
	}
	all, since := p.empty()
	before := slices.Clone(all)
	schedule.Sort(all, (*job).placed)
	first := 0
	for first < len(all) && all[first] == before[first] {
		first++
	}
	p.push(all[:first:first], since)
	p.push(all[first:], time.Now())
}

// push adds a batch to the end.
func (p *pool) push(jobs []*job, put time.Time) {
	if len(jobs) == 0 {
		return
	}
	var sum int64
	for _, j := range jobs {
		sum += j.typ.each.Load()
	}
	each := time.Duration(sum / int64(len(jobs)))
	p.queue = append(p.queue, &batch{jobs: jobs, each: each, put: put, end: len(jobs)})
}

func (j *job) placed() *schedule.Place { return &j.place }

// waiting yields the places of the jobs in the buffer, and of more behind them.
func (p *pool) waiting(more []*job) iter.Seq[schedule.Place] {
	return func(yield func(schedule.Place) bool) {
		for _, b := range p.queue {
			for _, j := range b.jobs[min(int(b.next.Load()), len(b.jobs)):] {
				if !yield(j.place) {
					return
				}
			}
		}
		for _, j := range more {
			if !yield(j.place) {
				return
			}
		}
	}
}

// empty takes everything out of the buffer, and returns since when the first of it waited.
func (p *pool) empty() (jobs []*job, since time.Time) {
	for _, b := range p.queue {
		from := min(b.next.Swap(int64(len(b.jobs))), int64(len(b.jobs)))
		if rest := b.jobs[from:]; len(rest) > 0 {
			if jobs == nil {
				since = b.put
			}
			jobs = append(jobs, rest...)
		}
		b.end = int(from)
		p.spent = append(p.spent, b)
	}
	p.queue = nil
	return jobs, since
}

// quick reports whether a job is known to be over soon, so that it may wait in the buffer.
func (j *job) quick() bool {
	each := time.Duration(j.typ.each.Load())
	return each > 0 && max(each, j.place.Cost) <= maxAhead
}

// begun calls f for the jobs that workers have taken since the last call.
func (p *pool) begun(f func(*job)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range [][]*batch{p.spent, p.queue} {
		for _, b := range list {
			for to := min(int(b.next.Load()), b.end); b.seen < to; b.seen++ {
				f(b.jobs[b.seen])
			}
		}
	}
	p.spent = nil
}

// take returns a job and the batch it is from, once there is one, or nil after close.
func (p *pool) take() (*job, *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) > 0 {
			if j := p.queue[0].take(); j != nil {
				return j, p.queue[0]
			}
			p.spent = append(p.spent, p.queue[0])
			p.queue = p.queue[1:]
		}
		if p.closed {
			return nil, nil
		}
		p.idle++
		p.wake()
		p.calm(p.busy())
		p.filled.Wait()
		p.idle--
	}
}

// remove takes some jobs out of the buffer.
func (p *pool) remove(which func(*job) bool) (removed []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	jobs, since := p.empty()
	rest := jobs[:0:0]
	for _, j := range jobs {
		if which(j) {
			removed = append(removed, j)
		} else {
			rest = append(rest, j)
		}
	}
	p.push(rest, since)
	return removed
}

// drain takes everything out of the buffer.
func (p *pool) drain() []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	jobs, _ := p.empty()
	return jobs
}

// close lets the workers end; the buffer should be empty.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.filled.Broadcast()
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive--
	p.wake()
}

func (p *pool) block(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck += n
	p.wake()
	p.calm(p.busy())
}

// busy is how many workers run a job which is not overdue.
func (p *pool) busy() int { return p.alive - p.idle - p.stuck }

// A load is how full a pool is.
type load struct {
	buffered int           // jobs that wait for a worker
	since    time.Time     // since when the first of them does
	work     time.Duration // how long one worker would take for them
	free     int           // workers that no job waits for
	busy     int           // workers that run a job which is not overdue
	stuck    int
}

func (p *pool) load() load {
	p.mu.Lock()
	defer p.mu.Unlock()
	var l load
	for _, b := range p.queue {
		n := b.rest()
		if l.buffered == 0 {
			l.since = b.put
		}
		l.buffered += n
		l.work += time.Duration(n) * b.each
	}
	l.free = max(0, p.idle-l.buffered)
	l.busy = p.busy()
	l.stuck = p.stuck
	return l
}

// working reports whether the workers have more to do than they do now.
func (p *pool) working() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.queue {
		if b.rest() > 0 {
			return true
		}
	}
	return false
}
