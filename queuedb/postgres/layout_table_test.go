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

// A layout is a way to keep jobs in tables.
type layout struct {
	push  func([]jobqueue.Record) error
	claim func(n int) (settle func() error, err error) // exactly n jobs
	close func()
}

// ours is the backend as everybody uses it.
func ours(t testing.TB, url string, o *postgres.Options) layout {
	b, err := postgres.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return layout{
		push: func(rs []jobqueue.Record) error { return second(b.Push(t.Context(), uuid.New(), rs)) },
		claim: func(n int) (func() error, error) {
			cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: queue, Max: n})
			if err == nil && len(cs) != n {
				err = fmt.Errorf("claimed %d jobs, want %d", len(cs), n)
			}
			return func() error {
				lost, err := b.Settle(t.Context(), outcomes(jobqueue.ActionDone, cs...)...)
				if err == nil && len(lost) > 0 {
					err = fmt.Errorf("lost %d claims", len(lost))
				}
				return err
			}, err
		},
		close: func() { b.Close() },
	}
}

// Statements of the backend's own tables, for the plainest jobs, without the engine that keeps its rules.
const (
	bareNumber = "select nextval('number')"

	barePush = `
with added as (
  insert into job (id, queue, pushed, params)
  select $1::bigint + place - 1, 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint, params
  from unnest($2::bytea[]) with ordinality as t (params, place)
  returning id, queue, pushed
)
insert into ready (queue, position, job, since)
select queue, id, id, pushed
from added`

	bareClaim = `
with picked as materialized (
  select position, job, ctid as tuple
  from ready
  where queue = 1
    and position > $1
  order by position
  limit $2
  for update skip locked
), gone as (
  delete from ready
  where ctid = any(array(select tuple from picked))
), claimed as (
  insert into claim (token, owner, ttl, expires, held)
  select $3, 'bench', 60000000, (extract(epoch from clock_timestamp()) * 1000000)::bigint + 60000000, array_agg(job order by position)
  from picked
  having count(*) > 0
)
select p.position, j.id, j.pushed, j.tries, j.digest, j.root_key, j.root_time, j.headers, j.failures, j.expiries, j.error, j.params
from picked p
cross join lateral (select * from job where id = p.job offset 0) as j
order by p.position`

	bareSettle = `
with ended as (
  delete from claim
  where token = $2
    and expires is not null
  returning token
)
delete from job
where id = any($1)
  and exists (select from ended)`
)

// A bareRow is a job as bareClaim returns it.
type bareRow struct {
	Position, ID, Pushed int64
	Tries                *int64
	Digest               []byte
	RootKey              *string
	RootTime             *int64
	Headers              *string
	Failures, Expiries   int64
	Error                *string
	Params               []byte
}

// bare is the backend's tables through bare statements.
func bare(t testing.TB, url, schema string) layout {
	pushes, claims, end := pair(t, url, schema)
	var last int64
	return layout{
		push: func(rs []jobqueue.Record) error {
			params := make([][]byte, len(rs))
			for i := range rs {
				params[i] = rs[i].Params
			}
			var first int64
			if err := pushes.QueryRow(t.Context(), bareNumber).Scan(&first); err != nil {
				return err
			}
			return second(pushes.Exec(t.Context(), barePush, first, params))
		},
		claim: func(n int) (func() error, error) {
			token := uuid.New()
			rows, _ := claims.Query(t.Context(), bareClaim, last, n, token[:])
			jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[bareRow])
			if err == nil && len(jobs) != n {
				err = fmt.Errorf("claimed %d jobs, want %d", len(jobs), n)
			}
			ids := make([]int64, len(jobs))
			for i := range jobs {
				ids[i], last = jobs[i].ID, jobs[i].Position
			}
			return settling(t, claims, bareSettle, ids, token[:]), err
		},
		close: end,
	}
}

// settling returns what settles jobs.
func settling(t testing.TB, c *pgx.Conn, text string, ids []int64, token any) func() error {
	return func() error {
		done, err := c.Exec(t.Context(), text, ids, token)
		if err == nil && int(done.RowsAffected()) != len(ids) {
			err = fmt.Errorf("lost %d claims", len(ids)-int(done.RowsAffected()))
		}
		return err
	}
}

