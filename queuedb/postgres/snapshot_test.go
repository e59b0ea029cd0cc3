package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// Who holds the oldest snapshot is named, and nobody who came later or holds none.
func TestOldestSnapshot(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	hold := func(application string, level pgx.TxIsoLevel) (*pgx.Conn, pgx.Tx) {
		t.Helper()
		conf, err := pgx.ParseConfig(with("application_name", application))
		if err != nil {
			t.Fatal(err)
		}
		c, err := pgx.ConnectConfig(t.Context(), conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		tx, err := c.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		if err == nil {
			_, err = tx.Exec(t.Context(), "select 1")
		}
		if err != nil {
			t.Fatal(err)
		}
		return c, tx
	}
	// oldest is that of this test: others may run beside it on a server that is not private.
	oldest := func(age time.Duration) *postgres.Holder {
		t.Helper()
		h, err := b.OldestSnapshot(t.Context(), age)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := oldest(time.Hour); h != nil {
		t.Errorf("OldestSnapshot = %+v before there is one", h)
	}
	hold("none", pgx.ReadCommitted)
	before := time.Now()
	c, tx := hold("backup", pgx.RepeatableRead)
	// Jobs that pass make the next one a younger snapshot.
	push(t, b, records(1)...)
	hold("younger", pgx.RepeatableRead)
	want := &postgres.Holder{PID: int(c.PgConn().PID()), User: c.Config().User, Application: "backup", Since: before}
	if diff := cmp.Diff(want, oldest(0), cmpopts.EquateApproxTime(time.Minute)); diff != "" {
		t.Errorf("OldestSnapshot (-want +got):\n%s", diff)
	}
	if h := oldest(time.Hour); h != nil {
		t.Errorf("OldestSnapshot = %+v, want none that is an hour old", h)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := oldest(0); h == nil || h.Application != "younger" {
		t.Errorf("OldestSnapshot = %+v after that has ended, want the younger one", h)
	}
}
