package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite"
)

//go:embed schema.sql
var schema string

// A store keeps the wikis in one SQLite file, which any number of processes may open.
type store struct {
	writer *sql.DB // one connection, so that writers queue here instead of at the file's lock
	reader *sql.DB
}

// openStore opens or makes the file. The caller closes the store.
func openStore(ctx context.Context, path string) (*store, error) {
	writer, err := sql.Open("sqlite", dsn(path, "immediate"))
	if err != nil {
		return nil, err
	}
	reader, err := sql.Open("sqlite", dsn(path, "deferred"))
	if err != nil {
		writer.Close()
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	reader.SetMaxIdleConns(8)
	s := &store{writer, reader}
	if _, err := writer.ExecContext(ctx, schema); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// All of it can be computed again from the source, so a commit need not reach the disk before the next one.
func dsn(path, lock string) string {
	q := url.Values{
		"_txlock": {lock},
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(normal)"},
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Close closes the file.
func (s *store) Close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// write runs f in a transaction, alone.
func (s *store) write(ctx context.Context, f func(*sql.Tx) error) error {
	return within(ctx, s.writer, f)
}

// read runs f in a transaction that sees one instant.
func (s *store) read(ctx context.Context, f func(*sql.Tx) error) error {
	return within(ctx, s.reader, f)
}

func within(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// A stored page is what refreshLinks needs to know after it has saved one.
type storedPage struct {
	ID       int64
	Touched  time.Time
	Rendered bool // at some time
}

// save stores an article in place of what the page was before. A new page counts as edited now.
func (s *store) save(ctx context.Context, a *article) (p storedPage, err error) {
	links, err := json.Marshal(a.Links)
	if err != nil {
		return p, err
	}
	categories, err := json.Marshal(a.Categories)
	if err != nil {
		return p, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		touched, err := nextEdit(ctx, tx)
		if err != nil {
			return err
		}
		var stamp int64
		err = tx.QueryRowContext(ctx, `
			insert into pages (wiki, path, touched, synopsis, text) values (?, ?, ?, ?, ?)
			on conflict do update set synopsis = excluded.synopsis, text = excluded.text
			returning id, touched, exists (select * from rendered where page = id)`,
			a.Title.Wiki, a.Title.Path, touched, a.Synopsis, a.Text).Scan(&p.ID, &stamp, &p.Rendered)
		if err != nil {
			return err
		}
		p.Touched = time.UnixMicro(stamp)
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{"delete from links where page = ?", []any{p.ID}},
			{`insert into links select ?, value->>'kind', value->>'wiki', value->>'path', value->>'fragment'
				from json_each(?)`, []any{p.ID, string(links)}},
			{"delete from categorylinks where page = ?", []any{p.ID}},
			{"insert into categorylinks select ?, value from json_each(?)", []any{p.ID, string(categories)}},
		} {
			if _, err := tx.ExecContext(ctx, step.sql, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// nextEdit returns the time of an edit in tx, later than that of any before.
func nextEdit(ctx context.Context, tx *sql.Tx) (stamp int64, err error) {
	err = tx.QueryRowContext(ctx, "select max(?, 1 + coalesce(max(touched), 0)) from pages", time.Now().UnixMicro()).Scan(&stamp)
	return stamp, err
}

// touch edits a page: it changes when, not what. It returns the time of the edit.
func (s *store) touch(ctx context.Context, t title) (time.Time, error) {
	var stamp int64
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		if stamp, err = nextEdit(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "update pages set touched = ? where wiki = ? and path = ? returning touched",
			stamp, t.Wiki, t.Path).Scan(&stamp)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("edit %v: %w", t, err)
	}
	return time.UnixMicro(stamp), nil
}
