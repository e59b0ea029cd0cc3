package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// What is abandoned in a file of format 1, and what a program that knows no other abandons later, is as it was.
func TestMigrateAbandoned(t *testing.T) {
	path := newFile(t)
	undo := sqlite.KnowFormats(1)
	err := sqlite.Migrate(t.Context(), path)
	undo()
	if err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	for _, text := range []string{
		`insert into queue (id, domain, type) values (1, 'enwiki', 'refreshLinks')`,
		`insert into job (id, queue, pushed, tries, digest, root_key, root_time, headers, params, failures, expiries, position, error)
			values (1, 1, 1000000, 7, x'01', 'page', 2000000, '{"trace":"abc"}', cast('{"n":1}' as blob), 2, 1, 9, 'no route')`,
		`insert into job (id, queue, pushed, params) values
			(2, 1, 1000000, cast('{"n":2}' as blob)), (3, 1, 1000000, cast('{"n":3}' as blob)), (4, 1, 1000000, cast('{"n":4}' as blob))`,
		`insert into abandoned (job, queue, prune_at) values (1, 1, 9000000000000000), (2, 1, null), (5, 1, null)`,
		`insert into ready (queue, position, job, since) values (1, 3, 3, 1000000)`,
		`insert into later (job, queue, release) values (4, 1, 9000000000000000)`,
		`update meta set last = 9`,
	} {
		execute(t, db, text)
	}
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	b := openFile(t, path, nil)
	check := func(want ...jobqueue.Entry) {
		t.Helper()
		var got []jobqueue.Entry
		for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("List (-want +got):\n%s", d)
		}
		if n := number(t, db, "select count(*) from jobs"); n != len(want) {
			t.Errorf("the view has %d jobs, want %d", n, len(want))
		}
		for _, e := range want {
			if n := number(t, db, "select count(*) from jobs where id = ? and state = ?", e.ID, e.State.String()); n != 1 {
				t.Errorf("the view has job %s %d times as %v", e.ID, n, e.State)
			}
		}
	}
	entry := func(id string, s jobqueue.State) jobqueue.Entry {
		return jobqueue.Entry{
			ID: id, State: s, QueuedAt: time.Unix(1, 0).UTC(),
			Record: jobqueue.Record{Name: queue, Params: []byte(`{"n":` + id + `}`)},
		}
	}
	far := time.UnixMicro(9e15).UTC()
	one, two, three, four := entry("1", jobqueue.Abandoned), entry("2", jobqueue.Abandoned), entry("3", jobqueue.Ready), entry("4", jobqueue.Delayed)
	one.MaxTries, one.Headers, one.Root = 7, map[string]string{"trace": "abc"}, jobqueue.Root{Key: "page", Time: time.Unix(2, 0).UTC()}
	one.Failures, one.Expiries, one.LastError, one.PruneAt = 2, 1, "no route", far
	three.ReadyAt, four.ReadyAt = time.Unix(1, 0).UTC(), far
	check(one, two, three, four)
	if n := number(t, db, "select count(*) from job"); n != 2 {
		t.Errorf("%d rows of job, want 2", n)
	}

	// A program that knows format 1 alone abandons a job.
	if cs := pop(t, b, 5); len(cs) != 1 || cs[0].ID != "3" {
		t.Fatalf("Pop = %v, want job 3", cs)
	}
	for _, text := range []string{
		`update job set failures = failures + 1, expiries = expiries + 0, error = 'no more' where id = 3`,
		`insert into abandoned (job, queue, prune_at) select id, queue, nullif(9000000000000000, 0) from job where id = 3`,
		`update claim set expires = null, held = x'', forget = 1`,
	} {
		execute(t, db, text)
	}
	three.State, three.ReadyAt, three.Failures, three.LastError, three.PruneAt = jobqueue.Abandoned, time.Time{}, 1, "no more", far
	check(one, two, three, four)

	if n, err := b.Requeue(t.Context(), jobqueue.Filter{}); n != 3 || err != nil {
		t.Fatalf("Requeue = %d, %v, want 3", n, err)
	}
	cs := pop(t, b, 5)
	var got []jobqueue.Record
	for _, c := range cs {
		got = append(got, c.Record)
	}
	if d := cmp.Diff([]jobqueue.Record{one.Record, two.Record, three.Record}, got); d != "" {
		t.Errorf("Pop (-want +got):\n%s", d)
	}
	settle(t, b, outcomes(jobqueue.ActionAbandon, cs...)...)
	if c := counts(t, b); c.Abandoned != 3 || c.Total() != 4 {
		t.Errorf("Counts = %+v, want 3 abandoned of 4", c)
	}
	if n, err := b.Delete(t.Context(), jobqueue.Filter{}); n != 4 || err != nil {
		t.Errorf("Delete = %d, %v, want 4", n, err)
	}
	if n := number(t, db, "select (select count(*) from job) + (select count(*) from abandoned)"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}
