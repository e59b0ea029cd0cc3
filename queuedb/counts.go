package queuedb

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Counts implements [jobqueue.Backend].
func (b *Backend) Counts(ctx context.Context, names ...jobqueue.Name) ([]jobqueue.Counts, error) {
	var counts []jobqueue.Counts
	var queues found
	err := b.read(ctx, func(t tx) (err error) {
		if len(names) > 0 {
			queues, err = b.findQueues(t, names)
		} else {
			queues = make(found)
			err = t.Query("queue_all", queues.row)
		}
		if err != nil {
			return err
		}
		c, err := t.count(queues)
		if err != nil {
			return err
		}
		counts = c.of(names, queues, t.now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.remember(queues)
	return counts, nil
}

// counting is what was counted, by queue.
type counting map[int64]*count

type count struct {
	jobqueue.Counts
	since int64 // when its oldest ready job became ready; 0 without one
}

func (c counting) at(queue int64) *count {
	if c[queue] == nil {
		c[queue] = new(count)
	}
	return c[queue]
}

func (c *count) readySince(since int64) {
	if c.since == 0 || since < c.since {
		c.since = since
	}
}

func (t tx) count(queues found) (counting, error) {
	c := make(counting)
	var ids Numbers
	for _, id := range queues {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var queue, n, since int64
	err := t.Query("count_ready", func(scan Scan) error {
		err := scan(&queue, &n, &since)
		c.at(queue).Ready += int(n)
		c.at(queue).readySince(since)
		return err
	}, ids)
	if err != nil {
		return nil, err
	}
	err = t.Query("count_later", func(scan Scan) error {
		var due int64
		err := scan(&queue, &n, &due, &since)
		q := c.at(queue)
		q.Ready, q.Delayed = q.Ready+int(due), q.Delayed+int(n-due)
		if due > 0 {
			q.readySince(since)
		}
		return err
	}, ids, t.now())
	if err != nil {
		return nil, err
	}
	err = t.Query("count_abandoned", func(scan Scan) error {
		err := scan(&queue, &n)
		c.at(queue).Abandoned += int(n)
		return err
	}, ids)
	if err != nil {
		return nil, err
	}
	return c, t.countClaims(func(queue int64, lapses bool, n, since int64) {
		q := c.at(queue)
		if !lapses {
			q.Claimed += int(n)
			return
		}
		q.Ready += int(n)
		q.readySince(since)
	})
}

// countClaims counts the claimed jobs of each queue: those that the next sweep makes ready apart from the others.
func (t tx) countClaims(row func(queue int64, lapses bool, n, since int64)) error {
	claims, err := t.lives()
	if err != nil {
		return err
	}
	for _, c := range claims {
		err := t.queuesOf(RunsOf(c.held), func(queue, n int64) { row(queue, c.lapses, n, c.expires) })
		if err != nil {
			return err
		}
	}
	return nil
}

// queuesOf counts jobs by queue, more than once when they are not in a row.
func (t tx) queuesOf(jobs Runs, row func(queue, n int64)) error {
	return t.QueryEach("job_queues", func(scan Scan) error {
		var queue, n int64
		err := scan(&queue, &n)
		row(queue, n)
		return err
	}, jobs)
}

// of returns the counts of names in their order or, without names, those of every queue that holds a job.
func (c counting) of(names []jobqueue.Name, queues found, now int64) []jobqueue.Counts {
	all := len(names) == 0
	if all {
		for n := range queues {
			names = append(names, n)
		}
		slices.SortFunc(names, func(x, y jobqueue.Name) int {
			return cmp.Or(cmp.Compare(x.Domain, y.Domain), cmp.Compare(x.Type, y.Type))
		})
	}
	counts := make([]jobqueue.Counts, 0, len(names))
	for _, n := range names {
		q := c[queues[n]]
		if q == nil {
			q = new(count)
		}
		q.Name = n
		if q.since != 0 {
			q.Age = age(q.since, now)
		}
		if !all || q.Total() > 0 {
			counts = append(counts, q.Counts)
		}
	}
	return counts
}

func age(since, now int64) time.Duration {
	return max(0, duration(now-since))
}
