package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// traced opens a schema with a backend that counts its round trips.
func traced(t testing.TB, o *postgres.Options) (*postgres.Backend, *trips) {
	t.Helper()
	n := new(trips)
	b, err := postgres.OpenTraced(t.Context(), with("application_name", o.Schema), o, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, n
}

// buffers closes a backend and returns how many buffers of the tables its server touched.
func buffers(t testing.TB, c *pgx.Conn, b *postgres.Backend, schema string) (n int64) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "end of the connections", func() bool {
		var open int
		err := c.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", schema).Scan(&open)
		if err != nil {
			t.Fatal(err)
		}
		n = touched(t, c)
		return open == 0
	})
	return n
}

// One round trip claims from thousands of queues, of which one has nearly everything, and those that are empty cost next to nothing.
func TestSkew(t *testing.T) {
	const queues, large, batch = 5000, 100_000, 1000
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	c := raw(t, schema)
	names := make([]jobqueue.Name, queues)
	for i := range names {
		names[i] = jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: queue.Type}
	}
	// Every tenth has a job, and the first one many.
	for _, text := range []string{
		"insert into queue (domain, type) select 'wiki' || i, '" + queue.Type + "' from generate_series(0, 4999) i",
		"insert into job (id, queue, pushed, params) select i, q.id, 1, '{}' from generate_series(1, 100000) i, queue q where q.domain = 'wiki0'",
		"insert into job (id, queue, pushed, params) select 100000 + q.id, q.id, 1, '{}' from queue q where q.id % 10 = 0",
		"insert into ready (queue, position, job, since) select queue, id, id, 1 from job",
		"select setval('number', 1000001)",
		"vacuum (analyze) job, ready, queue",
	} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	b, n := traced(t, o)
	want := func(most int) (wants []jobqueue.Want) {
		for _, name := range names {
			wants = append(wants, jobqueue.Want{Name: name, Max: most})
		}
		return wants
	}
	claim := func(wants []jobqueue.Want) []*jobqueue.Claim {
		t.Helper()
		cs, err := b.Pop(t.Context(), lease(time.Minute), wants...)
		if err != nil {
			t.Fatal(err)
		}
		return cs
	}
	claim(want(1)[:1]) // The first one sweeps.
	before := n.Load()
	if got := ready(t, b); got < queues/10 || got > queues/10+1 {
		t.Errorf("%d queues are ready", got)
	}
	if took := n.Load() - before; took > 9 {
		t.Errorf("Ready took %d round trips", took)
	}
	before = n.Load()
	if cs := claim(want(1)); len(cs) < queues/10 || len(cs) > queues/10+1 {
		t.Errorf("Pop = %d jobs of all queues", len(cs))
	}
	if took := n.Load() - before; took > 5 {
		t.Errorf("a Pop of %d queues took %d round trips", queues, took)
	}
	// Only the large one has any left. What is claimed goes on in batches as large as are wanted.
	start := touched(t, c)
	jobs, before := 0, n.Load()
	const pops = 50
	for range pops {
		cs := claim([]jobqueue.Want{{Name: names[0], Max: batch}})
		jobs += len(cs)
		settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
	}
	took := n.Load() - before
	each := float64(buffers(t, c, b, schema)-start) / float64(jobs)
	t.Logf("%d jobs in %d round trips, %.1f buffers each", jobs, took, each)
	if jobs != pops*batch || took > 5*pops || each > 40 {
		t.Errorf("%d jobs of %d took %d round trips and %.1f buffers each", jobs, pops*batch, took, each)
	}
	// What asks for all queues again and again pays for a look at each, not for what was claimed.
	b, _ = traced(t, o)
	start = touched(t, c)
	const looks = 10
	for range looks {
		if cs := claim(want(1)); len(cs) != 1 {
			t.Fatalf("Pop = %d jobs, want the one of the large queue", len(cs))
		}
	}
	each = float64(buffers(t, c, b, schema)-start) / (looks * queues)
	t.Logf("%.1f buffers for each queue that is empty", each)
	if each > 12 {
		t.Errorf("an empty queue costs %.1f buffers", each)
	}
}

// While delayed jobs of some queues fall due all the time, claims of others stay as quick as they are.
func TestTripsDue(t *testing.T) {
	schema := newSchema(t)
	b, n := traced(t, &postgres.Options{Schema: schema, Relaxed: true})
	settle(t, b, outcomes(jobqueue.ActionDone, popAll(t, b)...)...)
	push(t, b, records(1000)...)
	settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
	c := raw(t, schema)
	least, most, sum := int64(1000), int64(0), int64(0)
	const pops = 60
	for i := range pops {
		rs := records(3)
		for k := range rs {
			rs[k].Type, rs[k].Delay = "later", time.Hour
		}
		push(t, b, rs...)
		if _, err := c.Exec(t.Context(), "update later set release = (extract(epoch from clock_timestamp()) * 1000000)::bigint"); err != nil {
			t.Fatal(err)
		}
		before := n.Load()
		if cs := pop(t, b, 10); len(cs) != 10 {
			t.Fatalf("Pop = %d jobs, want 10", len(cs))
		}
		took := n.Load() - before
		least, most, sum = min(least, took), max(most, took), sum+took
		var due int
		if err := c.QueryRow(t.Context(), "select count(*) from later").Scan(&due); err != nil || due > 0 {
			t.Fatalf("after pop %d there are %d delayed jobs that are due, %v", i, due, err)
		}
	}
	t.Logf("%d pops took %d round trips, %d to %d each", pops, sum, least, most)
	if least > 1 || sum > 4*pops {
		t.Errorf("%d pops took %d round trips, %d to %d each", pops, sum, least, most)
	}
	if cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: jobqueue.Name{Domain: queue.Domain, Type: "later"}, Max: 1000}); err != nil || len(cs) != 3*pops {
		t.Errorf("Pop = %d jobs, %v, want %d that were delayed", len(cs), err, 3*pops)
	}
}

