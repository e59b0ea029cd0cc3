package main

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/wikifarm/jobqueue"
)

// A farm is what its jobs work with.
type farm struct {
	tree  tree
	store *store
	queue *jobqueue.Group
}

// newFarm adds the job types of a farm to reg; its jobs push to g. It notes what g supersedes.
func newFarm(t tree, s *store, reg *jobqueue.Registry, g *jobqueue.Group) *farm {
	f := &farm{t, s, g}
	reg.Add(func() jobqueue.Job { return &refreshLinks{farm: f} }, jobqueue.Policy{Dedupe: true})
	reg.Add(func() jobqueue.Job { return &htmlCacheUpdate{farm: f} }, jobqueue.Policy{})
	reg.Add(func() jobqueue.Job { return &categoryMembershipChange{farm: f} }, jobqueue.Policy{Dedupe: true})
	before := g.Trace.Superseded
	g.Trace.Superseded = func(ctx context.Context, c *jobqueue.Claim) {
		if before != nil {
			before(ctx, c)
		}
		if err := s.write(ctx, func(tx *sql.Tx) error { return noteSettled(ctx, tx, c, 0, 1) }); err != nil {
			slog.Error("superseded job not noted", "job", c.ID, "err", err)
		}
	}
	return f
}

// finish pushes what follows from the job that ctx was made for, and notes
// that it has run.
func (f *farm) finish(ctx context.Context, follow ...jobqueue.Spec) error {
	if err := f.push(ctx, follow...); err != nil {
		return err
	}
	return f.store.write(ctx, func(tx *sql.Tx) error { return ran(ctx, tx) })
}

// importPages says that pages are new or have a new text.
func (f *farm) importPages(ctx context.Context, pages []title) error {
	specs := make([]jobqueue.Spec, len(pages))
	for i, t := range pages {
		specs[i] = jobqueue.Spec{Domain: t.Wiki, Job: &refreshLinks{Page: t}}
	}
	return f.push(ctx, specs...)
}

// edit edits a page and pushes what follows from that: the page itself is
// refreshed, and on every wiki the pages that link to it are rendered again.
func (f *farm) edit(ctx context.Context, t title) error {
	when, err := f.store.touch(ctx, t)
	if err != nil {
		return err
	}
	root := jobqueue.Root{Key: t.String(), Time: when}
	specs := []jobqueue.Spec{{Domain: t.Wiki, Job: &refreshLinks{Page: t}, Root: root}}
	for _, wiki := range wikis {
		specs = append(specs, fanOut(wiki, t, root))
	}
	return f.push(ctx, specs...)
}

// push pushes jobs and notes each.
func (f *farm) push(ctx context.Context, specs ...jobqueue.Spec) error {
	if len(specs) == 0 {
		return nil
	}
	pushed, err := f.queue.Push(ctx, specs...)
	if err != nil {
		return err
	}
	return f.store.write(ctx, func(tx *sql.Tx) error { return notePush(ctx, tx, specs, pushed) })
}
