package queuedb

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A place is where a stored job stands.
type place struct {
	id, queue int64
	since     int64 // ready
	release   int64 // delayed
	abandoned bool
	pruneAt   int64
	deduped   bool  // holds its digest
	claim     *live // claimed
	taken     bool  // by the Pop that asks
	state     jobqueue.State
}

// places returns where jobs stand, in the order of their ids; abandoned ones only if asked to.
func (t tx) places(ids Numbers, abandoned bool) ([]place, error) {
	places := make([]place, 0, len(ids))
	err := t.Query("job_state", func(scan Scan) error {
		var p place
		err := scan(&p.id, &p.queue, &p.since, &p.release, &p.abandoned, &p.pruneAt, &p.deduped)
		places = append(places, p)
		return err
	}, ids, abandoned)
	return places, err
}

// statesOf fills in the state of each place, as a Pop would find it.
func (t tx) statesOf(places []place, claims func() ([]*live, error)) error {
	var holder map[int64]*live
	for i := range places {
		p := &places[i]
		switch {
		case p.abandoned:
			p.state = jobqueue.Abandoned
		case p.since != 0 || p.release != 0 && p.release <= t.now():
			p.state = jobqueue.Ready
		case p.release != 0:
			p.state = jobqueue.Delayed
		default:
			if holder == nil {
				all, err := claims()
				if err != nil {
					return err
				}
				holder = make(map[int64]*live)
				for _, c := range all {
					for _, id := range c.held {
						holder[id] = c
					}
				}
			}
			p.claim, p.state = holder[p.id], jobqueue.Claimed
			if p.claim != nil && p.claim.lapses {
				p.state = jobqueue.Ready
			}
		}
	}
	return nil
}

// A cursor walks through the jobs that a filter matches, a page at a time.
type cursor struct {
	jobqueue.Filter
	statement string  // that returns what may match; "" is what is claimed
	ids       []int64 // what is left of Filter.IDs, sorted
	known     bool    // queues and most are
	queues    Numbers // that the filter names, in order; nil is any
	most      bool    // of all queues, so that the others are passed over one by one
	after     int64
	left      int  // how many may still match
	hold      bool // jobs stay where they are until the transaction ends
	end       bool
}

func newCursor(f jobqueue.Filter) (*cursor, error) {
	c := &cursor{Filter: f, statement: "list_all", left: f.Limit}
	if f.After != "" {
		if c.after = parseID(f.After); c.after == 0 {
			return nil, fmt.Errorf("%w: there is no job id %q to list after", jobqueue.ErrInvalid, f.After)
		}
	}
	if f.States != nil && !slices.Contains(f.States, jobqueue.Abandoned) {
		c.statement = "list_jobs"
	}
	if len(f.States) == 1 {
		switch f.States[0] {
		case jobqueue.Delayed:
			c.statement = "list_later"
		case jobqueue.Claimed:
			c.statement = ""
		case jobqueue.Abandoned:
			c.statement = "list_abandoned"
		}
	}
	if f.IDs != nil {
		for _, s := range f.IDs {
			if id := parseID(s); id > c.after {
				c.ids = append(c.ids, id)
			}
		}
		slices.Sort(c.ids)
		c.ids = slices.Compact(c.ids)
	}
	return c, nil
}

// next returns the places of the next page that the filter matches. An empty page is not the end.
func (c *cursor) next(t tx, claims func() ([]*live, error)) ([]place, error) {
	if err := c.findQueues(t); err != nil {
		return nil, err
	}
	if c.queues != nil && len(c.queues) == 0 {
		c.end = true
		return nil, nil
	}
	var ids Numbers
	var err error
	if c.IDs != nil {
		n := min(changeBatch, len(c.ids))
		ids, c.ids = c.ids[:n], c.ids[n:]
		c.end = len(c.ids) == 0
	} else if c.statement == "" {
		all, err := claims()
		if err != nil {
			return nil, err
		}
		if ids = heldAfter(all, c.after); len(ids) > changeBatch {
			ids = ids[:changeBatch]
		}
		c.end = len(ids) < changeBatch
	} else {
		var only any
		if c.queues != nil && !c.most {
			only = c.queues
		}
		if ids, err = t.numbers(c.statement, c.after, only, int64(changeBatch)); err != nil {
			return nil, err
		}
		c.end = len(ids) < changeBatch
	}
	if len(ids) == 0 {
		return nil, nil
	}
	c.after = ids[len(ids)-1]
	if c.hold {
		if err := t.hold(ids); err != nil {
			return nil, err
		}
	}
	places, err := t.places(ids, true)
	if err != nil {
		return nil, err
	}
	if err := t.statesOf(places, claims); err != nil {
		return nil, err
	}
	places = slices.DeleteFunc(places, func(p place) bool {
		return c.States != nil && !slices.Contains(c.States, p.state) ||
			c.queues != nil && !has(c.queues, p.queue)
	})
	if c.Limit > 0 {
		places = places[:min(c.left, len(places))]
		c.left -= len(places)
		c.end = c.end || c.left == 0
	}
	return places, nil
}

