package main

import (
	"context"
	"database/sql"
)

// backlinkWikis returns the wikis on which a page links to t.
func (s *store) backlinkWikis(ctx context.Context, t title) ([]string, error) {
	return query(ctx, s.reader, func(scan func(...any) error) (wiki string, err error) { return wiki, scan(&wiki) },
		`select distinct from_wiki from leads where wiki = ? and path = ? and page is not target`, t.Wiki, t.Path)
}

// backlinkRanges returns the pages of a wiki that link to t in ranges of at most size.
func (s *store) backlinkRanges(ctx context.Context, t title, wiki string, size int) ([]idRange, error) {
	return query(ctx, s.reader, func(scan func(...any) error) (r idRange, err error) { return r, scan(&r[0], &r[1]) }, `
		select min(page), max(page) from (
			select page, (row_number() over (order by page) - 1) / ? as chunk from (
				select distinct page from leads where wiki = ? and path = ? and from_wiki = ? and page is not target))
		group by chunk order by chunk`, size, t.Wiki, t.Path, wiki)
}

// backlinks returns the pages of a wiki in a range that link to t.
func (s *store) backlinks(ctx context.Context, t title, wiki string, r idRange) ([]title, error) {
	return query(ctx, s.reader, func(scan func(...any) error) (p title, err error) { return p, scan(&p.Wiki, &p.Path) }, `
		select distinct from_wiki, from_path from leads
		where wiki = ? and path = ? and from_wiki = ? and page between ? and ? and page is not target
		order by page`, t.Wiki, t.Path, wiki, r[0], r[1])
}

// mostUsed returns the n pages that most pages link to.
func (s *store) mostUsed(ctx context.Context, n int) ([]title, error) {
	return query(ctx, s.reader, func(scan func(...any) error) (p title, err error) { return p, scan(&p.Wiki, &p.Path) }, `
		select wiki, path from leads where target is not null and page <> target
		group by wiki, path order by count(distinct page) desc, path limit ?`, n)
}

// A querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query returns the rows of a query, each as read by one.
func query[T any](ctx context.Context, q querier, one func(scan func(...any) error) (T, error), stmt string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, stmt, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		t, err := one(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}