// popAll claims what there is, so that a sweep has been made.
func popAll(t testing.TB, b *postgres.Backend) []*jobqueue.Claim {
	t.Helper()
	push(t, b, records(1)...)
	return pop(t, b, 1000)
}

// An answer without jobs takes little, be it that a queue is empty or that nobody has ever pushed to it.
func TestTripsEmpty(t *testing.T) {
	b, n := traced(t, &postgres.Options{Schema: newSchema(t), Relaxed: true})
	settle(t, b, outcomes(jobqueue.ActionDone, popAll(t, b)...)...)
	for what, wants := range map[string][]jobqueue.Want{
		"empty":      {{Name: queue, Max: 10}},
		"with a new": {{Name: queue, Max: 10}, {Name: jobqueue.Name{Domain: "new", Type: "new"}, Max: 10}},
	} {
		least := int64(1000)
		for range 20 {
			before := n.Load()
			if cs, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, wants...); err != nil || len(cs) > 0 {
				t.Fatalf("Pop = %d jobs, %v", len(cs), err)
			}
			least = min(least, n.Load()-before)
		}
		if least > 3 {
			t.Errorf("%s: Pop takes %d round trips, want 3", what, least)
		}
	}
}

// Under an old snapshot what was deleted does not slow down those who ask what is ready.
func TestReadyHeld(t *testing.T) {
	const calls, batches = 200, 60
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
	names := make([]jobqueue.Name, 20)
	for i := range names {
		names[i] = jobqueue.Name{Domain: queue.Domain, Type: fmt.Sprint("type", i)}
	}
	// asks returns the buffers that a call touches, beyond the first one of each kind.
	asks := func(want int) float64 {
		t.Helper()
		b, err := postgres.Open(t.Context(), with("application_name", schema), o)
		if err != nil {
			t.Fatal(err)
		}
		before := touched(t, c)
		for range calls {
			if n := ready(t, b); n != want {
				t.Fatalf("%d queues are ready, want %d", n, want)
			}
			if n := ready(t, b, names...); n != want {
				t.Fatalf("%d of the named queues are ready, want %d", n, want)
			}
		}
		return float64(buffers(t, c, b, schema)-before) / (2 * calls)
	}
	fill := func() {
		b := openSchema(t, o)
		rs := records(1000)
		for i := range rs {
			rs[i].Name = names[i%len(names)]
		}
		var last jobqueue.Pushed
		for range batches {
			last = push(t, b, rs...)
			var wants []jobqueue.Want
			for _, name := range names {
				wants = append(wants, jobqueue.Want{Name: name, Max: 50})
			}
			cs, err := b.Pop(t.Context(), lease(time.Minute), wants...)
			if err != nil || len(cs) != 1000 {
				t.Fatalf("Pop = %d jobs, %v", len(cs), err)
			}
			settle(t, b, outcomes(jobqueue.ActionDone, cs...)...)
		}
		until(t, "stored position of each queue in the last push", func() bool {
			for _, name := range names {
				if cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: name, Max: 1}); err != nil || len(cs) > 0 {
					t.Fatalf("Pop = %d jobs, %v", len(cs), err)
				}
			}
			ready(t, b)
			var n int
			err := c.QueryRow(t.Context(), "select count(*) from reached where position >= $1::text::bigint", last[0].ID).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			return n == len(names)
		})
	}
	first := asks(0)
	fill()
	last := asks(0)
	t.Logf("buffers touched by a call: %.1f, then %.1f", first, last)
	if last > 400 {
		t.Errorf("a call touches %.1f buffers after %d jobs, %.1f before", last, batches*1000, first)
	}
	b := openSchema(t, o)
	rs := records(2)
	rs[0].Name, rs[1].Name = names[3], names[17]
	push(t, b, rs...)
	asks(2)
}

// What is claimed in several round trips, as two wants of one queue are, counts as claimed, too.
func TestReachedLong(t *testing.T) {
	schema := newSchema(t)
	b, c := openSchema(t, &postgres.Options{Schema: schema, Relaxed: true}), raw(t, schema)
	ids := push(t, b, records(20)...)
	half := jobqueue.Want{Name: queue, Max: 10}
	cs, err := b.Pop(t.Context(), lease(time.Minute), half, half)
	if err != nil || len(cs) != len(ids) {
		t.Fatalf("Pop = %d jobs, %v, want %d", len(cs), err, len(ids))
	}
	until(t, "stored position of the last job", func() bool {
		if cs := pop(t, b, 1); len(cs) > 0 {
			t.Fatalf("Pop = %d jobs more", len(cs))
		}
		ready(t, b)
		var n int
		if err := c.QueryRow(t.Context(), "select count(*) from reached where position >= $1::text::bigint", ids[len(ids)-1].ID).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
}