// pair opens two connections with the settings of the backend, for pushes and claims.
func pair(t testing.TB, url, schema string) (pushes, claims *pgx.Conn, end func()) {
	b, err := postgres.Open(t.Context(), url, &postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if pushes, err = b.Conn(t.Context()); err == nil {
		claims, err = b.Conn(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return pushes, claims, func() {
		pushes.Close(context.Background())
		claims.Close(context.Background())
	}
}

// oneTable is the layout that most queues in PostgreSQL have, as good as it gets: a narrow row, a partial index
// of what waits, one statement for each batch, and a token as the fence. What it lacks is in its
// favour: answers to repeated pushes and settlements, leases (a row for each runner would do), and an index to find the jobs of a runner that died.
const oneTable = `
create sequence one_number increment by 1000 minvalue 1 start with 1;
create table one (
  id bigint primary key,
  pushed bigint not null,
  run_at bigint not null,
  queue integer not null,
  failures smallint not null default 0,
  expiries smallint not null default 0,
  token uuid,
  tries integer,
  digest bytea,
  root_key text collate "C",
  root_time bigint,
  headers text,
  error text,
  params bytea not null
) with (fillfactor = %d);
create index one_waits on one (queue, run_at, id) where token is null;
create unique index one_digest on one (queue, digest) where token is null and digest is not null;`

// Statements of oneTable.
const (
	onePush = `
with number as materialized (select nextval('one_number') as first, (extract(epoch from clock_timestamp()) * 1000000)::bigint as now)
insert into one (id, pushed, run_at, queue, digest, params)
select first + place - 1, now, now + delay, queue, digest, params
from number, unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bytea[]) with ordinality as t (queue, delay, digest, params, place)
on conflict (queue, digest) where token is null and digest is not null do nothing`

	// A cursor begins behind what was claimed last; (0, 0) is none.
	oneClaim = `
with picked as materialized (
  select ctid as tuple
  from one
  where queue = $1
    and token is null
    and run_at <= (extract(epoch from clock_timestamp()) * 1000000)::bigint
    and (run_at, id) > ($2::bigint, $3::bigint)
  order by run_at, id
  limit $4
  for update skip locked
)
update one
set token = $5
where ctid = any(array(select tuple from picked))
returning id, pushed, run_at, tries, digest, root_key, root_time, headers, failures, expiries, error, params`

	oneSettle = "delete from one where id = any($1) and token = $2"
)

// A oneRow is a job of oneTable as a claim returns it.
type oneRow struct {
	ID, Pushed, RunAt  int64
	Tries              *int32
	Digest             []byte
	RootKey            *string
	RootTime           *int64
	Headers            *string
	Failures, Expiries int16
	Error              *string
	Params             []byte
}

// makeOneTable adds oneTable to a schema.
func makeOneTable(t testing.TB, schema string, fillfactor int) {
	t.Helper()
	text := fmt.Sprintf(oneTable, fillfactor)
	if _, err := raw(t, schema).PgConn().Exec(t.Context(), text).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// A cursor is what was claimed last.
type cursor struct{ runAt, id int64 }

// one is oneTable through its bare statements, on two connections with the backend's settings. With
// a cursor, which may be nil, each claim begins behind the one before.
func one(t testing.TB, url, schema string, from *cursor) layout {
	pushes, claims, end := pair(t, url, schema)
	var after cursor
	return layout{
		push: func(rs []jobqueue.Record) error {
			queues, delays := make([]int32, len(rs)), make([]int64, len(rs))
			digests, params := make([][]byte, len(rs)), make([][]byte, len(rs))
			for i := range rs {
				queues[i], delays[i], params[i] = 1, rs[i].Delay.Microseconds(), rs[i].Params
				if rs[i].Digest != (jobqueue.Digest{}) {
					digests[i] = rs[i].Digest[:]
				}
			}
			return second(pushes.Exec(t.Context(), onePush, queues, delays, digests, params))
		},
		claim: func(n int) (func() error, error) {
			token := uuid.New()
			if from != nil {
				after = *from
			}
			rows, _ := claims.Query(t.Context(), oneClaim, 1, after.runAt, after.id, n, [16]byte(token))
			jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[oneRow])
			if err == nil && len(jobs) != n {
				err = fmt.Errorf("claimed %d jobs, want %d", len(jobs), n)
			}
			ids := make([]int64, len(jobs))
			for i := range jobs {
				ids[i] = jobs[i].ID
				if j := (cursor{jobs[i].RunAt, jobs[i].ID}); from != nil && (j.runAt > from.runAt || j.runAt == from.runAt && j.id > from.id) {
					*from = j
				}
			}
			return settling(t, claims, oneSettle, ids, [16]byte(token)), err
		},
		close: end,
	}
}

// What the backend is compared with keeps the rules that a comparison needs: a delayed job waits, of equal
// jobs that wait there is one, a late settlement changes nothing, and its plans are by index.
func TestOneTable(t *testing.T) {
	schema := newSchema(t)
	makeOneTable(t, schema, 100)
	l := one(t, server.URL, schema, nil)
	defer l.close()
	rs := records(4)
	rs[1].Digest, rs[2].Digest, rs[3].Delay = digest(1), digest(1), time.Hour
	if err := l.push(rs); err != nil {
		t.Fatal(err)
	}
	settle, err := l.claim(2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.claim(1); err == nil {
		t.Error("a delayed job or a duplicate was claimed")
	}
	if err := l.push(rs[1:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := l.claim(1); err != nil {
		t.Errorf("an equal job of one that was claimed: %v", err)
	}
	c := raw(t, schema)
	if _, err := c.Exec(t.Context(), "update one set token = gen_random_uuid() where id = 1"); err != nil {
		t.Fatal(err)
	}
	if err := settle(); err == nil {
		t.Error("the claim of a job that somebody else has was settled")
	}
	b := openSchema(t, &postgres.Options{Schema: schema})
	k, err := b.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close(context.Background())
	for _, text := range []string{oneClaim, oneSettle} {
		lines := plan(t, k, text)
		for _, line := range bad("one", lines) {
			t.Errorf("%s: %s", text, line)
		}
	}
}
