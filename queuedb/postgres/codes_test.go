package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/runner"
)

// nothing is a job that does nothing.
type nothing struct{ ran bool }

func (*nothing) Type() string { return queue.Type }

func (j *nothing) Run(context.Context) error {
	j.ran = true
	return nil
}

// Errors that the server raises in the middle of a push, a claim, a settlement or an extension are what they are for a
// caller, or are not seen by him at all; no job ever fails because of one.
func TestErrorsRaised(t *testing.T) {
	t.Parallel()
	const faults, jobs = 6, 40
	for code, want := range map[string]error{
		"40001": nil, "40P01": nil, // repeated
		"08006": jobqueue.ErrUnavailable, "08P01": jobqueue.ErrUnavailable,
		"53100": jobqueue.ErrUnavailable, "53200": jobqueue.ErrUnavailable, "53300": jobqueue.ErrUnavailable,
		"57P01": jobqueue.ErrUnavailable, "57P02": jobqueue.ErrUnavailable, "57P03": jobqueue.ErrUnavailable,
		"25006": jobqueue.ErrReadOnly,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			schema := newSchema(t)
			c := raw(t, schema)
			b := openSchema(t, &postgres.Options{Schema: schema, Relaxed: true})
			for _, text := range []string{
				"create sequence fault",
				"create function fault() returns trigger language plpgsql as $$ begin if nextval('fault') <= " + fmt.Sprint(faults) +
					" then raise exception 'made by a test' using errcode = '" + code + "'; end if; return new; end $$",
				"create trigger fault before insert or update on claim for each row execute function fault()",
				"create trigger fault before insert on push for each row execute function fault()",
			} {
				if _, err := c.Exec(t.Context(), text); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
			for id, n := uuid.New(), 0; ; n++ {
				_, err := b.Push(t.Context(), id, records(jobs))
				if err == nil {
					if want != nil && n != faults {
						t.Errorf("Push failed %d times, want %d", n, faults)
					}
					break
				}
				if want == nil || !errors.Is(err, want) || n > faults {
					t.Fatalf("Push = %v, want %v", err, want)
				}
			}
			if _, err := c.Exec(t.Context(), "select setval('fault', 1, false)"); err != nil {
				t.Fatal(err)
			}
			reg := &jobqueue.Registry{}
			reg.Add(func() jobqueue.Job { return &nothing{} }, jobqueue.Policy{})
			g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b, Policy: reg.Policy})
			done := 0
			for runs := 0; done < jobs && runs <= faults; runs++ {
				// Where the store takes no writes, a run may end.
				res, err := runner.Run(t.Context(), g, reg, &runner.Options{Workers: 4, Logger: slog.New(slog.DiscardHandler)})
				if err != nil && !errors.Is(err, want) {
					t.Fatal(err)
				}
				if done += res.Counts.Done; res.Counts.Failed > 0 || res.Counts.Lost > 0 {
					t.Errorf("%+v, want none failed or lost", res.Counts)
				}
			}
			var raised int
			if err := c.QueryRow(t.Context(), "select last_value from fault").Scan(&raised); err != nil || raised <= faults {
				t.Errorf("%d faults, %v, want %d", raised, err, faults)
			}
			if got := counts(t, b); done != jobs || got.Total() != 0 {
				t.Errorf("%d jobs are done, %+v are left, want %d and none", done, got, jobs)
			}
		})
	}
}

// A server that has no connection left is unavailable, until it has.
func TestErrorsConnect(t *testing.T) {
	t.Parallel()
	own, err := pgtest.Start("max_connections=4", "superuser_reserved_connections=0", "max_wal_senders=0", "autovacuum=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.Migrate(t.Context(), own.URL, nil); err != nil {
		t.Fatal(err)
	}
	b, err := postgres.Open(t.Context(), own.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var others []*postgres.Backend
	for len(others) < 10 {
		var o *postgres.Backend
		if o, err = postgres.Open(t.Context(), own.URL, nil); err != nil {
			break
		}
		others = append(others, o)
	}
	if !errors.Is(err, jobqueue.ErrUnavailable) || postgres.Code(err) != "53300" {
		t.Errorf("Open with all connections taken = %v, want 53300 as %v", err, jobqueue.ErrUnavailable)
	}
	for range 5 {
		// It has a connection, which is idle.
		if _, err := b.Counts(t.Context(), queue); err != nil {
			t.Errorf("Counts with all connections taken = %v", err)
		}
	}
	for _, o := range others {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
	// The server may still count those that are closed.
	until(t, "push", func() bool {
		_, err := b.Push(t.Context(), uuid.New(), records(1))
		if err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// What a role has as its defaults does not matter.
func TestRoleDefaults(t *testing.T) {
	schema := newSchema(t)
	admin := raw(t, schema)
	for _, text := range []string{
		"create role %[1]s superuser login",
		"alter role %[1]s set default_transaction_isolation = serializable",
		"alter role %[1]s set plan_cache_mode = force_custom_plan",
	} {
		if _, err := admin.Exec(t.Context(), fmt.Sprintf(text, schema)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { admin.Exec(context.Background(), "drop role "+schema) })
	b, err := postgres.Open(t.Context(), with("user", schema), &postgres.Options{Schema: schema, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	settle(t, b, outcomes(jobqueue.ActionDone, popAll(t, b)...)...)
	for range 20 {
		rs := records(2)
		rs[0].Delay = time.Hour
		push(t, b, rs...)
		if _, err := admin.Exec(t.Context(), "update later set release = (extract(epoch from clock_timestamp()) * 1000000)::bigint"); err != nil {
			t.Fatal(err)
		}
		if cs := pop(t, b, 2); len(cs) != 2 {
			t.Fatalf("Pop = %d jobs, want the one that was delayed as well", len(cs))
		}
	}
}
