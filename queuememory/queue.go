package queuememory

import (
	"encoding/json"

	"github.com/wikifarm/jobqueue"
)

// A job is a stored job.
type job struct {
	id        uint64
	queue     *queue
	params    json.RawMessage
	digest    jobqueue.Digest // while it waits
	root      jobqueue.Root
	maxTries  int
	headers   map[string]string
	state     jobqueue.State
	queuedAt  instant
	readyAt   instant // ready: since when; delayed: when it will be
	pruneAt   instant // abandoned; 0 is never
	failures  int
	expiries  int
	lastError string
	claim     *claim // while it is claimed
	ticket    uint64 // ready: of its place in the queue
	heapIndex int
}

func (j *job) place() *int { return &j.heapIndex }

// A queue is the ready jobs of one name in order, and what belongs to them.
type queue struct {
	name    jobqueue.Name
	line    []ticket // the ready jobs in order, and stale tickets of jobs taken out of turn
	head    int      // of line
	last    uint64   // ticket given out
	waiting map[jobqueue.Digest]*job
	counts  [5]int // by State
}

// A ticket is a place in the line; it is stale unless the job still holds it.
type ticket struct {
	job *job
	no  uint64
}

func (t ticket) stale() bool { return t.job == nil || t.job.ticket != t.no }

// append puts j at the back of the line.
func (q *queue) append(j *job) {
	q.last++
	j.ticket = q.last
	if q.head > 0 && len(q.line) == cap(q.line) && q.head >= len(q.line)/2 {
		n := copy(q.line, q.line[q.head:])
		clear(q.line[n:])
		q.line, q.head = q.line[:n], 0
	}
	q.line = append(q.line, ticket{j, j.ticket})
}

// front returns the job at the front without taking it, or nil.
func (q *queue) front() *job {
	for q.head < len(q.line) {
		if t := q.line[q.head]; !t.stale() {
			return t.job
		}
		q.line[q.head] = ticket{}
		q.head++
	}
	q.line, q.head = q.line[:0], 0
	return nil
}

// drop makes the ticket of j stale; the line is cleaned when most of it is.
func (q *queue) drop(j *job) {
	j.ticket = 0
	if waiting := len(q.line) - q.head; waiting > 64 && waiting > 2*q.counts[jobqueue.Ready] {
		live := q.line[:0]
		for _, t := range q.line[q.head:] {
			if !t.stale() {
				live = append(live, t)
			}
		}
		clear(q.line[len(live):])
		q.line, q.head = live, 0
	}
}

func (q *queue) total() (n int) {
	for _, c := range q.counts {
		n += c
	}
	return n
}

func (b *Backend) queue(n jobqueue.Name) *queue {
	q := b.queues[n]
	if q == nil {
		q = &queue{name: n}
		b.queues[n] = q
	}
	return q
}

// enter puts j, which is nowhere, into a state; leave takes it out of it.
// Between them j belongs to no structure but b.jobs.
func (b *Backend) enter(j *job, s jobqueue.State) {
	j.state = s
	j.queue.counts[s]++
	switch s {
	case jobqueue.Ready:
		j.queue.append(j)
		if j.queue.counts[s] == 1 {
			b.nonEmpty[j.queue] = struct{}{}
		}
		if len(b.waiters) > 0 {
			b.wake(j.queue.name)
		}
	case jobqueue.Delayed:
		b.delayed.push(j)
	case jobqueue.Abandoned:
		if j.pruneAt != 0 {
			b.abandoned.push(j)
		}
	}
}

func (b *Backend) leave(j *job) {
	j.queue.counts[j.state]--
	switch j.state {
	case jobqueue.Ready:
		j.queue.drop(j)
		if j.queue.counts[jobqueue.Ready] == 0 {
			delete(b.nonEmpty, j.queue)
		}
	case jobqueue.Delayed:
		b.delayed.remove(j)
	case jobqueue.Claimed:
		j.claim.held--
		j.claim = nil
	case jobqueue.Abandoned:
		if j.pruneAt != 0 {
			b.abandoned.remove(j)
			j.pruneAt = 0
		}
	}
}

// wait makes j ready at t, which is now or later.
func (b *Backend) wait(j *job, t, now instant) {
	j.readyAt = t
	if t > now {
		b.enter(j, jobqueue.Delayed)
	} else {
		b.enter(j, jobqueue.Ready)
	}
}

// forget deletes j, which belongs to no state any more.
func (b *Backend) forget(j *job) {
	b.releaseDigest(j)
	b.jobs.remove(j)
}

func (b *Backend) releaseDigest(j *job) {
	if j.digest != (jobqueue.Digest{}) {
		delete(j.queue.waiting, j.digest)
		j.digest = jobqueue.Digest{}
	}
}

// release makes every delayed job ready that is due.
func (b *Backend) release(now instant) (n int) {
	for len(b.delayed.items) > 0 && b.delayed.items[0].readyAt <= now {
		j := b.delayed.items[0]
		b.leave(j)
		b.enter(j, jobqueue.Ready)
		n++
	}
	return n
}
