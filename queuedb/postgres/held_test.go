package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// touched returns how many buffers of the tables were touched so far, by connections that are closed.
func touched(t testing.TB, c *pgx.Conn) (n int64) {
	t.Helper()
	// What a connection has done itself counts from some later second on, unless it is told.
	if _, err := c.Exec(t.Context(), "select pg_stat_force_next_flush()"); err != nil {
		t.Fatal(err)
	}
	err := c.QueryRow(t.Context(), `select coalesce(sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)), 0)::bigint
		from pg_statio_user_tables where schemaname = current_schema()`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// While a transaction holds an old snapshot nothing that was deleted can be cleaned up. Claims stay as quick as they
// were, also those of a process that has just begun. With SOAK in the environment these are 2,000,000 jobs.
func TestHeldSnapshot(t *testing.T) {
	const batch = 50
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	hold, err := raw(t, schema).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Exec(t.Context(), "select count(*) from job"); err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback(context.Background())
	c := raw(t, schema)
	// pass lets batches through with a process of its own, and returns the buffers it touched for each job.
	pass := func(batches, batch int) float64 {
		b, err := postgres.Open(t.Context(), with("application_name", schema), o)
		if err != nil {
			t.Fatal(err)
		}
		rs := records(batch)
		push(t, b, rs...)
		before := touched(t, c)
		for range batches {
			push(t, b, rs...)
			cs := pop(t, b, batch)
			if len(cs) != batch {
				t.Fatalf("Pop = %d jobs", len(cs))
			}
			settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		var after int64
		until(t, "end of the connections", func() bool {
			var n int
			err := c.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", schema).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			after = touched(t, c)
			return n == 0
		})
		return float64(after-before) / float64(batches*batch)
	}
	jobs := 120_000
	if _, long := os.LookupEnv("SOAK"); long {
		jobs = 2_000_000
	}
	pass(10, 1000)
	first := pass(100, batch)
	pass(jobs/1000, 1000)
	restarted := pass(100, batch)
	later := pass(500, batch)
	t.Logf("buffers touched for each job: %.1f after 10,000, %.1f after %d and a restart, %.1f for longer", first, restarted, jobs, later)
	if max(restarted, later) > 1.5*first {
		t.Errorf("a job touches %.1f and %.1f buffers after %d jobs, %.1f before", restarted, later, jobs, first)
	}
}
