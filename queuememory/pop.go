package queuememory

import (
	"context"
	"slices"
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
	ids       []span              // of jobs, in order, once it has ended
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
	return b.pop(ctx, "", l, wants)
}

// pop is Pop with a prefix for IDs.
func (b *Backend) pop(ctx context.Context, prefix string, l jobqueue.Lease, wants []jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	// A lease begins at a whole microsecond, which may be a moment before now.
	started := time.Now().Add(-time.Microsecond)
	jobs, batch, err := b.claim(ctx, prefix, l, wants, started)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	return handOut(prefix, jobs, batch), nil
}

// claim claims jobs, and returns them with what of their claims is known only while the lock is held.
func (b *Backend) claim(ctx context.Context, prefix string, l jobqueue.Lease, wants []jobqueue.Want, started time.Time) ([]*job, []jobqueue.Claim, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer b.mu.Unlock()
	if c := b.claims[l.Token]; c != nil {
		held := c.left()
		return held, b.describe(held, started.Add(c.expires.sub(now))), nil
	}
	b.sweepIfDue(now)
	b.release(now)
	picks := make([]pick, 0, b.atMost(wants))
	taken := make([]int, len(wants))
	if b.take(prefix, wants, taken, &picks) && b.sweep(now) > 0 {
		b.take(prefix, wants, taken, &picks)
	}
	if len(wants) > 1 {
		slices.SortStableFunc(picks, func(x, y pick) int { return x.want - y.want })
	}
	if len(picks) == 0 {
		return nil, nil, nil
	}
	c := &claim{token: l.Token, owner: l.Owner, ttl: l.TTL, expires: now.add(l.TTL), jobs: make([]*job, len(picks)), held: len(picks)}
	for i, p := range picks {
		c.jobs[i] = p.job
		p.job.claim = c
	}
	b.lease(c.ttl, now)
	b.claims[c.token] = c
	b.leases.push(c)
	return c.jobs, b.describe(c.jobs, started.Add(l.TTL)), nil
}

// take picks jobs until each want is met or its queue is empty, and reports whether one is short.
// Jobs wanted by id go first, as another want of their queue could do with any other.
func (b *Backend) take(prefix string, wants []jobqueue.Want, taken []int, picks *[]pick) (short bool) {
	for i, w := range wants {
		if w.ID == "" {
			continue
		}
		if j := b.waitingJob(prefix, w); j != nil && taken[i] == 0 {
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

// atMost returns how many jobs there may be for the wants.
func (b *Backend) atMost(wants []jobqueue.Want) (n int) {
	for _, w := range wants {
		if q := b.queues[w.Name]; q != nil {
			n += max(0, min(w.Max, q.counts[jobqueue.Ready]))
		}
	}
	return n
}

// pick takes j out of its queue.
func (b *Backend) pick(j *job) {
	b.leave(j)
	b.releaseDigest(j)
	b.enter(j, jobqueue.Claimed)
}

// waitingJob returns the job a want names, if it is ready or delayed.
func (b *Backend) waitingJob(prefix string, w jobqueue.Want) *job {
	j := b.byID(prefix, w.ID)
	if j == nil || j.queue.name != w.Name || j.state != jobqueue.Ready && j.state != jobqueue.Delayed {
		return nil
	}
	return j
}

// byID returns the job with an ID behind a prefix, or nil.
func (b *Backend) byID(prefix, id string) *job {
	if n := number(prefix, id); n != 0 {
		return b.jobs.get(n)
	}
	return nil
}

// left returns the jobs that are still held.
func (c *claim) left() []*job {
	var held []*job
	for _, j := range c.jobs {
		if j.claim == c {
			held = append(held, j)
		}
	}
	return held
}

// describe returns claims with all that may change as soon as the lock is free.
func (b *Backend) describe(jobs []*job, expires time.Time) []jobqueue.Claim {
	batch := make([]jobqueue.Claim, len(jobs))
	for i, j := range jobs {
		c := &batch[i]
		c.Token, c.Expires = j.claim.token, expires
		c.Failures, c.Expiries, c.LastError = j.failures, j.expiries, j.lastError
		if c.Root = j.root; j.root.Key != "" {
			c.Superseded = b.marks[markKey{j.queue.name, j.root.Key}].time.After(j.root.Time)
		}
	}
	return batch
}

// handOut adds what does not change, and returns the claims as Pop does.
func handOut(prefix string, jobs []*job, batch []jobqueue.Claim) []*jobqueue.Claim {
	claims := make([]*jobqueue.Claim, len(jobs))
	ids := make([]uint64, len(jobs))
	for i, j := range jobs {
		c := &batch[i]
		c.Name, c.Params, c.MaxTries, c.Headers, c.QueuedAt = j.queue.name, j.params, j.maxTries, j.headers, j.queuedAt.time()
		claims[i], ids[i] = c, j.id
	}
	for i, key := range newKeys(prefix, ids) {
		batch[i].ID = key
	}
	return claims
}
