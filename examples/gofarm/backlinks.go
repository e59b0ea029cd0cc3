package main

import "context"

// backlinkWikis returns the wikis on which a page links to t.
func (s *store) backlinkWikis(ctx context.Context, t title) ([]string, error) {
	return query(ctx, s.reader, scanText, `
		select distinct from_wiki from leads where wiki = ? and path = ? and page is not target`, t.Wiki, t.Path)
}

// backlinkRanges returns the pages of a wiki that link to t in ranges of at most size.
func (s *store) backlinkRanges(ctx context.Context, t title, wiki string, size int) ([]idRange, error) {
	return query(ctx, s.reader, scanRange, `
		select min(page), max(page) from (
			select page, (row_number() over (order by page) - 1) / ? as chunk from (
				select distinct page from leads where wiki = ? and path = ? and from_wiki = ? and page is not target))
		group by chunk order by chunk`, size, t.Wiki, t.Path, wiki)
}

func scanRange(scan scanner) (r idRange, err error) { err = scan(&r[0], &r[1]); return r, err }

// backlinks returns the pages of a wiki in a range that link to t.
func (s *store) backlinks(ctx context.Context, t title, wiki string, r idRange) ([]title, error) {
	return query(ctx, s.reader, scanTitle, `
		select distinct from_wiki, from_path from leads
		where wiki = ? and path = ? and from_wiki = ? and page between ? and ? and page is not target
		order by page`, t.Wiki, t.Path, wiki, r[0], r[1])
}

// mostUsed returns the n pages that most pages link to.
func (s *store) mostUsed(ctx context.Context, n int) ([]title, error) {
	return query(ctx, s.reader, scanTitle, `
		select wiki, path from leads where target is not null and page <> target
		group by wiki, path order by count(distinct page) desc, path limit ?`, n)
}
