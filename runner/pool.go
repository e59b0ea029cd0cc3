package runner

import (
	"sync"
	"sync/atomic"
	"time"
)

// A batch is jobs in the buffer, which all workers draw from at once.
type batch struct {
	jobs []*job
	each time.Duration // how long each is expected to run; 0 is not known
	put  time.Time
	next atomic.Int64 // the first that is not taken; may pass the end
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
	wake func() // tells the fetcher to look again

	mu     sync.Mutex
	filled sync.Cond
	queue  []*batch
	closed bool
	alive  int // workers that have not ended
	idle   int // of these, such as wait for a job
	stuck  int // of these, such as run a job that is overdue
}

func newPool(workers int, wake func()) *pool {
	p := &pool{wake: wake, alive: workers}
	p.filled.L = &p.mu
	return p
}

// put adds jobs to the end of the buffer.
func (p *pool) put(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	b := &batch{jobs: jobs, put: time.Now()}
	var sum int64
	for _, j := range jobs {
		sum += j.typ.each.Load()
	}
	b.each = time.Duration(sum / int64(len(jobs)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, b)
	for range min(len(jobs), p.idle) {
		p.filled.Signal()
	}
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
			p.queue = p.queue[1:]
		}
		if p.closed {
			return nil, nil
		}
		p.idle++
		p.wake()
		p.filled.Wait()
		p.idle--
	}
}

// drain takes everything out of the buffer.
func (p *pool) drain() (jobs []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.queue {
		for j := b.take(); j != nil; j = b.take() {
			jobs = append(jobs, j)
		}
	}
	p.queue = nil
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
}

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
	l.busy = p.alive - p.idle - p.stuck
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
