package main

import (
	"context"
	"database/sql"

	"github.com/wikifarm/jobqueue"
)

// rangeSize is how many linking pages one job of a fan-out handles.
const rangeSize = 50

// htmlCacheUpdate renders a page, or has every page of a wiki rendered that links to it.
type htmlCacheUpdate struct {
	Page      title     `json:"page"`
	Backlinks bool      `json:"backlinks,omitempty"`
	Ranges    []idRange `json:"ranges,omitempty"` // with Backlinks: those that are left; none means all
	farm      *farm
}

// An idRange is the first and the last page of a range of linking pages.
type idRange [2]int64

// render returns a job that renders a page.
func render(t title, root jobqueue.Root) jobqueue.Spec {
	return jobqueue.Spec{Domain: t.Wiki, Job: &htmlCacheUpdate{Page: t}, Dedupe: true, Root: root}
}

// fanOut returns a job that renders the pages of a wiki that link to t.
func fanOut(wiki string, t title, root jobqueue.Root) jobqueue.Spec {
	return jobqueue.Spec{Domain: wiki, Job: &htmlCacheUpdate{Page: t, Backlinks: true}, Dedupe: true, Root: root}
}

func (*htmlCacheUpdate) Type() string { return "htmlCacheUpdate" }

// Run renders the page, or fans out.
func (j *htmlCacheUpdate) Run(ctx context.Context) error {
	if j.Backlinks {
		return j.partition(ctx)
	}
	r, err := j.farm.store.render(ctx, j.Page)
	if err != nil {
		return err
	}
	return j.farm.store.write(ctx, func(tx *sql.Tx) error {
		// Two jobs may render one page at once; the one that saw less must not win.
		_, err := tx.ExecContext(ctx, `
			insert into rendered values (?, ?, ?, ?)
			on conflict do update set html = excluded.html, red = excluded.red, seen = excluded.seen
				where excluded.seen >= seen`, r.Page, r.HTML, r.Red, r.Seen)
		if err != nil {
			return err
		}
		return ran(ctx, tx)
	})
}

// partition pushes a job for each page of the first range and then one job
// for all other ranges, so that even the most used page never puts more than a
// range of jobs into the queue at once.
func (j *htmlCacheUpdate) partition(ctx context.Context) error {
	c := jobqueue.FromContext(ctx)
	ranges := j.Ranges
	if len(ranges) == 0 {
		var err error
		if ranges, err = j.farm.store.backlinkRanges(ctx, j.Page, c.Domain, rangeSize); err != nil {
			return err
		}
	}
	if len(ranges) == 0 {
		return j.farm.finish(ctx)
	}
	pages, err := j.farm.store.backlinks(ctx, j.Page, c.Domain, ranges[0])
	if err != nil {
		return err
	}
	follow := make([]jobqueue.Spec, 0, len(pages)+1)
	for _, p := range pages {
		follow = append(follow, render(p, c.Root))
	}
	if rest := ranges[1:]; len(rest) > 0 {
		remnant := &htmlCacheUpdate{Page: j.Page, Backlinks: true, Ranges: rest}
		follow = append(follow, jobqueue.Spec{Domain: c.Domain, Job: remnant, Root: c.Root})
	}
	return j.farm.finish(ctx, follow...)
}
