package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// wakes pushes with one handle until a Wait of another returns.
func wakes(t *testing.T, waits, pushes *postgres.Backend) {
	t.Helper()
	woken := make(chan error, 1)
	go func() {
		_, err := waits.Wait(t.Context())
		woken <- err
	}()
	until(t, "end of Wait", func() bool {
		push(t, pushes, records(1)...)
		select {
		case err := <-woken:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			return false
		}
	})
}

// A push of one process wakes another one.
func TestWait(t *testing.T) {
	schema, all := handles(t, 2)
	wakes(t, all[0], all[1])
	c := raw(t, schema)
	listening := func() (pids []int32) {
		rows, _ := c.Query(t.Context(), "select pid from pg_stat_activity where query like 'listen \"jobqueue_%' and state = 'idle'")
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			t.Fatal(err)
		}
		return pids
	}
	until(t, "connection that listens", func() bool { return len(listening()) > 0 })
	// Nothing but a notification wakes it from here on.
	for range 5 {
		wakes(t, all[0], all[1])
	}
	if _, err := c.Exec(t.Context(), "select pg_terminate_backend($1)", listening()[0]); err != nil {
		t.Fatal(err)
	}
	wakes(t, all[0], all[1])
}

// A Wait ends with its context, and with the backend.
func TestWaitEnds(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context = %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := b.Wait(t.Context())
		ended <- err
	}()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait of a closed backend = %v", err)
	}
	if _, err := b.Wait(t.Context()); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait of a closed backend = %v", err)
	}
}
