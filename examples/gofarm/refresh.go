package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/wikifarm/jobqueue"
)

// refreshLinks parses a page again, and stores its links and categories.
type refreshLinks struct {
	Page title `json:"page"`
	farm *farm
}

func (*refreshLinks) Type() string { return "refreshLinks" }

// Run stores the page and pushes what follows from it.
func (j *refreshLinks) Run(ctx context.Context) error {
	a, err := j.farm.tree.parse(j.Page)
	if errors.Is(err, fs.ErrNotExist) {
		return jobqueue.Abandon(err)
	}
	if err != nil {
		return err
	}
	p, err := j.farm.store.save(ctx, a)
	if err != nil {
		return err
	}
	root := jobqueue.Root{Key: j.Page.String(), Time: p.Touched}
	follow := []jobqueue.Spec{
		render(j.Page, root),
		{Domain: j.Page.Wiki, Job: &categoryMembershipChange{Page: j.Page}},
	}
	if !p.Rendered {
		// The links that lead here were red. A page that is stored later
		// sees this one when it is rendered, so that asking now is enough.
		wikis, err := j.farm.store.backlinkWikis(ctx, j.Page)
		if err != nil {
			return err
		}
		for _, wiki := range wikis {
			follow = append(follow, fanOut(wiki, j.Page, root))
		}
	}
	return j.farm.finish(ctx, follow...)
}