// heldAfter returns the jobs of claims whose numbers are larger, in order.
func heldAfter(claims []*live, after int64) (ids Numbers) {
	for _, c := range claims {
		for _, id := range c.held {
			if id > after {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func has(sorted Numbers, n int64) bool {
	_, found := slices.BinarySearch(sorted, n)
	return found
}

// findQueues looks for the queues that the filter names, once for all pages:
// queues are never deleted, and one that is new meanwhile need not be seen.
func (c *cursor) findQueues(t tx) error {
	if c.known || c.Domain == "" && c.Type == "" {
		return nil
	}
	queues, all := Numbers{}, 0
	err := t.Query("queue_all", func(scan Scan) error {
		var id int64
		var n jobqueue.Name
		err := scan(&id, &n.Domain, &n.Type)
		if all++; (c.Domain == "" || c.Domain == n.Domain) && (c.Type == "" || c.Type == n.Type) {
			queues = append(queues, id)
		}
		return err
	})
	slices.Sort(queues)
	c.known, c.queues, c.most = err == nil, queues, 2*len(queues) > all
	return err
}

// List implements [jobqueue.Backend].
func (b *Backend) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		c, err := newCursor(f)
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		for !c.end {
			entries, err := b.page(ctx, c)
			if err != nil {
				yield(jobqueue.Entry{}, err)
				return
			}
			for i := range entries {
				if !yield(entries[i], nil) {
					return
				}
			}
		}
	}
}

func (b *Backend) page(ctx context.Context, c *cursor) (entries []jobqueue.Entry, err error) {
	var fresh found
	err = b.read(ctx, func(t tx) error {
		places, err := c.next(t, t.lives)
		if err != nil || len(places) == 0 {
			return err
		}
		var stored, abandoned Numbers
		queues := make([]int64, len(places))
		for i, p := range places {
			if queues[i] = p.queue; p.abandoned {
				abandoned = append(abandoned, p.id)
			} else {
				stored = append(stored, p.id)
			}
		}
		rows, err := t.readRows("job_read", stored)
		if err != nil {
			return err
		}
		gone, err := t.readRows("abandoned_read", abandoned)
		if err != nil {
			return err
		}
		rows = append(rows, gone...)
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
		var names map[int64]jobqueue.Name
		if names, fresh, err = b.namesOf(t, queues); err != nil {
			return err
		}
		for i := range rows {
			entries = append(entries, entry(&rows[i], &places[i], names[rows[i].queue]))
		}
		return nil
	})
	if err == nil {
		b.remember(fresh)
	}
	return entries, err
}

// entry describes a job. One that is damaged is shown as far as it can be read.
func entry(r *row, p *place, n jobqueue.Name) jobqueue.Entry {
	e := jobqueue.Entry{
		ID: formatID(r.id), State: p.state, QueuedAt: instant(r.pushed),
		Failures: r.failures, Expiries: r.expiries, LastError: r.lastError,
	}
	if err := r.record(&e.Record); err != nil && e.LastError == "" {
		e.LastError = err.Error()
	}
	e.Name = n
	if p.deduped {
		e.Digest = r.digestValue()
	}
	switch p.state {
	case jobqueue.Ready, jobqueue.Delayed:
		at := max(p.since, p.release)
		if p.claim != nil {
			at = p.claim.expires
		}
		e.ReadyAt = instant(at)
	case jobqueue.Claimed:
		if p.claim != nil {
			e.Owner, e.Expires = p.claim.owner, instant(p.claim.expires)
		}
	case jobqueue.Abandoned:
		if p.pruneAt != 0 {
			e.PruneAt = instant(p.pruneAt)
		}
	}
	return e
}
