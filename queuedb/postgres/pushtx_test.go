package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuememory"
)

// application is a database connection of a program's own, with a table of its own.
func application(t testing.TB, change func(*pgx.ConnConfig)) *pgx.Conn {
	t.Helper()
	conf, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(conf)
	}
	c, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	if _, err := c.Exec(t.Context(), "create temp table page (title text)"); err != nil {
		t.Fatal(err)
	}
	return c
}

func begin(t testing.TB, c *pgx.Conn) pgx.Tx {
	t.Helper()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "insert into page values ('Ann')"); err != nil {
		t.Fatal(err)
	}
	return tx
}

func spec(title string) jobqueue.Spec {
	return jobqueue.Spec{Type: queue.Type, Params: json.RawMessage(`{"title":` + strconv.Quote(title) + `}`)}
}

// Jobs pushed in a transaction are there when it commits, whatever protocol its connection speaks.
func TestPushTx(t *testing.T) {
	for name, change := range map[string]func(*pgx.ConnConfig){
		"default":         nil,
		"simple protocol": func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol },
		"exec":            func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = pgx.QueryExecModeExec },
	} {
		t.Run(name, func(t *testing.T) {
			schema := newSchema(t)
			b := openSchema(t, &postgres.Options{Schema: schema})
			g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b})
			c := application(t, change)
			for round, commit := range []bool{false, true} {
				tx := begin(t, c)
				s := spec("Ann")
				s.Root = jobqueue.Root{Key: "page"}
				p, err := b.PushTx(t.Context(), tx, g, spec("Bob"), s)
				if err != nil || p.Stored() != 2 {
					t.Fatalf("PushTx = %+v, %v", p, err)
				}
				var rows int
				if err := tx.QueryRow(t.Context(), "select count(*) from page").Scan(&rows); err != nil || rows != 1 {
					t.Fatalf("the program's own table has %d rows, %v", rows, err)
				}
				if got := counts(t, b); got.Total() != 0 {
					t.Fatalf("Counts before the end = %+v, want none", got)
				}
				if cs := pop(t, b, 5); len(cs) != 0 {
					t.Fatalf("Pop before the end = %d jobs, want none", len(cs))
				}
				if !commit {
					err = tx.Rollback(t.Context())
				} else {
					err = tx.Commit(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				cs := pop(t, b, 5)
				times, err := b.MarkRoots(t.Context(), jobqueue.Mark{Name: queue, Key: "page"})
				if err != nil || len(cs) != 2*round || times[0].IsZero() == commit {
					t.Fatalf("Pop after the end = %d jobs, want %d; the root is marked at %v, %v", len(cs), 2*round, times, err)
				}
			}
			integrity(t, raw(t, schema))
		})
	}
}

// A job that waits does not run while a transaction holds a duplicate of it, since it would not see what that does.
func TestPushTxDuplicate(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b})
	c := application(t, nil)
	s := spec("Ann")
	s.Dedupe = true
	for _, end := range []func(pgx.Tx, context.Context) error{pgx.Tx.Rollback, pgx.Tx.Commit} {
		first, err := g.Push(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		tx := begin(t, c)
		p, err := b.PushTx(t.Context(), tx, g, s)
		if err != nil || !p[0].Duplicate || p[0].ID != first[0].ID {
			t.Fatalf("PushTx = %+v, %v, want a duplicate of %s", p, err, first[0].ID)
		}
		if cs := pop(t, b, 5); len(cs) != 0 {
			t.Fatalf("Pop = %d jobs while the transaction is open, want none", len(cs))
		}
		if err := end(tx, t.Context()); err != nil {
			t.Fatal(err)
		}
		cs := pop(t, b, 5)
		if len(cs) != 1 || cs[0].ID != first[0].ID {
			t.Fatalf("Pop = %v after the end, want job %s", cs, first[0].ID)
		}
		settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
	}
}

// What Group.Push refuses is refused, and what another backend keeps; the transaction goes on.
func TestPushTxRefuses(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	c := application(t, nil)
	tx := begin(t, c)
	routes := jobqueue.Routes{Default: b}
	elsewhere := jobqueue.Routes{Default: queuememory.New(), Types: map[string]jobqueue.Backend{"other": b}}
	for name, test := range map[string]struct {
		routes jobqueue.Routes
		specs  []jobqueue.Spec
		want   error
	}{
		"read-only":        {jobqueue.Routes{Default: b, ReadOnly: "maintenance"}, []jobqueue.Spec{spec("Ann")}, jobqueue.ErrReadOnly},
		"bad type":         {routes, []jobqueue.Spec{spec("Ann"), {Type: "\n"}}, jobqueue.ErrInvalid},
		"large parameters": {jobqueue.Routes{Default: b, MaxParams: 5}, []jobqueue.Spec{spec("Ann")}, jobqueue.ErrTooLarge},
		"too many":         {routes, make([]jobqueue.Spec, jobqueue.MaxPush+1), jobqueue.ErrTooLarge},
		"elsewhere":        {elsewhere, []jobqueue.Spec{spec("Ann")}, jobqueue.ErrInvalid},
	} {
		for i := range test.specs {
			if test.specs[i].Type == "" {
				test.specs[i] = spec("Ann")
			}
		}
		_, err := b.PushTx(t.Context(), tx, jobqueue.NewGroup(queue.Domain, test.routes), test.specs...)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: PushTx = %v, want %v", name, err, test.want)
		}
	}
	if p, err := b.PushTx(t.Context(), tx, jobqueue.NewGroup(queue.Domain, routes), spec("Ann")); err != nil || p.Stored() != 1 {
		t.Errorf("PushTx = %+v, %v after refusals", p, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, b); got.Ready != 1 {
		t.Errorf("Counts = %+v, want one ready", got)
	}
}

// Pushes of one digest in a transaction and out of it are one job, in whatever order they end.
func TestPushTxTogether(t *testing.T) {
	schema, all := handles(t, 6)
	s := spec("Ann")
	s.Dedupe = true
	conns := make([]*pgx.Conn, len(all))
	for i := range conns {
		conns[i] = application(t, nil)
	}
	end := watchIntegrity(t, schema)
	for range 10 {
		together(t, all, func(i int, b *postgres.Backend) error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b})
			if i%2 == 0 {
				_, err := g.Push(ctx, s)
				return err
			}
			return pgx.BeginFunc(ctx, conns[i], func(tx pgx.Tx) error {
				_, err := b.PushTx(ctx, tx, g, s)
				return err
			})
		})
		if got := counts(t, all[0]); got.Ready != 1 {
			t.Fatalf("Counts = %+v, want one ready", got)
		}
		pop(t, all[0], 1)
	}
	end()
}
