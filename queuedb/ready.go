package queuedb

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

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

func (b *Backend) backlogs(ctx context.Context, names []jobqueue.Name) (backlogs []jobqueue.Backlog, err error) {
	b.noteReached(ctx, nil) // Looks go from what is stored.
	sweepDue := false
	read := func(t tx) (err error) {
		if sweepDue, err = t.sweepDue(); err == nil {
			err = t.readLate()
		}
		if err == nil {
			backlogs, err = b.readBacklogs(t, names)
		}
		return err
	}
	if err := b.read(ctx, read); err != nil || !sweepDue {
		return backlogs, err
	}
	err = b.write(ctx, func(t tx) error {
		_, err := t.sweepIfDue()
		return err
	})
	if err := optional(ctx, err); err != nil {
		return nil, err
	}
	return backlogs, b.read(ctx, read)
}

func (b *Backend) readBacklogs(t tx, names []jobqueue.Name) ([]jobqueue.Backlog, error) {
	since := map[int64]int64{}
	add := func(queue, at int64) {
		if old, seen := since[queue]; !seen || at < old {
			since[queue] = at
		}
	}
	row := func(scan Scan) error {
		var queue, at int64
		err := scan(&queue, &at)
		add(queue, at)
		return err
	}
	began := time.Now()
	full := t.Exclusive() || b.polls.full(began)
	var wanted map[int64]struct{}
	if len(names) > 0 {
		queues, err := b.findQueues(t, names)
		if err != nil {
			return nil, err
		}
		b.remember(queues)
		wanted = make(map[int64]struct{}, len(queues))
		var ids []int64
		for _, id := range queues {
			wanted[id] = struct{}{}
			ids = append(ids, id)
		}
		if err := t.firstReady(ids, full, row); err != nil {
			return nil, err
		}
	} else if err := t.readyQueues(full, row); err != nil {
		return nil, err
	} else if err := t.dueQueues(full, add); err != nil {
		return nil, err
	}
	if full {
		b.polls.looked(began)
	}
	if err := t.lapsedQueues(wanted, add); err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(since))
	for id := range since {
		ids = append(ids, id)
	}
	byID, fresh, err := b.namesOf(t, ids)
	if err != nil {
		return nil, err
	}
	b.remember(fresh)
	backlogs := make([]jobqueue.Backlog, 0, len(since))
	for id, at := range since {
		backlogs = append(backlogs, jobqueue.Backlog{Name: byID[id], Age: age(at, t.now())})
	}
	return backlogs, nil
}

// A full look of Ready is always allowed if the last one took so short. It is exact; others may miss
// what came to stand behind a position that was claimed, unless it was noted.
const cheapPoll = 5 * time.Millisecond

// polls are the full looks of Ready.
type polls struct {
	mu   sync.Mutex
	at   time.Time // the last one
	took time.Duration
}

// full reports whether the next look is to be a full one.
func (p *polls) full(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took < cheapPoll || now.Sub(p.at) >= min(max(lookSoonest, lookShare*p.took), lookLatest)
}

func (p *polls) looked(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = time.Now()
	p.took = p.at.Sub(began)
}

// firstReady calls row with those of the queues that have a ready or due job, and since when.
func (t tx) firstReady(queues []int64, full bool, row func(Scan) error) error {
	if len(queues) == 0 {
		return nil
	}
	now := column(len(queues), t.now())
	if t.Exclusive() {
		return t.QueryEach("ready_first", row, queues, now)
	}
	after := make([]int64, len(queues))
	if !full {
		after = t.b.reached.behind(queues)
		for i, q := range queues {
			after[i] = t.b.late.back(q, after[i])
		}
	}
	return t.QueryEach("ready_first", row, queues, now, after, column(len(queues), t.dueFrom(full)))
}

// readyQueues calls row with each queue that has a ready job, and since when.
func (t tx) readyQueues(full bool, row func(Scan) error) error {
	if full {
		return t.Query("ready_queues", row)
	}
	if err := t.Query("ready_queues_after", row); err != nil {
		return err
	}
	var queues, now, after []int64
	for q, s := range t.b.late.firsts() {
		queues, now, after = append(queues, q), append(now, t.now()), append(after, s-1)
	}
	if len(queues) == 0 {
		return nil
	}
	return t.QueryEach("ready_first", row, queues, now, after, column(len(queues), t.dueFrom(false)))
}

// dueQueues adds the queues with delayed jobs that are due. While these are few,
// it looks at them alone; when they pile up, once at each queue with delayed jobs.
func (t tx) dueQueues(full bool, add func(queue, since int64)) error {
	var from []any
	if !t.Exclusive() {
		from = []any{t.dueFrom(full)}
	}
	due := int64(0)
	err := t.Query("later_queues", func(scan Scan) error {
		var queue, since, n int64
		err := scan(&queue, &since, &n)
		add(queue, since)
		due += n
		return err
	}, append([]any{t.now(), int64(releaseBatch)}, from...)...)
	if err != nil || due < releaseBatch {
		return err
	}
	return t.Query("later_queues_all", func(scan Scan) error {
		var queue, since int64
		err := scan(&queue, &since)
		add(queue, since)
		return err
	}, append([]any{t.now()}, from...)...)
}

// lapsedQueues adds the queues of claims that the next sweep ends, those wanted or, with nil, all.
func (t tx) lapsedQueues(wanted map[int64]struct{}, add func(queue, since int64)) error {
	type lapsing struct {
		since int64
		held  Runs
	}
	var claims []lapsing
	err := t.Query("claim_lapsing", func(scan Scan) error {
		var c lapsing
		err := scan(&c.since, &c.held)
		claims = append(claims, c)
		return err
	}, t.now())
	for _, c := range claims {
		if err != nil {
			return err
		}
		err = t.queuesOf(c.held, func(queue, _ int64) {
			if _, ok := wanted[queue]; ok || wanted == nil {
				add(queue, c.since)
			}
		})
	}
	return err
}
