package queuememory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/wikifarm/jobqueue"
)

// Counts implements [jobqueue.Backend].
func (b *Backend) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	b.release(now)
	if len(names) == 0 {
		for n, q := range b.queues {
			if q.total() > 0 {
				names = append(names, n)
			}
		}
		slices.SortFunc(names, func(x, y jobqueue.Name) int {
			return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Type, y.Type))
		})
	}
	lapsing := b.lapsing(now)
	counts := make([]jobqueue.Counts, len(names))
	for i, n := range names {
		counts[i].Name = n
		q := b.queues[n]
		if q == nil {
			continue
		}
		l := lapsing[q]
		counts[i].Ready = q.counts[jobqueue.Ready] + l.jobs
		counts[i].Delayed = q.counts[jobqueue.Delayed]
		counts[i].Claimed = q.counts[jobqueue.Claimed] - l.jobs
		counts[i].Abandoned = q.counts[jobqueue.Abandoned]
		counts[i].Age = max(0, now.sub(oldest(q, l, now)))
	}
	return counts, nil
}

// A lapsed is what the next sweep would give back to one queue.
type lapsed struct {
	jobs  int
	since instant
}

func (b *Backend) lapsing(now instant) map[*queue]lapsed {
	found := map[*queue]lapsed{}
	b.leases.each(func(c *claim) bool { return c.expires <= now }, func(c *claim) {
		if !b.lapses(c, now) {
			return
		}
		for _, j := range c.jobs {
			if j.claim == c {
				l, seen := found[j.queue]
				if l.jobs++; !seen || c.expires < l.since {
					l.since = c.expires
				}
				found[j.queue] = l
			}
		}
	})
	return found
}

// oldest returns since when there has been a job for a Pop, or now.
func oldest(q *queue, l lapsed, now instant) instant {
	since := now
	if j := q.front(); j != nil {
		since = j.readyAt
	}
	if l.jobs > 0 {
		since = min(since, l.since)
	}
	return since
}

// Ready implements [jobqueue.Backend].
func (b *Backend) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		backlogs, err := b.backlogs(ctx, names)
		if err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		for _, r := range backlogs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (b *Backend) backlogs(ctx context.Context, names []jobqueue.Name) ([]jobqueue.Backlog, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	b.sweepIfDue(now)
	b.release(now)
	lapsing := b.lapsing(now)
	var found []jobqueue.Backlog
	add := func(q *queue) {
		if l := lapsing[q]; q.counts[jobqueue.Ready]+l.jobs > 0 {
			found = append(found, jobqueue.Backlog{Name: q.name, Age: max(0, now.sub(oldest(q, l, now)))})
		}
	}
	if len(names) > 0 {
		for _, n := range names {
			if q := b.queues[n]; q != nil {
				add(q)
			}
		}
		return found, nil
	}
	for q := range b.nonEmpty {
		add(q)
	}
	for q := range lapsing {
		if q.counts[jobqueue.Ready] == 0 {
			add(q)
		}
	}
	return found, nil
}

// page is how many jobs List looks at under one lock.
const page = 500

// List implements [jobqueue.Backend].
func (b *Backend) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		now, err := b.begin(ctx)
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		ids, err := b.match(f, now)
		b.mu.Unlock()
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		for chunk := range slices.Chunk(ids, page) {
			entries, err := b.entries(ctx, f, chunk)
			if err != nil {
				yield(jobqueue.Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (b *Backend) entries(ctx context.Context, f jobqueue.Filter, ids []uint64) ([]jobqueue.Entry, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	entries := make([]jobqueue.Entry, 0, len(ids))
	for _, id := range ids {
		if j := b.jobs.get(id); j != nil && b.matches(j, f, now) {
			entries = append(entries, b.entry(j, now))
		}
	}
	return entries, nil
}

func (b *Backend) entry(j *job, now instant) jobqueue.Entry {
	e := jobqueue.Entry{
		Record: jobqueue.Record{
			Name: j.queue.name, Params: j.params, Digest: j.digest, Root: j.root,
			MaxTries: j.maxTries, Headers: j.headers,
		},
		ID: newKey(j.id), State: b.stateOf(j, now), QueuedAt: j.queuedAt.time(),
		Failures: j.failures, Expiries: j.expiries, LastError: j.lastError,
	}
	switch e.State {
	case jobqueue.Ready, jobqueue.Delayed:
		e.ReadyAt = j.readyAt.time()
		if j.claim != nil {
			e.ReadyAt = j.claim.expires.time()
		}
	case jobqueue.Claimed:
		e.Owner, e.Expires = j.claim.owner, j.claim.expires.time()
	case jobqueue.Abandoned:
		if j.pruneAt != 0 {
			e.PruneAt = j.pruneAt.time()
		}
	}
	return e
}

// stateOf returns the state of j as a Pop would find it.
func (b *Backend) stateOf(j *job, now instant) jobqueue.State {
	if j.state == jobqueue.Claimed && b.lapses(j.claim, now) || j.state == jobqueue.Delayed && j.readyAt <= now {
		return jobqueue.Ready
	}
	return j.state
}

func (b *Backend) matches(j *job, f jobqueue.Filter, now instant) bool {
	return (f.Domain == "" || f.Domain == j.queue.name.Domain) &&
		(f.Type == "" || f.Type == j.queue.name.Type) &&
		(f.States == nil || slices.Contains(f.States, b.stateOf(j, now)))
}

// match returns the numbers of the jobs that f matches, in order.
func (b *Backend) match(f jobqueue.Filter, now instant) ([]uint64, error) {
	after := uint64(0)
	if f.After != "" {
		var err error
		if after, err = strconv.ParseUint(f.After, 10, 64); err != nil {
			return nil, fmt.Errorf("%w: there is no job id %q to list after", jobqueue.ErrInvalid, f.After)
		}
	}
	var ids []uint64
	add := func(j *job) {
		if j != nil && j.id > after && b.matches(j, f, now) {
			ids = append(ids, j.id)
		}
	}
	if f.IDs != nil {
		for _, id := range f.IDs {
			add(b.byID("", id))
		}
	} else {
		for j := range b.jobs.all {
			add(j)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if f.Limit > 0 && len(ids) > f.Limit {
		ids = ids[:f.Limit]
	}
	return ids, nil
}

// Delete implements [jobqueue.Backend].
func (b *Backend) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	if f.States == nil {
		f.States = []jobqueue.State{jobqueue.Ready, jobqueue.Delayed, jobqueue.Abandoned}
	}
	return b.change(ctx, f, func(j *job, now instant) {
		b.forget(j)
	})
}

// Requeue implements [jobqueue.Backend].
func (b *Backend) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	if f.States == nil {
		f.States = []jobqueue.State{jobqueue.Abandoned}
	}
	f.States = slices.DeleteFunc(slices.Clone(f.States), func(s jobqueue.State) bool { return s == jobqueue.Ready })
	return b.change(ctx, f, func(j *job, now instant) {
		j.failures, j.expiries = 0, 0
		b.wait(j, now, now)
	})
}

// change takes each job that f matches out of its state and hands it to do.
func (b *Backend) change(ctx context.Context, f jobqueue.Filter, do func(*job, instant)) (int, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer b.mu.Unlock()
	ids, err := b.match(f, now)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		j := b.jobs.get(id)
		c := j.claim
		b.leave(j)
		do(j, now)
		if c != nil {
			if c.lose(id); c.held == 0 {
				b.end(c, now)
			}
		}
	}
	return len(ids), nil
}
