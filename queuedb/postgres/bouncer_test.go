package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuetest"
)

// bouncer starts PgBouncer before the server, with a pool of so many connections, and returns its URL.
func bouncer(t *testing.T, mode string, size int) string {
	t.Helper()
	p, err := server.Pool(mode, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p.URL
}

// Behind a pooler that gives connections to sessions everything works, wake-ups too.
func TestBouncer(t *testing.T) {
	url := bouncer(t, "session", 20)
	all := behind(t, url, &postgres.Options{Schema: newSchema(t)}, 2)
	works(t, all[0], all[1])
	for range 3 {
		wakes(t, all[0], all[1])
	}
}

// behind opens a schema n times behind a pooler.
func behind(t *testing.T, url string, o *postgres.Options, n int) (all []*postgres.Backend) {
	t.Helper()
	for range n {
		b, err := postgres.Open(t.Context(), url, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		all = append(all, b)
	}
	return all
}

// works pushes with one handle and runs with another.
func works(t *testing.T, pushes, pops *postgres.Backend) {
	t.Helper()
	push(t, pushes, records(20)...)
	cs := pop(t, pops, 10)
	if len(cs) != 10 {
		t.Fatalf("Pop = %d jobs, want 10", len(cs))
	}
	if lost := settle(t, pushes, outcomes(jobqueue.ActionDone, cs...)...); len(lost) > 0 {
		t.Errorf("Settle lost %d claims", len(lost))
	}
	if got := counts(t, pops); got.Ready != 10 || got.Total() != 10 {
		t.Errorf("Counts = %+v, want 10 ready", got)
	}
}

// Behind a pooler that gives connections to transactions every rule holds.
func TestBackendBouncer(t *testing.T) {
	t.Parallel()
	url := bouncer(t, "transaction", 50)
	queuetest.TestBackend(t, func(t testing.TB) jobqueue.Backend {
		b, err := postgres.Open(context.Background(), url, &postgres.Options{Schema: emptySchema(t), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}

// Behind such a pooler the connections of others keep their own settings, and tables can be made.
func TestBouncerSettings(t *testing.T) {
	url := bouncer(t, "transaction", 1)
	schema, drop := server.Schema()
	t.Cleanup(func() { drop() })
	o := &postgres.Options{Schema: schema}
	if err := postgres.Migrate(t.Context(), url, o); err != nil {
		t.Fatal(err)
	}
	all := behind(t, url, o, 2)
	works(t, all[0], all[1])
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conf.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	// There is one connection to the server, so this is the one that the backends have.
	c, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	changed, err := pgx.CollectRows(first(c.Query(t.Context(), "select name from pg_settings where source = 'session' and name in ('search_path', 'enable_seqscan', 'statement_timeout', 'lock_timeout')")), pgx.RowTo[string])
	if err != nil || len(changed) > 0 {
		t.Errorf("the settings %v, %v stay with a connection that others use", changed, err)
	}
}

// Behind such a pooler notifications do not get through, which is said once.
func TestBouncerSilent(t *testing.T) {
	url := bouncer(t, "transaction", 20)
	var log lines
	b := behind(t, url, &postgres.Options{Schema: newSchema(t), Logger: slog.New(slog.NewTextHandler(&log, nil))}, 1)[0]
	b.Hasten(50*time.Millisecond, time.Millisecond)
	for range 5 {
		// It returns when listening begins and whenever it ends.
		if _, err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "line in the log", func() bool { return log.count("store cannot wake runners") > 0 })
	for range 10 {
		if _, err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := log.count("store cannot wake runners"); n != 1 {
		t.Errorf("it was said %d times, want once", n)
	}
	push(t, b, records(1)...)
	if cs := pop(t, b, 1); len(cs) != 1 {
		t.Errorf("Pop = %d jobs, want one", len(cs))
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// first drops an error that the rows have as well.
func first(rows pgx.Rows, _ error) pgx.Rows { return rows }

// While others hold all connections of a pooler calls wait, and no lease is lost.
func TestBouncerFull(t *testing.T) {
	const size, jobs, times = 2, 4000, 10
	url := bouncer(t, "transaction", size)
	b := behind(t, url, &postgres.Options{Schema: newSchema(t)}, 1)[0]
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conf.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	connect := func(database string) *pgx.Conn {
		conf := conf.Copy()
		conf.Database = database
		c, err := pgx.ConnectConfig(t.Context(), conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	admin := connect("pgbouncer")
	waiting := func() (n int32) {
		pools, err := pgx.CollectRows(first(admin.Query(t.Context(), "show pools")), pgx.RowToMap)
		if err != nil {
			t.Error(err)
		}
		for _, p := range pools {
			if p["database"] == conf.Database {
				n += p["cl_waiting"].(int32)
			}
		}
		return n
	}
	others := []*pgx.Conn{connect(conf.Database), connect(conf.Database)}
	c := newCrowd(t, b, jobs, 5*time.Second)
	c.run(func() error {
		for i := range times {
			c.reached(jobs * (i + 1) / (times + 1))
			for _, o := range others {
				if _, err := o.Exec(c.ctx, "begin"); err != nil {
					return err
				}
			}
			c.mu.Lock()
			held := append(slices.Collect(maps.Keys(c.leases)), uuid.New()) // a call even if all are settled
			c.mu.Unlock()
			extended := make(chan error, 1)
			go func() {
				extended <- c.insist(func() error {
					_, err := b.Extend(c.ctx, 5*time.Second, held...)
					return err
				})
			}()
			for late := time.Now().Add(30 * time.Second); waiting() == 0; {
				if time.Now().After(late) || c.ctx.Err() != nil {
					return errors.New("no call waits for a connection")
				}
			}
			for _, o := range others {
				if _, err := o.Exec(c.ctx, "rollback"); err != nil {
					return err
				}
			}
			if err := <-extended; err != nil {
				return err
			}
		}
		return nil
	})
	if c.lost > 0 {
		t.Errorf("%d claims were lost", c.lost)
	}
}
