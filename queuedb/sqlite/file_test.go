package sqlite_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

func TestOpenRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"another program", func(t *testing.T, path string) {
			execute(t, raw(t, path), "create table page (id integer primary key)")
		}, "belongs to another program"},
		{"another application id", func(t *testing.T, path string) {
			execute(t, raw(t, path), "pragma application_id = 7")
		}, "belongs to another program"},
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o666); err != nil {
				t.Fatal(err)
			}
		}, "is not an SQLite file"},
		{"a newer program", func(t *testing.T, path string) {
			openFile(t, path, nil)
			execute(t, raw(t, path), "update meta set format = 1000, oldest = 999")
		}, "needs a newer program"},
		{"a format there is not", func(t *testing.T, path string) {
			openFile(t, path, nil)
			execute(t, raw(t, path), "update meta set format = 0")
		}, "format 0"},
		{"an older format", func(t *testing.T, path string) {
			openFile(t, path, nil)
			t.Cleanup(sqlite.AddMigration("alter table meta add column note text;"))
		}, "migrate it first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newFile(t)
			test.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := sqlite.Open(path, nil)
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open = %v, want one line that says %q", err, test.want)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("Open changed the file")
			}
		})
	}
}

func TestOpenNowhere(t *testing.T) {
	for _, path := range []string{"", ":memory:", t.TempDir() + "/none/jobs.db"} {
		if b, err := sqlite.Open(path, nil); err == nil {
			b.Close()
			t.Errorf("Open(%q) succeeded", path)
		}
	}
}

// TestOldestAllowed checks that a newer format is used if it says that this program may.
func TestOldestAllowed(t *testing.T) {
	path := newFile(t)
	openFile(t, path, nil)
	execute(t, raw(t, path), "update meta set format = 1000")
	push(t, openFile(t, path, nil), records(1)...)
}

func TestMigrate(t *testing.T) {
	ctx := t.Context()
	path := newFile(t) + " with % and ? in it.db"
	newest := len(sqlite.Migrations())
	status := func(want sqlite.Status) {
		t.Helper()
		got, err := sqlite.MigrationStatus(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("MigrationStatus (-want +got):\n%s", d)
		}
	}
	status(sqlite.Status{Newest: newest})
	if _, err := os.Stat(path); err == nil {
		t.Error("MigrationStatus made the file")
	}
	for range 2 {
		if err := sqlite.Migrate(ctx, path); err != nil {
			t.Fatal(err)
		}
		status(sqlite.Status{Format: newest, Oldest: 1, Newest: newest})
	}
	b := openFile(t, path, nil)
	push(t, b, records(1)...)
	if c := counts(t, b); c.Ready != 1 {
		t.Errorf("Counts = %+v, want 1 ready", c)
	}
}

// TestMigrateOlder checks that a file with jobs in it reaches the next format and keeps them.
func TestMigrateOlder(t *testing.T) {
	path := newFile(t)
	old := openFile(t, path, nil)
	push(t, old, records(2)...)
	defer sqlite.AddMigration("alter table meta add column note text;\nupdate meta set note = 'new';\n")()
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.MigrationStatus(t.Context(), path)
	if err != nil || s.Pending() != 0 || s.Format != len(sqlite.Migrations()) {
		t.Errorf("MigrationStatus = %+v, %v", s, err)
	}
	// A program that has the file open goes on.
	if got := len(pop(t, old, 1)) + len(pop(t, openFile(t, path, nil), 1)); got != 2 {
		t.Errorf("Pop returned %d jobs, want 2", got)
	}
	// A step that fails changes nothing.
	defer sqlite.AddMigration("alter table meta add column other text; select from nowhere")()
	if err := sqlite.Migrate(t.Context(), path); err == nil {
		t.Error("Migrate succeeded")
	}
	if again, err := sqlite.MigrationStatus(t.Context(), path); err != nil || again.Format != s.Format {
		t.Errorf("MigrationStatus = %+v, %v, want format %d", again, err, s.Format)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	execute(t, raw(t, path), "create trigger full before insert on job begin select raise(abort, 'stop'); end")
	if _, err := b.Push(t.Context(), [16]byte{1}, records(1)); err == nil {
		t.Error("Push succeeded against a trigger")
	}
	// The statements of a call that failed leave nothing behind.
	if c := counts(t, b); c.Total() != 0 {
		t.Errorf("Counts = %+v, want none", c)
	}
}

// TestFull checks that a full disk is reported, that what is there can be
// settled, and that everything goes on when there is room.
func TestFull(t *testing.T) {
	b := openFile(t, newFile(t), nil)
	rs := records(1000)
	push(t, b, rs[:10]...)
	cs := pop(t, b, 10)
	if err := b.LimitPages(40); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Push(t.Context(), [16]byte{1}, rs); !errors.Is(err, jobqueue.ErrUnavailable) || !strings.Contains(err.Error(), "no room left") {
		t.Errorf("Push = %v, want %v: no room left", err, jobqueue.ErrUnavailable)
	}
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, cs...)...); len(lost) > 0 {
		t.Errorf("Settle lost %v", lost)
	}
	if c := counts(t, b); c.Total() != 0 {
		t.Errorf("Counts = %+v, want none", c)
	}
	if err := b.LimitPages(100_000); err != nil {
		t.Fatal(err)
	}
	push(t, b, rs...)
}

func TestView(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	rs := records(4)
	rs[3].Delay = 1e12
	push(t, b, rs...)
	cs := pop(t, b, 2)
	settle(t, b, outcomes(jobqueue.ActionAbandon, cs[0])...)
	rows, err := raw(t, path).Query("select id, domain, type, state, params from jobs order by id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got [][5]string
	for rows.Next() {
		var r [5]string
		if err := rows.Scan(&r[0], &r[1], &r[2], &r[3], &r[4]); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	var want [][5]string
	for i, state := range []string{"abandoned", "claimed", "ready", "delayed"} {
		want = append(want, [5]string{string(rune('1' + i)), queue.Domain, queue.Type, state, string(rs[i].Params)})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("jobs (-want +got):\n%s", d)
	}
}

func TestClosed(t *testing.T) {
	b, err := sqlite.Open(newFile(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	ctx := context.Background()
	if _, err := b.Push(ctx, [16]byte{1}, records(1)); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Push = %v, want %v", err, jobqueue.ErrUnavailable)
	}
	if _, err := b.Counts(ctx); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Counts = %v, want %v", err, jobqueue.ErrUnavailable)
	}
	if _, err := b.Wait(ctx); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait = %v, want %v", err, jobqueue.ErrUnavailable)
	}
}
