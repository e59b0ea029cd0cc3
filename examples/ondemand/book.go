package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/url"

	_ "modernc.org/sqlite"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

const schema = `
create table if not exists entry (id integer primary key, domain text not null, at integer not null default (unixepoch()), text text not null, greeted integer not null default 0);
create index if not exists entry_domain on entry (domain, id);
create table if not exists total (domain text primary key, entries integer not null);
create table if not exists digest (domain text not null, at integer not null default (unixepoch()), entries integer not null)`

// A book has the entries of all domains in one SQLite file, which any number of processes may open.
type book struct{ *sql.DB }

// openBook opens or makes the file. The caller closes the book.
func openBook(ctx context.Context, path string) (*book, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(normal)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &book{db}, nil
}

func (b *book) add(ctx context.Context, domain, text string) (id int64, err error) {
	err = b.QueryRowContext(ctx, "insert into entry (domain, text) values (?, ?) returning id", domain, text).Scan(&id)
	return id, err
}

func (b *book) greet(ctx context.Context, entry int64) error {
	_, err := b.ExecContext(ctx, "update entry set greeted = greeted + 1 where id = ?", entry)
	return err
}

func (b *book) count(ctx context.Context, domain string) error {
	_, err := b.ExecContext(ctx, "insert or replace into total select ?1, count(*) from entry where domain = ?1", domain)
	return err
}

// digest makes the digest of a day, if there is anything to tell.
func (b *book) digest(ctx context.Context, domain string) (int, error) {
	r, err := b.ExecContext(ctx, "insert into digest (domain, entries) select domain, count(*) from entry where domain = ? and at > unixepoch() - 86400 group by domain", domain)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// A shown is what the page of a book shows.
type shown struct {
	Domain  string
	Total   int // as counted last
	Entries []shownEntry
}

type shownEntry struct {
	Text    string
	Greeted bool
}

func (b *book) page(ctx context.Context, domain string) (shown, error) {
	p := shown{Domain: domain}
	if err := b.QueryRowContext(ctx, "select coalesce(max(entries), 0) from total where domain = ?", domain).Scan(&p.Total); err != nil {
		return p, err
	}
	rows, err := b.QueryContext(ctx, "select text, greeted > 0 from entry where domain = ? order by id desc limit 100", domain)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	for rows.Next() {
		var e shownEntry
		if err := rows.Scan(&e.Text, &e.Greeted); err != nil {
			return p, err
		}
		p.Entries = append(p.Entries, e)
	}
	return p, rows.Err()
}
