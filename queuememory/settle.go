package queuememory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Settle implements [jobqueue.Backend].
func (b *Backend) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	return b.settle(ctx, "", outcomes)
}

// settle is Settle with a prefix for IDs.
func (b *Backend) settle(ctx context.Context, prefix string, outcomes []jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	for i := range outcomes {
		if err := outcomes[i].Check(); err != nil {
			return nil, err
		}
	}
	ids := numbers(prefix, outcomes)
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	var c *claim
	for i := range outcomes {
		o := &outcomes[i]
		if c == nil || c.token != o.Claim.Token {
			c = b.claims[o.Claim.Token]
		}
		if c == nil || !b.carryOut(c, ids[i], o, now) {
			lost = append(lost, o.Claim)
		}
	}
	return lost, nil
}

// carryOut carries out one outcome and reports whether it holds, be it from now or from before.
func (b *Backend) carryOut(c *claim, id uint64, o *jobqueue.Outcome, now instant) bool {
	j := b.jobs.get(id)
	if j == nil || j.claim != c {
		return c.settled(id)
	}
	b.leave(j)
	if o.Err != "" {
		j.lastError = cut(o.Err)
	}
	switch o.Do {
	case jobqueue.ActionDone:
		b.forget(j)
	case jobqueue.ActionRetry:
		j.failures++
		b.wait(j, now.add(max(o.Delay, 0)), now)
	case jobqueue.ActionGiveBack:
		b.wait(j, now.add(max(o.Delay, 0)), now)
	case jobqueue.ActionAbandon:
		j.failures++
		if o.Keep > 0 {
			j.pruneAt = now.add(o.Keep)
		}
		b.enter(j, jobqueue.Abandoned)
	}
	if c.held == 0 {
		b.end(c, now)
	}
	return true
}

// settled reports whether the claim was opened on a job and the job was not taken away from it.
func (c *claim) settled(id uint64) bool {
	if _, lost := c.lost[id]; lost {
		return false
	}
	if c.endedAt == 0 {
		return slices.ContainsFunc(c.jobs, func(j *job) bool { return j.id == id })
	}
	_, found := slices.BinarySearchFunc(c.ids, id, func(s span, id uint64) int {
		switch {
		case id < s.first:
			return 1
		case id > s.last:
			return -1
		}
		return 0
	})
	return found
}

// lose notes that a job is taken away from a claim.
func (c *claim) lose(id uint64) {
	if c.lost == nil {
		c.lost = map[uint64]struct{}{}
	}
	c.lost[id] = struct{}{}
}

// end closes a claim that holds nothing any more; it is remembered for a while.
func (b *Backend) end(c *claim, now instant) {
	b.leases.remove(c)
	c.endedAt = now
	c.ids = spans(c.jobs)
	c.jobs = nil
	b.ended = append(b.ended, c)
	b.forgetClaims(now)
}

// A span is numbers that follow each other.
type span struct{ first, last uint64 }

// spans returns the numbers of jobs in as few spans as there can be, which are often one.
func spans(jobs []*job) (all []span) {
	byID := func(x, y *job) int { return cmp.Compare(x.id, y.id) }
	if !slices.IsSortedFunc(jobs, byID) {
		jobs = slices.SortedFunc(slices.Values(jobs), byID)
	}
	for _, j := range jobs {
		if last := len(all) - 1; last >= 0 && all[last].last+1 == j.id {
			all[last].last++
		} else {
			all = append(all, span{j.id, j.id})
		}
	}
	return slices.Clip(all)
}

func (b *Backend) forgetClaims(now instant) (n int) {
	for len(b.ended) > n && (len(b.ended)-n > remembered || now.sub(b.ended[n].endedAt) > jobqueue.TokenMemory) {
		delete(b.claims, b.ended[n].token)
		b.ended[n] = nil
		n++
	}
	b.ended = b.ended[n:]
	return n
}

// cut shortens an error to what is stored.
func cut(s string) string {
	if len(s) <= jobqueue.MaxError {
		return s
	}
	return strings.ToValidUTF8(s[:jobqueue.MaxError], "")
}

// Extend implements [jobqueue.Backend].
func (b *Backend) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	if err := (jobqueue.Lease{TTL: ttl}).Check(); err != nil && len(tokens) > 0 {
		return nil, err
	}
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	for _, t := range tokens {
		c := b.claims[t]
		if c == nil || c.endedAt != 0 {
			lost = append(lost, t)
			continue
		}
		b.lease(ttl, now)
		c.ttl, c.expires, c.graced = ttl, now.add(ttl), false
		b.leases.fix(c)
	}
	return lost, nil
}
