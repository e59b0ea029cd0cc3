package queuememory

import (
	"cmp"
	"context"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A hold is jobs that are in no queue, or what became of them.
type hold struct {
	jobqueue.Hold
	jobs  []*job
	since instant
	ended instant // 0 while it holds them

	stored, duplicates int // once it is released
}

// Hold implements [jobqueue.Holder].
func (b *Backend) Hold(ctx context.Context, h jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	if old := b.holds[h.ID]; old != nil {
		return old.held(now), nil
	}
	b.sweepIfDue(now)
	b.release(now)
	jobs, short := b.holdable(h.Name, min(most, jobqueue.MaxPush))
	if short && b.sweep(now) > 0 {
		jobs, _ = b.holdable(h.Name, min(most, jobqueue.MaxPush))
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	for _, j := range jobs {
		digest := j.digest
		b.leave(j)
		b.forget(j)
		j.digest = digest
	}
	return b.keep(h, jobs, now).held(now), nil
}

// holdable returns up to most of the waiting jobs of a queue, as they would become ready, and
// whether there are no more.
func (b *Backend) holdable(n jobqueue.Name, most int) (jobs []*job, short bool) {
	q := b.queues[n]
	if q == nil || most <= 0 {
		return nil, true
	}
	var waiting []*job
	for _, t := range q.line[q.head:] {
		if len(waiting) > most {
			break
		}
		if !t.stale() {
			waiting = append(waiting, t.job)
		}
	}
	if len(waiting) < most && q.counts[jobqueue.Delayed] > 0 {
		ready := len(waiting)
		for _, j := range b.delayed.items {
			if j.queue == q {
				waiting = append(waiting, j)
			}
		}
		slices.SortFunc(waiting[ready:], func(x, y *job) int {
			return cmp.Or(cmp.Compare(x.readyAt, y.readyAt), cmp.Compare(x.id, y.id))
		})
	}
	size := 0
	for i, j := range waiting {
		if size += len(j.params); i == most || size > jobqueue.MaxPushBytes {
			return waiting[:i], false
		}
	}
	return waiting, len(waiting) < most
}

// Keep implements [jobqueue.Holder].
func (b *Backend) Keep(ctx context.Context, h jobqueue.Hold, held []jobqueue.Held) error {
	if err := h.Check(held...); err != nil || len(held) == 0 {
		return err
	}
	now, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	if b.holds[h.ID] != nil {
		return nil
	}
	jobs := make([]*job, len(held))
	for i := range held {
		e := &held[i]
		jobs[i] = newJob(&e.Record)
		jobs[i].queuedAt = instantOf(e.QueuedAt)
		jobs[i].root = whole(e.Root)
		jobs[i].readyAt = releaseTime(&e.Record, now)
		jobs[i].failures, jobs[i].expiries, jobs[i].lastError = e.Failures, e.Expiries, cut(e.LastError)
	}
	b.keep(h, jobs, now)
	return nil
}

func (b *Backend) keep(h jobqueue.Hold, jobs []*job, now instant) *hold {
	kept := &hold{Hold: h, jobs: jobs, since: now}
	b.holds[h.ID] = kept
	return kept
}

func (h *hold) held(now instant) []jobqueue.Held {
	if h == nil || h.ended != 0 {
		return nil
	}
	held := make([]jobqueue.Held, len(h.jobs))
	for i, j := range h.jobs {
		held[i] = jobqueue.Held{
			Record: jobqueue.Record{
				Name: h.Name, Params: j.params, Digest: j.digest, Root: j.root, MaxTries: j.maxTries, Headers: j.headers,
				Delay: max(0, j.readyAt.sub(now)),
			},
			QueuedAt: j.queuedAt.time(), Failures: j.failures, Expiries: j.expiries, LastError: j.lastError,
		}
	}
	return held
}

// Held implements [jobqueue.Holder].
func (b *Backend) Held(ctx context.Context, h jobqueue.Hold) ([]jobqueue.Held, error) {
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	return b.holds[h.ID].held(now), nil
}

// Holds implements [jobqueue.Holder].
func (b *Backend) Holds(ctx context.Context) ([]jobqueue.Hold, error) {
	if _, err := b.begin(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	var all []jobqueue.Hold
	for _, h := range b.holds {
		if h.ended == 0 {
			all = append(all, jobqueue.Hold{ID: h.ID, Name: h.Name, Label: h.Label, Since: h.since.time(), Jobs: len(h.jobs)})
		}
	}
	slices.SortFunc(all, func(x, y jobqueue.Hold) int {
		return cmp.Or(x.Since.Compare(y.Since), slices.Compare(x.ID[:], y.ID[:]))
	})
	return all, nil
}

// Drop implements [jobqueue.Holder].
func (b *Backend) Drop(ctx context.Context, h jobqueue.Hold) error {
	now, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer b.mu.Unlock()
	if old := b.holds[h.ID]; old != nil && old.ended == 0 {
		old.jobs, old.ended = nil, now
	}
	return nil
}

// Release implements [jobqueue.Holder].
func (b *Backend) Release(ctx context.Context, h jobqueue.Hold) (stored, duplicates int, err error) {
	now, err := b.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer b.mu.Unlock()
	old := b.holds[h.ID]
	if old == nil {
		return 0, 0, nil
	}
	q := b.queue(old.Name)
	for _, j := range old.jobs {
		again := *j // The other one keeps its number, under which a claim may still know it.
		if b.admit(q, &again, max(now, j.readyAt), now) == nil {
			old.stored++
		} else {
			old.duplicates++
		}
	}
	if old.ended == 0 {
		old.jobs, old.ended = nil, now
	}
	return old.stored, old.duplicates, nil
}

// forgetHolds forgets the holds that have ended long ago.
func (b *Backend) forgetHolds(now instant) (n int) {
	for id, h := range b.holds {
		if h.ended != 0 && now.sub(h.ended) > jobqueue.HoldMemory {
			delete(b.holds, id)
			n++
		}
	}
	return n
}

var _ jobqueue.Holder = (*Backend)(nil)
