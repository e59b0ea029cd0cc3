package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// The view jobs shows every job, in the state that List shows it in, and takes no writes.
func TestView(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	rs := records(6)
	rs[4].Delay, rs[5].Delay = time.Hour, time.Hour
	push(t, b, rs...)
	cs := pop(t, b, 4)
	settle(t, b,
		jobqueue.Outcome{Claim: cs[0], Do: jobqueue.ActionAbandon, Err: "broken", Keep: time.Hour},
		jobqueue.Outcome{Claim: cs[1], Do: jobqueue.ActionRetry, Err: "again"},
		jobqueue.Outcome{Claim: cs[2], Do: jobqueue.ActionDone})
	type job struct {
		ID, State, Params, Error string
		Failures                 int
		Pushed, Release, PruneAt time.Time
	}
	var want []job
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		j := job{ID: e.ID, State: e.State.String(), Params: string(e.Params), Error: e.LastError, Failures: e.Failures, Pushed: e.QueuedAt, PruneAt: e.PruneAt}
		if e.State == jobqueue.Delayed {
			j.Release = e.ReadyAt
		}
		want = append(want, j)
	}
	c := raw(t, schema)
	rows, _ := c.Query(t.Context(), `select id::text, state, params, coalesce(error, '') as error, failures, pushed,
		coalesce(release, timestamptz '0001-01-01 00:00:00+00') as release, coalesce(prune_at, timestamptz '0001-01-01 00:00:00+00') as prune_at
		from jobs where domain = $1 and type = $2 order by jobs.id`, queue.Domain, queue.Type)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[job])
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("the view differs from List (-List +view):\n%s", diff)
	}
	for _, state := range []string{"ready", "delayed", "claimed", "abandoned"} {
		if !slices.ContainsFunc(got, func(j job) bool { return j.State == state }) {
			t.Errorf("no job is %s", state)
		}
	}
	for _, text := range []string{"delete from jobs", "update jobs set failures = 0", "insert into jobs (id) values (1)"} {
		if _, err := c.Exec(t.Context(), text); err == nil {
			t.Errorf("%s took effect", text)
		}
	}
}

// A role that may read and write rows, and no more, can do all that a backend does; only migrations need the owner.
func TestPrivileges(t *testing.T) {
	schema := newSchema(t)
	role, c := schema+"_role", raw(t, schema)
	for _, text := range []string{
		"create role " + role + " login",
		"grant usage on schema " + schema + " to " + role,
		"grant select, insert, update, delete on all tables in schema " + schema + " to " + role,
		"grant usage, select on all sequences in schema " + schema + " to " + role,
	} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	t.Cleanup(func() {
		_, err := raw(t, "public").Exec(context.Background(), "drop owned by "+role+"; drop role "+role, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Error(err)
		}
	})
	as, o := with("user", role), &postgres.Options{Schema: schema}
	b, err := postgres.Open(t.Context(), as, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	rs := records(8)
	rs[0].Digest, rs[1].Delay, rs[2].Root = digest(1), time.Millisecond, jobqueue.Root{Key: "page"}
	push(t, b, rs...)
	push(t, b, rs[0])
	l := lease(time.Minute)
	cs, err := b.Pop(t.Context(), l, jobqueue.Want{Name: queue, Max: 5})
	if err != nil || len(cs) != 5 {
		t.Fatalf("Pop = %d jobs, %v", len(cs), err)
	}
	settle(t, b,
		jobqueue.Outcome{Claim: cs[0], Do: jobqueue.ActionDone},
		jobqueue.Outcome{Claim: cs[1], Do: jobqueue.ActionAbandon, Keep: time.Hour},
		jobqueue.Outcome{Claim: cs[2], Do: jobqueue.ActionRetry},
		jobqueue.Outcome{Claim: cs[3], Do: jobqueue.ActionRetry, Delay: time.Hour})
	for name, err := range map[string]error{
		"Extend":    second(b.Extend(t.Context(), time.Minute, l.Token)),
		"MarkRoots": second(b.MarkRoots(t.Context(), jobqueue.Mark{Name: queue, Key: "page", Time: time.Now()})),
		"Counts":    second(b.Counts(t.Context())),
		"Requeue":   second(b.Requeue(t.Context(), jobqueue.Filter{})),
		"SetValue":  third(b.SetValue(t.Context(), jobqueue.Value{Key: "key", Data: []byte("1"), TTL: time.Minute})),
		"Charge":    second(b.Charge(t.Context(), jobqueue.Charge{Key: "rate", Items: 1, PerSecond: 1})),
		"Holder":    second(b.OldestSnapshot(t.Context(), time.Minute)),
		"Maintain":  second(b.Maintain(t.Context())),
		"Delete":    second(b.Delete(t.Context(), jobqueue.Filter{States: jobqueue.States()})),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, err := range b.Ready(t.Context()) {
		t.Errorf("Ready: %v", err)
	}
	if _, err := b.Wait(t.Context()); err != nil {
		t.Errorf("Wait: %v", err)
	}
	undo := postgres.AddMigration("create table added (n integer)")
	defer undo()
	if err := postgres.Migrate(t.Context(), as, o); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Migrate by somebody who may not = %v, want %v", err, jobqueue.ErrInvalid)
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }
