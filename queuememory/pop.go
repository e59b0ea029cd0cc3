package queuememory

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A claim is what one Pop handed out.
type claim struct {
	token     uuid.UUID
	owner     string
	ttl       time.Duration
	expires   instant
	graced    bool   // has had the new lease that follows a gap, and was not extended since
	jobs      []*job // all it was opened on; those still held point back to it
	held      int
	ids       []uint64            // of jobs, sorted, once it has ended
	lost      map[uint64]struct{} // which were taken away unsettled
	endedAt   instant             // 0 while it is live
	heapIndex int
}

func (c *claim) place() *int { return &c.heapIndex }

// A pick is a job that a Pop takes for the want at place want.
type pick struct {
	job  *job
	want int
}

// Pop implements [jobqueue.Backend].
func (b *Backend) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	// A lease begins at a whole microsecond, which may be a moment before now.
	started := time.Now().Add(-time.Microsecond)
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if c := b.claims[l.Token]; c != nil {
		return b.again(c, started, now), nil
	}
	b.sweepIfDue(now)
	b.release(now)
	var picks []pick
	taken := make([]int, len(wants))
	if b.take(wants, taken, &picks) && b.sweep(now) > 0 {
		b.take(wants, taken, &picks)
	}
	if len(wants) > 1 {
		slices.SortStableFunc(picks, func(x, y pick) int { return x.want - y.want })
	}
	if len(picks) == 0 {
		return nil, nil
	}
	c := &claim{token: l.Token, owner: l.Owner, ttl: l.TTL, expires: now.add(l.TTL), jobs: make([]*job, len(picks)), held: len(picks)}
	for i, p := range picks {
		c.jobs[i] = p.job
		p.job.claim = c
	}
	b.lease(c.ttl, now)
	b.claims[c.token] = c
	b.leases.push(c)
	return b.handOut(c.jobs, started.Add(l.TTL)), nil
}

// take picks jobs until each want is met or its queue is empty, and reports whether one is short.
// Jobs wanted by id go first, as another want of their queue could do with any other.
func (b *Backend) take(wants []jobqueue.Want, taken []int, picks *[]pick) (short bool) {
	for i, w := range wants {
		if w.ID == "" {
			continue
		}
		if j := b.waitingJob(w); j != nil && taken[i] == 0 {
			b.pick(j)
			taken[i]++
			*picks = append(*picks, pick{j, i})
		}
		short = short || taken[i] == 0
	}
	for i, w := range wants {
		if w.ID != "" {
			continue
		}
		q := b.queues[w.Name]
		for q != nil && taken[i] < w.Max {
			j := q.front()
			if j == nil {
				break
			}
			b.pick(j)
			taken[i]++
			*picks = append(*picks, pick{j, i})
		}
		short = short || taken[i] < w.Max
	}
	return short
}

// pick takes j out of its queue.
func (b *Backend) pick(j *job) {
	b.leave(j)
	b.releaseDigest(j)
	b.enter(j, jobqueue.Claimed)
}

// waitingJob returns the job a want names, if it is ready or delayed.
func (b *Backend) waitingJob(w jobqueue.Want) *job {
	j := b.byID(w.ID)
	if j == nil || j.queue.name != w.Name || j.state != jobqueue.Ready && j.state != jobqueue.Delayed {
		return nil
	}
	return j
}

// byID returns the job with an ID, or nil.
func (b *Backend) byID(id string) *job {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return nil
	}
	if j := b.jobs[n]; j != nil && j.key == id {
		return j
	}
	return nil
}

// again returns what is still held of a claim, for a Pop that is repeated.
func (b *Backend) again(c *claim, started time.Time, now instant) []*jobqueue.Claim {
	var held []*job
	for _, j := range c.jobs {
		if j.claim == c {
			held = append(held, j)
		}
	}
	return b.handOut(held, started.Add(c.expires.sub(now)))
}

// handOut describes claimed jobs to the caller of a Pop.
func (b *Backend) handOut(jobs []*job, expires time.Time) []*jobqueue.Claim {
	batch := make([]jobqueue.Claim, len(jobs))
	claims := make([]*jobqueue.Claim, len(jobs))
	for i, j := range jobs {
		c := &batch[i]
		c.Name, c.Params, c.Root, c.MaxTries, c.Headers = j.queue.name, j.params, j.root, j.maxTries, j.headers
		c.ID, c.Token = j.key, j.claim.token
		c.QueuedAt, c.Expires = j.queuedAt.time(), expires
		c.Failures, c.Expiries, c.LastError = j.failures, j.expiries, j.lastError
		if j.root.Key != "" {
			c.Superseded = b.marks[markKey{j.queue.name, j.root.Key}].time.After(j.root.Time)
		}
		claims[i] = c
	}
	return claims
}
