package queueredis

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// A query is a filter for the scripts.
type query struct {
	jobqueue.Filter
	states string
	shards []int           // that may have such jobs
	ids    map[int][]int64 // by shard, in order
	after  []int64         // of each shard
}

// newQuery returns false if nothing can match f.
func (b *Backend) newQuery(f jobqueue.Filter, states []jobqueue.State) (*query, bool, error) {
	q := &query{Filter: f, after: make([]int64, b.shards)}
	for s := range b.shards {
		if f.Domain == "" || s == b.shardOf(f.Domain) {
			q.shards = append(q.shards, s)
		}
	}
	for _, s := range states {
		if s >= jobqueue.Ready && s <= jobqueue.Abandoned {
			q.states += string("rdca"[s-1])
		}
	}
	if f.After != "" {
		id, ok := b.parseID(f.After)
		if !ok {
			return nil, false, invalid("there is no job id %q to list after", f.After)
		}
		for s := range q.after {
			q.after[s] = id.number
			if s > id.shard {
				q.after[s]--
			}
		}
	}
	if f.IDs != nil {
		q.ids = map[int][]int64{}
		for _, text := range f.IDs {
			if id, ok := b.parseID(text); ok && id.number > q.after[id.shard] {
				q.ids[id.shard] = append(q.ids[id.shard], id.number)
			}
		}
		for s, ids := range q.ids {
			slices.Sort(ids)
			q.ids[s] = slices.Compact(ids)
		}
	}
	return q, q.states != "" && (f.IDs == nil || len(q.ids) > 0), nil
}

// args returns what a script gets of the query, from a cursor on, and false if there is nothing more.
func (q *query) args(shard int, after int64, most int) (args []any, last int64, ok bool) {
	args = []any{q.Domain, q.Type, q.states}
	if q.ids == nil {
		return append(args, "after", after, most), 0, true
	}
	at, _ := slices.BinarySearch(q.ids[shard], after+1)
	ids := q.ids[shard][at:]
	ids = ids[:min(len(ids), most)]
	args = append(args, "ids")
	for _, id := range ids {
		args = append(args, hex(id))
		last = id
	}
	return args, last, len(ids) > 0
}

// listPage is how many jobs a script describes at most.
const listPage = 500

// List implements [jobqueue.Backend].
func (b *Backend) List(ctx context.Context, f jobqueue.Filter) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		states := f.States
		if states == nil {
			states = jobqueue.States()
		}
		q, some, err := b.newQuery(f, states)
		if err != nil {
			yield(jobqueue.Entry{}, err)
			return
		}
		if !some {
			return
		}
		left := f.Limit
		for e, err := range b.merged(ctx, q) {
			if !yield(e, err) || err != nil {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// An entry is one with the number of its job.
type entry struct {
	jobqueue.Entry
	id jobID
}

// merged yields the jobs of all shards in the order of their ids.
func (b *Backend) merged(ctx context.Context, q *query) iter.Seq2[jobqueue.Entry, error] {
	return func(yield func(jobqueue.Entry, error) bool) {
		pages := make([]*pages, len(q.shards))
		for i, s := range q.shards {
			pages[i] = newPages(b, s, q)
		}
		for {
			least := -1
			for s, p := range pages {
				if err := p.fill(ctx); err != nil {
					yield(jobqueue.Entry{}, err)
					return
				}
				if len(p.found) > 0 && (least < 0 || p.found[0].id.number < pages[least].found[0].id.number) {
					least = s
				}
			}
			if least < 0 {
				return
			}
			e := pages[least].found[0].Entry
			pages[least].found = pages[least].found[1:]
			if !yield(e, nil) {
				return
			}
		}
	}
}

// pages are the jobs of one shard.
type pages struct {
	b     *Backend
	shard int
	q     *query
	after int64
	ended bool
	found []entry
}

func newPages(b *Backend, shard int, q *query) *pages {
	return &pages{b: b, shard: shard, q: q, after: q.after[shard]}
}

// fill reads pages until there is a job, or no more.
func (p *pages) fill(ctx context.Context) error {
	for len(p.found) == 0 && !p.ended {
		most := listPage
		if p.q.Limit > 0 {
			most = min(most, p.q.Limit)
		}
		args, last, ok := p.q.args(p.shard, p.after, most)
		if !ok {
			p.ended = true
			break
		}
		v, err := p.b.run(ctx, p.shard, listScript, args...)
		if err != nil {
			return err
		}
		a := list(v)
		if len(a) != 2 {
			return errAnswer
		}
		for f := range slices.Chunk(list(a[0]), 9) {
			e, err := p.b.readEntry(p.shard, f)
			if err != nil {
				return err
			}
			p.found = append(p.found, e)
		}
		switch next := text(a[1]); {
		case last > 0:
			p.after = last
		case len(p.found) == most:
			p.after = p.found[most-1].id.number
		case next == "":
			p.ended = true
		default:
			p.after = number(next)
		}
	}
	return nil
}

// readEntry reads what list.lua tells of a job. What cannot be read of one that is damaged is missing.
func (b *Backend) readEntry(shard int, f []any) (e entry, err error) {
	name, ok := parseName(text(f[1]))
	if !ok {
		return e, errAnswer
	}
	e.id = jobID{unhex(text(f[0])), shard}
	queued, err := readBody(text(f[5]), &e.Record)
	if err != nil {
		e.LastError = err.Error()
	}
	e.ID, e.Name, e.QueuedAt = b.idText(e.id), name, instant(queued)
	if f[8] == "" {
		e.Digest = jobqueue.Digest{}
	}
	failures, expiries, lastError := readHistory(text(f[6]))
	e.Failures, e.Expiries, e.LastError = failures, expiries, cmp.Or(lastError, e.LastError)
	e.Root = readRoot(text(f[7]))
	at := e.QueuedAt
	if text(f[3]) != "" && text(f[3]) != "inf" {
		at = instant(number(f[3]))
	}
	switch strings.IndexByte("rdca", text(f[2])[0]) {
	case 0, 1:
		e.State, e.ReadyAt = jobqueue.Ready, at
		if text(f[2]) == "d" {
			e.State = jobqueue.Delayed
		}
	case 2:
		e.State, e.Expires, e.Owner = jobqueue.Claimed, at, text(f[4])
	case 3:
		if e.State = jobqueue.Abandoned; text(f[3]) != "inf" {
			e.PruneAt = at
		}
	}
	return e, nil
}
