package sqlite_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// dump returns every row of every table as text.
func dump(t *testing.T, db *sql.DB) (rows []string) {
	t.Helper()
	tables, err := db.Query("select name from sqlite_schema where type = 'table' order by name")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, name := range names {
		found, err := db.Query("select * from " + name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := found.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := found.Scan(dest...); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, strings.TrimSpace(name+" "+fmt.Sprintln(values...)))
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// A call that fails late leaves every table as it was, alone or among others in one transaction.
func TestFailureLeavesTables(t *testing.T) {
	name := jobqueue.Name{Domain: "new", Type: "new"}
	var held []*jobqueue.Claim
	calls := map[string]struct {
		trigger string
		call    func(b jobqueue.Backend) error
	}{
		"Push": {"before insert on push", func(b jobqueue.Backend) error {
			r := jobqueue.Record{
				Name: name, Params: []byte("{}"), Digest: jobqueue.KeyDigest("k"),
				Root: jobqueue.Root{Key: "page", Time: time.Now()}, Delay: time.Second,
			}
			_, err := b.Push(t.Context(), uuid.New(), append(records(3), r))
			return err
		}},
		"Pop": {"before insert on claim", func(b jobqueue.Backend) error {
			_, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: queue, Max: 3})
			return err
		}},
		"Settle": {"before update on claim", func(b jobqueue.Backend) error {
			_, err := b.Settle(t.Context(),
				jobqueue.Outcome{Claim: held[0], Do: jobqueue.ActionDone},
				jobqueue.Outcome{Claim: held[1], Do: jobqueue.ActionRetry, Delay: time.Hour},
				jobqueue.Outcome{Claim: held[2], Do: jobqueue.ActionAbandon, Err: "hopeless"})
			return err
		}},
		"Delete": {"before delete on job", func(b jobqueue.Backend) error {
			_, err := b.Delete(t.Context(), jobqueue.Filter{})
			return err
		}},
		"Requeue": {"before update on claim", func(b jobqueue.Backend) error {
			_, err := b.Requeue(t.Context(), jobqueue.Filter{States: jobqueue.States()})
			return err
		}},
	}
	for op, c := range calls {
		t.Run(op, func(t *testing.T) {
			path := newFile(t)
			b := openFile(t, path, nil)
			push(t, b, records(8)...)
			held = pop(t, b, 4)
			db := raw(t, path)
			execute(t, db, "create trigger refuse "+c.trigger+" begin select raise(abort, 'refused'); end")
			before := dump(t, db)
			if err := c.call(b); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Fatalf("%s = %v, want that it is refused", op, err)
			}
			if diff := cmp.Diff(before, dump(t, db)); diff != "" {
				t.Errorf("%s alone changed (-before +after):\n%s", op, diff)
			}
			release := hold(t, path)
			defer release()
			done := make(chan error, 2)
			go func() { done <- b.Write(t.Context(), func(queuedb.Tx) error { return nil }) }()
			go func() {
				if c.call(b) == nil {
					done <- fmt.Errorf("%s succeeded", op)
				}
				done <- nil
			}()
			until(t, "two calls in line", func() bool { return b.Waiting() == 2 })
			release()
			for range cap(done) {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(before, dump(t, db)); diff != "" {
				t.Errorf("%s among others changed (-before +after):\n%s", op, diff)
			}
		})
	}
}

// What is remembered of calls goes as fast as it comes, though nobody calls Maintain.
func TestCallsForget(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	work := func(n int) {
		for range n {
			push(t, b, records(1)...)
			settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
		}
	}
	const old = 100
	calls := 0
	work(old)
	b.Shift(jobqueue.PushMemory + jobqueue.TokenMemory)
	for _, table := range []string{"push", "claim"} {
		count := func() (n int) {
			if err := raw(t, path).QueryRow("select count(*) from " + table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for ; count() > calls; calls += 10 {
			if work(10); calls > 10*old {
				t.Fatalf("%s has %d rows after %d calls, of which %d were old", table, count(), calls, old)
			}
		}
	}
}
