package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// pass has n jobs pushed and done, 20 at a time, until looks go from behind them.
func pass(t testing.TB, b *postgres.Backend, n int) {
	t.Helper()
	for begin := time.Now(); n > 0 || time.Since(begin) < 100*time.Millisecond; n -= 20 {
		push(t, b, records(20)...)
		settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 20)...)...)
	}
}

// A transaction that pushes a job may be open for as long as it likes: once it is committed, whoever asks what is ready
// finds the job next, though a backlog stands before everything that was pushed since.
func TestLateCommit(t *testing.T) {
	for name, passes := range map[string]int{"quick": 0, "after many": 40_000} {
		t.Run(name, func(t *testing.T) {
			schema := newSchema(t)
			o := &postgres.Options{Schema: schema, Relaxed: true}
			pushes, pops := openSchema(t, o), openSchema(t, o)
			g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: pushes})
			// Nothing that was deleted can be cleaned up, so that full looks are dear.
			hold := begin(t, application(t, nil))
			defer hold.Rollback(context.Background())
			for range passes / 1000 {
				push(t, pushes, records(1000)...)
				settle(t, pops, outcomes(jobqueue.ActionDone, pop(t, pops, 1000)...)...)
			}
			c := application(t, nil)
			for range 10 {
				tx := begin(t, c)
				late, err := pushes.PushTx(t.Context(), tx, g, spec("Ann"), spec("Bob"))
				if err != nil {
					t.Fatal(err)
				}
				push(t, pushes, records(1000)...) // a backlog
				pass(t, pops, 200)
				if err := tx.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := ready(t, pops); n != 1 {
					t.Fatalf("%d queues are ready, want one", n)
				}
				cs := pop(t, pops, 1)
				cs = append(cs, pop(t, pops, 3)...)
				if len(cs) != 4 || cs[0].ID != late[0].ID || cs[1].ID != late[1].ID {
					t.Fatalf("Pop = %v after the commit, want jobs %s and %s first", ids(cs), late[0].ID, late[1].ID)
				}
				if _, err := pushes.Delete(t.Context(), jobqueue.Filter{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func ids(cs []*jobqueue.Claim) (ids []string) {
	for _, c := range cs {
		ids = append(ids, c.ID)
	}
	return ids
}

// ready returns how many queues are ready.
func ready(t testing.TB, b jobqueue.Backend, names ...jobqueue.Name) (n int) {
	t.Helper()
	for _, err := range b.Ready(t.Context(), names...) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// The same holds for a job that waits while a transaction holds a duplicate of it.
func TestLateDuplicate(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	pushes, pops := openSchema(t, o), openSchema(t, o)
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: pushes})
	c := application(t, nil)
	s := spec("Ann")
	s.Dedupe = true
	for range 5 {
		push(t, pushes, records(10)...)
		first, err := g.Push(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		tx := begin(t, c)
		if _, err := pushes.PushTx(t.Context(), tx, g, s); err != nil {
			t.Fatal(err)
		}
		pass(t, pops, 100)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		ready(t, pops)
		if cs := pop(t, pops, 3); len(cs) != 3 || cs[0].ID != first[0].ID {
			t.Fatalf("Pop = %v, want job %s first", ids(cs), first[0].ID)
		}
	}
}

// A push that was held up, so that jobs with later numbers were claimed before it was committed, is found next.
func TestLatePush(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema, Relaxed: true}
	pushes, pops := openSchema(t, o), openSchema(t, o)
	waits := blocked(t, schema)
	for range 5 {
		push(t, pops, records(500)...)
		release := block(t, schema)
		var late jobqueue.Pushed
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { late, err = pushes.Push(t.Context(), uuid.New(), records(2)) })
		until(t, "push that waits", waits)
		// Jobs that are retried go to the back, where no push is needed.
		for begin, n := time.Now(), 0; n < 500 || time.Since(begin) < 100*time.Millisecond; n += 100 {
			settle(t, pops, outcomes(jobqueue.ActionRetry, pop(t, pops, 100)...)...)
		}
		release()
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		ready(t, pops)
		if cs := pop(t, pops, 5); len(cs) != 5 || cs[0].ID != late[0].ID || cs[1].ID != late[1].ID {
			t.Fatalf("Pop = %v, want %s and %s first", ids(cs), late[0].ID, late[1].ID)
		}
		if _, err := pushes.Delete(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Ready, jobqueue.Claimed}}); err != nil {
			t.Fatal(err)
		}
	}
	var noted int
	if err := raw(t, schema).QueryRow(t.Context(), "select count(*) from late").Scan(&noted); err != nil || noted == 0 {
		t.Errorf("%d rows of late, %v, want some", noted, err)
	}
}

// A push that was not held up, but was committed just after jobs with later numbers were claimed, is found by
// the next look, however long that takes to come.
func TestLateUnnoticed(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema, Relaxed: true})
	push(t, b, records(100)...)
	settle(t, b, outcomes(jobqueue.ActionDone, popAll(t, b)...)...)
	c := raw(t, schema)
	for range 5 {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var late string
		err = tx.QueryRow(t.Context(), `with new as (
				insert into job (id, queue, pushed, params) select nextval('number'), id, 1, '{}' from queue returning id, queue
			), line as (
				insert into ready (queue, position, job, since) select queue, id, id, 1 from new
			) select id::text from new`).Scan(&late)
		if err != nil {
			t.Fatal(err)
		}
		push(t, b, records(100)...)
		pop(t, b, 10)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		until(t, "time without a look", func() bool { return time.Since(begin) > 50*time.Millisecond })
		if cs := pop(t, b, 1); len(cs) != 1 || cs[0].ID != late {
			t.Fatalf("Pop = %v, want %s", ids(cs), late)
		}
		if cs := pop(t, b, 100); len(cs) != 90 {
			t.Fatalf("Pop = %d jobs, want 90", len(cs))
		}
	}
}
