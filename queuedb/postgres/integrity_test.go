package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// with is the server's URL with a setting.
func with(key, value string) string {
	sign := "?"
	if strings.Contains(server.URL, "?") {
		sign = "&"
	}
	return server.URL + sign + key + "=" + value
}

// raw opens a connection to a schema with nothing but the driver.
func raw(t testing.TB, schema string) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.RuntimeParams["search_path"] = schema
	k, err := pgx.ConnectConfig(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close(context.Background()) })
	return k
}

// wrong selects everything that must not be in the tables at any instant, and why.
const wrong = `
with held as (
  select unnest(held) as job, token from claim where expires is not null
), place as (
  select job, 'ready' as place from ready
  union all select job, 'later' from later
  union all select job, 'abandoned' from abandoned
  union all select job, 'claim' from held
)
select 'job ' || job || ' is in ' || string_agg(place, ', ') from place group by job having count(*) > 1
union all
select 'job ' || id || ' is nowhere' from job where id not in (select job from place)
union all
select 'job ' || id || ' is abandoned and in job' from job where id in (select job from abandoned)
union all
select 'abandoned job ' || job || ' has no parameters' from abandoned where params is null or pushed is null
union all
select 'job ' || job || ', which does not exist, is in ' || place
from place where place <> 'abandoned' and job not in (select id from job)
union all
select 'job ' || r.job || ' is ready at ' || r.position || ' and says ' || coalesce(j.position, j.id)
from ready r join job j on j.id = r.job where r.position <> coalesce(j.position, j.id) or r.queue <> j.queue
union all
select 'a digest is held by job ' || d.job || ', which is in ' || coalesce(p.place, 'no place')
from dedupe d left join place p on p.job = d.job where p.place is null or p.place in ('claim', 'abandoned')
union all
select 'job ' || d.job || ' holds the digest of another'
from dedupe d join job j on j.id = d.job where j.digest is distinct from d.digest or j.queue <> d.queue
union all
select 'job ' || unnest(settled) || ' is settled and held' from claim where held && settled`

// integrity fails the test if the tables contradict each other.
func integrity(t testing.TB, c *pgx.Conn) {
	t.Helper()
	rows, _ := c.Query(context.Background(), wrong)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		if i == 10 {
			t.Errorf("and %d more", len(lines)-i)
			break
		}
		t.Error(line)
	}
}

// TestIntegrityNotices checks that integrity would notice.
func TestIntegrityNotices(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	push(t, b, records(5)...)
	settle(t, b, outcomes(jobqueue.ActionAbandon, pop(t, b, 1)...)...)
	pop(t, b, 1)
	c := raw(t, schema)
	integrity(t, c)
	for _, damage := range []string{
		"insert into later select job, queue, 1 from ready limit 1",
		"delete from ready where job = (select max(job) from ready)",
		"delete from job where id = (select min(job) from ready)",
		"with gone as (delete from ready where position = (select max(position) from ready) returning job, queue) " +
			"insert into abandoned (job, queue, pushed, params) select job, queue, 1, '{}' from gone",
		"update abandoned set params = null",
		"update ready set position = position + 5000 where job = (select min(job) from ready)",
		"insert into dedupe select queue, 'x', id from job where id not in (select job from ready) limit 1",
		"insert into dedupe select queue, 'x', job from ready limit 1",
		"update claim set settled = held",
	} {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), damage); err != nil {
			t.Fatalf("%s: %v", damage, err)
		}
		rows, _ := tx.Query(t.Context(), wrong)
		if lines, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(lines) == 0 {
			t.Errorf("after %s: %q, %v", damage, lines, err)
		}
		tx.Rollback(t.Context())
	}
}
