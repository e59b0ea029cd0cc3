package postgres_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// TestAbandonedCostNothing checks that claims touch as many buffers of each table beside very many abandoned jobs as
// beside few, by queue and by id. The planner looks at each index once.
func TestAbandonedCostNothing(t *testing.T) {
	many := 200_000
	if _, asked := os.LookupEnv("SOAK"); asked {
		many = 1_000_000
	}
	var few, got map[string]int64
	var low, high int64
	// How often a claim looks depends on the time that looks take, which others on the machine make differ.
	for tries := 0; tries == 0 || tries < 5 && !cmp.Equal(few, got); tries++ {
		few, low = claimBeside(t, 1000)
		got, high = claimBeside(t, many)
	}
	t.Logf("buffers that claims touch: %v", got)
	if d := cmp.Diff(few, got); d != "" || got["ready"] == 0 || got["job"] == 0 {
		t.Errorf("claims touch %v beside 1,000 abandoned jobs and beside %d (-before +after):\n%s", few, many, d)
	}
	if high <= low {
		t.Errorf("to find an abandoned job takes %d and %d buffers, so the test shows nothing", low, high)
	}
}

// claimBeside returns how many buffers of each table a process touches for a claim of 10 jobs and of one by its
// id, beside so many abandoned jobs, and how many to find one of these.
func claimBeside(t *testing.T, abandoned int) (claims map[string]int64, find int64) {
	schema := newSchema(t)
	c := raw(t, schema)
	run := func(text string, args ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), text, args...); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	at := time.Now()
	// start opens a backend for which the last sweep is never too long ago.
	start := func() *postgres.Backend {
		b, err := postgres.Open(t.Context(), with("application_name", schema), &postgres.Options{Schema: schema, Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		b.StopClock(at)
		return b
	}
	run("alter table abandoned set (autovacuum_enabled = off)") // It would count.
	b := start()
	settle(t, b, outcomes(jobqueue.ActionDone, popAll(t, b)...)...)
	run(`insert into abandoned (job, queue, prune_at, pushed, params, error)
		select 1000000 + i, 1, 9000000000000000 + i, 1, '{}', 'no route' from generate_series(1, $1::int) i`, abandoned)
	run("analyze")
	pushed := push(t, b, records(11)...)
	buffers(t, c, b, schema)
	before := touchedEach(t, c)

	b = start()
	if cs := pop(t, b, 10); len(cs) != 10 {
		t.Fatalf("Pop = %d jobs, want 10", len(cs))
	}
	if cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: queue, ID: pushed[10].ID}); err != nil || len(cs) != 1 {
		t.Fatalf("Pop = %d jobs, %v, want one", len(cs), err)
	}
	buffers(t, c, b, schema)
	after := touchedEach(t, c)
	claims = map[string]int64{}
	for name, n := range after {
		claims[name] = n - before[name]
	}
	delete(claims, "claim") // Some pops also forget old claims.
	run("select from abandoned where job = 1000001")
	touched(t, c)
	return claims, touchedEach(t, c)["abandoned"] - after["abandoned"]
}

// touchedEach is touched for each table.
func touchedEach(t testing.TB, c *pgx.Conn) map[string]int64 {
	t.Helper()
	rows, _ := c.Query(t.Context(), `select relname::text, (heap_blks_read + heap_blks_hit + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0))::bigint
		from pg_statio_user_tables where schemaname = current_schema()`)
	each := map[string]int64{}
	var name string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { each[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return each
}
