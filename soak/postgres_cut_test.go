//go:build unix

package soak_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
)

// TestPostgresLateCommit keeps a transaction that has pushed a job open while many others are pushed and run: its job
// is found though it stands before them, whether or not there is a backlog.
func TestPostgresLateCommit(t *testing.T) {
	_, asked := span(t)
	open, times := time.Duration(0), 2
	if asked {
		open, times = 5*time.Second, 5
	}
	depths := map[string]int{"idle": 0, "backlog": 5000} // ready jobs meanwhile
	if asked {
		depths["large backlog"] = 100_000
	}
	for name, depth := range depths {
		t.Run(name, func(t *testing.T) {
			takes, times := time.Millisecond, times
			if depth > 5000 {
				// Once: what is pushed later stands behind what is left.
				takes, times = 5*time.Millisecond, 1
			}
			d := newDatabase(t, 10*time.Second)
			c, err := pgx.Connect(t.Context(), d.server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			var waits []time.Duration
			r := d.runner(0)
			slow := func(_ int, j *note) { j.Takes = takes }
			for range times {
				tx, err := c.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				pushed := time.Now()
				p, err := d.backend.PushTx(t.Context(), tx, d.group, jobqueue.Spec{Job: &note{Pushed: pushed, Text: fmt.Sprint("late ", len(waits))}})
				if err != nil {
					t.Fatal(err)
				}
				before := r.count(t, map[string]int{})
				keep := func(ready int) {
					if ready <= depth/2 {
						d.push(depth, slow)
					}
				}
				d.push(1000, nil)
				keep(0)
				await(t, d.group, func(c jobqueue.Counts) bool {
					keep(c.Ready)
					passed := depth == 0 && c.Total() == 0 || depth > 0 && r.count(t, map[string]int{})-before > 2000
					return passed && time.Since(pushed) >= open
				})
				if r.started(t, p[0].ID) > 0 {
					t.Fatal("a job ran before its transaction was committed")
				}
				if err := tx.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				committed := time.Since(pushed)
				await(t, d.group, func(c jobqueue.Counts) bool {
					keep(c.Ready)
					return r.started(t, p[0].ID) > 0
				})
				waits = append(waits, r.started(t, p[0].ID)-committed)
			}
			t.Logf("started after the commit: %v", waits)
			if asked && slices.Max(waits) > time.Second {
				t.Error("it must be a second at most")
			}
			if res := r.stop(t); res.Counts.Failed+res.Counts.Lost+res.Counts.Unsettled > 0 {
				t.Errorf("%+v\n%s", res.Counts, r.stderr.String())
			}
		})
	}
}

// TestPostgresTerminated cuts all connections of two runners again and again: no lease is lost, no job runs twice or fails.
func TestPostgresTerminated(t *testing.T) {
	length, asked := span(t)
	cuts := 3
	if asked {
		cuts = max(20, int(length/time.Second))
	}
	d := newDatabase(t, 5*time.Second)
	c, err := pgx.Connect(t.Context(), d.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	runners := []*runner{d.runner(0), d.runner(1)}
	cut, every := 0, time.NewTicker(time.Second)
	defer every.Stop()
	for range cuts {
		if n := backlog(t, d.group); n < 4000 {
			d.push(4000-n, func(i int, j *note) { j.Takes = time.Duration(i%20) * time.Millisecond })
		}
		await(t, d.group, func(c jobqueue.Counts) bool { return c.Claimed > 0 })
		var n int
		err := c.QueryRow(t.Context(), "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'runner %'").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		cut += n
		<-every.C
	}
	d.idle()
	seen, starts := map[string]int{}, 0
	for _, r := range runners {
		if res := r.stop(t); res.Counts.Failed+res.Counts.Lost+res.Counts.Unsettled > 0 {
			t.Errorf("%+v, want none failed or lost\n%s", res.Counts, r.stderr.String())
		}
		starts += r.count(t, seen)
	}
	t.Logf("%d jobs, %d starts, %d connections cut in %d seconds", d.pushed, starts, cut, cuts)
	if cut < 2*cuts {
		t.Errorf("%d connections were cut, want at least 2 each time", cut)
	}
	if starts != d.pushed || len(seen) != d.pushed {
		t.Errorf("%d starts of %d jobs, want each of %d once", starts, len(seen), d.pushed)
	}
	if all := d.abandoned(); len(all) > 0 {
		t.Errorf("%d abandoned, such as %+v", len(all), all[0])
	}
}

// TestPostgresPooler has a runner behind a PgBouncer that gives connections to transactions: it says once that it
// cannot be woken, and finds its jobs all the same.
func TestPostgresPooler(t *testing.T) {
	const lease = 10 * time.Second
	d := newDatabase(t, lease)
	p, err := d.server.Pool("transaction", 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	d.connect(p.URL, lease)
	r := d.runner(0)
	begin := time.Now()
	await(t, d.group, func(c jobqueue.Counts) bool {
		if c.Total() == 0 {
			d.push(1, nil)
		}
		return time.Since(begin) > 6*time.Second // It takes five to find out.
	})
	d.idle()
	res := r.stop(t)
	t.Logf("%d jobs; %s", d.pushed, r.stderr.String())
	if res.Counts.Done != d.pushed || res.Counts.Lost > 0 || strings.Count(r.stderr.String(), "store cannot wake runners") != 1 {
		t.Errorf("%+v of %d jobs, want one line that it cannot be woken:\n%s", res.Counts, d.pushed, r.stderr.String())
	}
}
