package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// planner opens a connection of the backend's to tables with so many jobs, each in every place.
func planner(t *testing.T, jobs int) *pgx.Conn {
	t.Helper()
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	c, err := b.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	for _, text := range []string{
		"insert into queue (domain, type) select 'wiki' || i, 'type' from generate_series(1, $1::int) i",
		"insert into job (id, queue, pushed, params, digest) select i, 1 + i % 50, 1, '{}', int8send(i) from generate_series(1, $1::int) i",
		"insert into ready (queue, position, job, since) select queue, id, id, 1 from job where id <= $1::int",
		"insert into later (job, queue, release) select id, queue, 1 from job where id <= $1::int",
		"insert into abandoned (job, queue, prune_at, pushed, params) select id, queue, 1, 1, '{}' from job where id <= $1::int",
		"insert into dedupe (queue, digest, job) select queue, digest, id from job where id <= $1::int",
		"insert into claim (token, owner, ttl, expires, held) select int8send(i), '', 1, i, array[i] from generate_series(1, $1::int) i",
		"insert into root (queue, key, time, moved) select 1, 'key' || i, 1, 1 from generate_series(1, $1::int) i",
		"insert into push (id, at, answer) select int8send(i), i, '' from generate_series(1, $1::int) i",
		"insert into value (key, data, version, set_at, expires) select 'key' || i, '', 1, 1, i from generate_series(1, $1::int) i",
		"insert into hint (type, domain, version, since) select 'type' || i % 50, 'wiki' || i, i, i from generate_series(1, $1::int) i",
		"insert into hold (id, label, domain, type, since, count, jobs, ended) select int8send(i), 'l', 'd', 't', 1, 1, '', nullif(i, 1) from generate_series(1, $1::int) i",
		"insert into rate (key, booked) select 'key' || i, i from generate_series(1, $1::int) i",
	} {
		if _, err := c.Exec(t.Context(), text, jobs); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return c
}

// analyze has the server know how large the tables are.
func analyze(t *testing.T, c *pgx.Conn) {
	t.Helper()
	_, err := c.Exec(t.Context(), `do $$
		declare name text;
		begin
			for name in select tablename from pg_tables where schemaname = current_schema() loop
				execute format('analyze %I', name);
			end loop;
		end $$`)
	if err != nil {
		t.Fatal(err)
	}
}

// plan returns the plan of a statement for any arguments, a line each.
func plan(t *testing.T, c *pgx.Conn, text string) []string {
	t.Helper()
	d, err := c.Prepare(t.Context(), "planned", text)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Deallocate(t.Context(), "planned")
	execute := "explain (costs off) execute planned"
	if n := len(d.ParamOIDs); n > 0 {
		execute += "(" + strings.Repeat("null, ", n-1) + "null)"
	}
	rows, _ := c.Query(t.Context(), execute, pgx.QueryExecModeSimpleProtocol)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", execute, err)
	}
	return lines
}

// bad returns the lines of a plan that read a whole table, or two that they join.
func bad(name string, lines []string) (all []string) {
	for _, line := range lines {
		_, table, scans := strings.Cut(line, "Seq Scan on ")
		table, _, _ = strings.Cut(table, " ")
		joins := strings.Contains(line, "Hash Join") || strings.Contains(line, "Merge Join") || strings.Contains(line, "Hash Right") || strings.Contains(line, "Hash Left")
		if scans && name == "hint_all" && table == "hint" {
			continue // It returns all of it.
		}
		if joins || scans && table != "meta" && table != "sweep" && table != "number" {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// No statement reads a whole table, be the tables empty, small or large, and whether or not the server knows how large.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, jobs := range []int{0, 50, 50_000} {
		t.Run(fmt.Sprintf("%d jobs", jobs), func(t *testing.T) {
			t.Parallel()
			c := planner(t, jobs)
			goodPlans(t, c)
			analyze(t, c)
			goodPlans(t, c)
		})
	}
}

// goodPlans checks the plans of all statements.
func goodPlans(t *testing.T, c *pgx.Conn) {
	t.Helper()
	for name, text := range postgres.Statements {
		if text == "" {
			continue
		}
		lines := plan(t, c, text)
		for _, line := range bad(name, lines) {
			t.Errorf("%s: %s\n\t%s", name, line, strings.Join(lines, "\n\t"))
		}
	}
	hot := strings.Join(plan(t, c, postgres.Statements["pop"]), "\n")
	for _, part := range []string{"Tid Scan on ready", "Index Scan using job_pkey", "Index Scan using ready_pkey"} {
		if !strings.Contains(hot, part) {
			t.Errorf("pop has no %s:\n%s", part, hot)
		}
	}
}

// TestPlansNotice checks that TestPlans would notice.
func TestPlansNotice(t *testing.T) {
	c := planner(t, 50)
	analyze(t, c)
	for _, text := range []string{
		"select count(*) from job where pushed > $1::bigint",
		"select count(*) from job j left join claim c on c.ttl = j.pushed full join root r on r.time = j.tries",
	} {
		if len(bad("test", plan(t, c, text))) == 0 {
			t.Errorf("%s has a good plan", text)
		}
	}
}
