package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// holdSnapshot has nothing that is deleted from now on cleaned up until the test ends.
func holdSnapshot(t testing.TB, schema string) {
	t.Helper()
	hold, err := raw(t, schema).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Rollback(context.Background()) })
	if _, err := hold.Exec(t.Context(), "select count(*) from job"); err != nil {
		t.Fatal(err)
	}
}

// delayed returns records for jobs that are ready in a moment, all at once. However long the push takes, they are delayed ones.
func delayed(n int) []jobqueue.Record {
	rs := records(n)
	for i := range rs {
		rs[i].Delay = time.Millisecond
	}
	return rs
}

// storesUntil waits until the stored time is at least that at which the last delayed job was to be ready.
func storesUntil(t testing.TB, c *pgx.Conn, b *postgres.Backend, last int64) {
	t.Helper()
	until(t, "stored time", func() bool {
		pop(t, b, 1)
		ready(t, b)
		var n int
		err := c.QueryRow(t.Context(), "select count(*) from reached where queue = 0 and position >= $1", last).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
}

// lastRelease returns when the last delayed job is ready.
func lastRelease(t testing.TB, c *pgx.Conn) (last int64) {
	t.Helper()
	if err := c.QueryRow(t.Context(), "select max(release) from later").Scan(&last); err != nil {
		t.Fatal(err)
	}
	return last
}

// Under an old snapshot delayed jobs that have gone through do not slow down those who look for jobs, be there any or none.
func TestDueHeld(t *testing.T) {
	const batches, pops = 50, 200
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	holdSnapshot(t, schema)
	c := raw(t, schema)
	touched := func() (n int64) {
		t.Helper()
		err := c.QueryRow(t.Context(), `select (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint
			from pg_statio_user_tables where schemaname = current_schema() and relname = 'later'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// takes returns the buffers of delayed jobs that a Pop touches, of one job and of none.
	takes := func() (some, none float64) {
		t.Helper()
		for _, n := range []int{1, 0} {
			f := openSchema(t, o)
			push(t, f, records(n*pops)...)
			b, err := postgres.Open(t.Context(), with("application_name", schema), o)
			if err != nil {
				t.Fatal(err)
			}
			before := touched()
			for range pops {
				if cs := pop(t, b, 1); len(cs) != n {
					t.Fatalf("Pop = %d jobs, want %d", len(cs), n)
				}
			}
			buffers(t, c, b, schema)
			some, none = none, float64(touched()-before)/pops
		}
		return some, none
	}
	some, none := takes()
	b := openSchema(t, o)
	var last int64
	for range batches {
		push(t, b, delayed(1000)...)
		last = lastRelease(t, c)
		left := 1000
		until(t, "release of delayed jobs", func() bool {
			cs := pop(t, b, 1000)
			settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
			left -= len(cs)
			return left == 0
		})
	}
	storesUntil(t, c, b, last)
	someThen, noneThen := takes()
	t.Logf("buffers of delayed jobs touched by a Pop: of one job %.1f, then %.1f; of none %.1f, then %.1f", some, someThen, none, noneThen)
	if someThen > some+100 || noneThen > none+100 {
		t.Errorf("after %d delayed jobs a Pop of one job touches %.1f buffers, %.1f before, and one of none %.1f, %.1f before",
			batches*1000, someThen, some, noneThen, none)
	}
}

// The stored time moves on though every Pop that makes delayed jobs ready takes a transaction of several round trips.
func TestDueTogether(t *testing.T) {
	schema := newSchema(t)
	b, c := openSchema(t, &postgres.Options{Schema: schema, Relaxed: true}), raw(t, schema)
	for _, n := range []int{5, 1000} { // The latter are too many for one look.
		push(t, b, delayed(n)...)
		last, left := lastRelease(t, c), n
		until(t, "release of delayed jobs", func() bool {
			cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: queue, Max: n}, jobqueue.Want{Name: queue, Max: 1})
			if err != nil {
				t.Fatal(err)
			}
			settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
			left -= len(cs)
			return left == 0
		})
		storesUntil(t, c, b, last)
	}
}

// A delayed job whose transaction is committed long after its time is found next, though others that were to be ready later have been claimed.
func TestLateDue(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	holdSnapshot(t, schema)
	pushes, pops := openSchema(t, o), openSchema(t, o)
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: pushes})
	c := application(t, nil)
	s := spec("Ann")
	s.Delay = time.Millisecond
	for range 5 {
		tx := begin(t, c)
		late, err := pushes.PushTx(t.Context(), tx, g, s)
		if err != nil {
			t.Fatal(err)
		}
		// Jobs go through until looks go from behind it.
		for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
			push(t, pushes, delayed(5)...)
			left := 5
			until(t, "release of delayed jobs", func() bool {
				cs := pop(t, pops, 5)
				settle(t, pops, outcomes(jobqueue.ActionDone, cs...)...)
				left -= len(cs)
				return left == 0
			})
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := ready(t, pops); n != 1 {
			t.Fatalf("%d queues are ready, want one", n)
		}
		if cs := pop(t, pops, 2); len(cs) != 1 || cs[0].ID != late[0].ID {
			t.Fatalf("Pop = %v, want %s", ids(cs), late[0].ID)
		} else {
			settle(t, pops, outcomes(jobqueue.ActionDone, cs...)...)
		}
	}
}

// When the clock has gone back, so that the known time lies ahead, delayed jobs are looked for from the first one on.
func TestDueClock(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t), Relaxed: true})
	rs := records(1)
	rs[0].Delay = time.Millisecond
	push(t, b, rs...)
	c, err := b.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	ahead := time.Now().Add(time.Hour).UnixMicro()
	until(t, "release", func() bool {
		var job, release, now int64
		if err := c.QueryRow(t.Context(), postgres.Statements["later_release"], 0, 0, 1, ahead).Scan(&job, &release, &now); err != nil {
			t.Fatal(err)
		}
		return job != 0
	})
}
