package main

import (
	"context"
	"database/sql"
)

// categoryMembershipChange brings the members of categories in line with what a page says of itself.
type categoryMembershipChange struct {
	Page title `json:"page"`
	farm *farm
}

func (*categoryMembershipChange) Type() string { return "categoryMembershipChange" }

// Run adds the page to the categories it has joined and takes it out of those
// it has left; memberships that last keep their date.
func (j *categoryMembershipChange) Run(ctx context.Context) error {
	return j.farm.store.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			delete from members where page = (select id from pages where wiki = ?1 and path = ?2)
			and category not in (select category from categorylinks where page = members.page)`, j.Page.Wiki, j.Page.Path)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			insert into members
			select category, id, touched from categorylinks join pages on page = id where wiki = ?1 and path = ?2
			on conflict do nothing`, j.Page.Wiki, j.Page.Path)
		if err != nil {
			return err
		}
		return ran(ctx, tx)
	})
}
