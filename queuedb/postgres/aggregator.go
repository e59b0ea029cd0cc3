package postgres

import (
	"context"
	"iter"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// hintPage is how many entries of the aggregator one call changes.
const hintPage = 1000

// An Aggregator is a [jobqueue.Aggregator] in a table beside those of a backend, whose connections it
// uses. It costs a transaction for each call, which no disk waits for, and its entries
// are gone when the server has crashed, until the next sweep.
type Aggregator struct{ b *Backend }

var _ jobqueue.Aggregator = (*Aggregator)(nil)

// Aggregator returns the one in the schema of the backend. It ends with the backend.
func (b *Backend) Aggregator() *Aggregator { return &Aggregator{b} }

// Notify implements [jobqueue.Aggregator].
func (a *Aggregator) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	return a.each(ctx, queues, func(t queuedb.Tx, types, domains []string, page []jobqueue.Backlog) error {
		now := t.Now()
		since := make([]int64, len(page))
		for i, q := range page {
			since[i] = now - max(0, q.Age.Microseconds())
		}
		return t.Exec("hint_put", types, domains, since, now)
	})
}

// Clear implements [jobqueue.Aggregator].
func (a *Aggregator) Clear(ctx context.Context, seen ...jobqueue.Backlog) error {
	return a.each(ctx, seen, func(t queuedb.Tx, types, domains []string, page []jobqueue.Backlog) error {
		versions := make([]int64, len(page))
		for i, q := range page {
			versions[i] = q.Version
		}
		return t.Exec("hint_clear", types, domains, versions)
	})
}

// each calls do in a transaction for each page.
func (a *Aggregator) each(ctx context.Context, all []jobqueue.Backlog, do func(t queuedb.Tx, types, domains []string, page []jobqueue.Backlog) error) error {
	for len(all) > 0 {
		page := all[:min(hintPage, len(all))]
		all = all[len(page):]
		types, domains := make([]string, len(page)), make([]string, len(page))
		for i, q := range page {
			types[i], domains[i] = q.Type, q.Domain
		}
		err := a.b.store.Write(ctx, false, func(t queuedb.Tx) error { return do(t, types, domains, page) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Ready implements [jobqueue.Aggregator].
func (a *Aggregator) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		all, err := a.read(ctx, types)
		if err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		for _, q := range all {
			if !yield(q, nil) {
				return
			}
		}
	}
}

func (a *Aggregator) read(ctx context.Context, types []string) (all []jobqueue.Backlog, err error) {
	err = a.b.store.Read(ctx, func(t queuedb.Tx) error {
		all = nil // The transaction may be repeated.
		now := t.Now()
		row := func(scan queuedb.Scan) error {
			var q jobqueue.Backlog
			var since int64
			err := scan(&q.Type, &q.Domain, &q.Version, &since)
			q.Age = max(0, time.Duration(now-since)*time.Microsecond)
			all = append(all, q)
			return err
		}
		if len(types) == 0 {
			return t.Query("hint_all", row)
		}
		return t.Query("hint_read", row, types)
	})
	return all, err
}
