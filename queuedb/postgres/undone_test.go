package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// A push makes its queue, has to be undone because the same push is confirmed elsewhere meanwhile, and gets the answer of that.
// The queue that was undone is not taken for the one that others make.
func TestQueueUndone(t *testing.T) {
	schema := newSchema(t)
	o := &postgres.Options{Schema: schema}
	others := openSchema(t, o)
	id := uuid.New()
	elsewhere := records(1)
	elsewhere[0].Domain = "dewiki"
	if _, err := others.Push(t.Context(), id, elsewhere); err != nil {
		t.Fatal(err)
	}
	c := raw(t, schema)
	// As if the other push were not committed yet.
	for _, s := range []string{"create temp table kept as select * from push", "delete from push", "begin", "insert into push select * from kept"} {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	b, err := postgres.Open(t.Context(), with("application_name", schema), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	pushed := make(chan error, 1)
	go func() {
		_, err := b.Push(t.Context(), id, records(1))
		pushed <- err
	}()
	watch := raw(t, schema)
	for end := time.Now().Add(time.Minute); ; {
		var waits int
		err := watch.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'", schema).Scan(&waits)
		if err != nil || time.Now().After(end) {
			t.Fatal("the push does not wait for the other one: ", err)
		}
		if waits > 0 {
			break
		}
	}
	if _, err := c.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	push(t, others, records(2)...)
	push(t, b, records(1)...)
	for name, b := range map[string]jobqueue.Backend{"it": b, "the other": others} {
		if n := counts(t, b).Ready; n != 3 {
			t.Errorf("%s counts %d jobs, want 3", name, n)
		}
	}
}
