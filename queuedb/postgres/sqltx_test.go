package postgres_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// Jobs pushed in a transaction of database/sql are there when it commits.
func TestPushSQLTx(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b})
	db, err := sql.Open("pgx", server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	begin := func() *sql.Tx {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	s, rooted := spec("Ann"), spec("Bob")
	s.Dedupe, rooted.Delay = true, time.Hour
	rooted.Root = jobqueue.Root{Key: "page"}

	tx := begin()
	if p, err := b.PushSQLTx(t.Context(), tx, g, s, rooted, s); err != nil || p.Stored() != 2 || p.Duplicates() != 1 {
		t.Fatalf("PushSQLTx = %+v, %v", p, err)
	}
	if _, err := tx.Exec("create temp table page (title text)"); err != nil {
		t.Errorf("the transaction does not go on: %v", err)
	}
	if got := counts(t, b); got.Total() != 0 {
		t.Errorf("Counts before the end = %+v, want none", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	tx = begin()
	p, err := b.PushSQLTx(t.Context(), tx, g, s, rooted)
	if err != nil || p.Stored() != 2 {
		t.Fatalf("PushSQLTx = %+v, %v", p, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, b); got.Ready != 1 || got.Delayed != 1 {
		t.Errorf("Counts = %+v, want one ready and one delayed", got)
	}
	tx = begin()
	again, err := b.PushSQLTx(t.Context(), tx, g, s)
	if err != nil || !again[0].Duplicate || again[0].ID != p[0].ID {
		t.Errorf("PushSQLTx = %+v, %v, want a duplicate of %s", again, err, p[0].ID)
	}
	if cs := pop(t, b, 5); len(cs) != 0 {
		t.Errorf("Pop = %d jobs while a duplicate is pushed, want none", len(cs))
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if cs := pop(t, b, 5); len(cs) != 1 || cs[0].ID != p[0].ID {
		t.Errorf("Pop = %v, want job %s", cs, p[0].ID)
	}
	integrity(t, raw(t, schema))

	tx = begin()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PushSQLTx(t.Context(), tx, g, s); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("PushSQLTx in a transaction that has ended = %v, want %v", err, sql.ErrTxDone)
	}
}
