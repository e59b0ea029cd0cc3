package cli_test

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuememory"
)

// abandon leaves so many abandoned jobs in the file jobs.db, and returns its backend.
func abandon(t *testing.T, n int) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open("jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	g := jobqueue.NewGroup("default", jobqueue.Routes{Default: b})
	for range n {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "null"}); err != nil {
			t.Fatal(err)
		}
	}
	lease := jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}
	claims, err := g.Pop(t.Context(), lease, jobqueue.Want{Name: jobqueue.Name{Domain: "default", Type: "null"}, Max: n})
	if err != nil || len(claims) != n {
		t.Fatalf("Pop = %d claims, %v, want %d", len(claims), err, n)
	}
	for _, c := range claims {
		if err := g.Settle(t.Context(), jobqueue.Outcome{Claim: c, Do: jobqueue.ActionAbandon, Err: "no"}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// checks runs check, which must end with a status and say this.
func checks(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	got, stdout, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader(""), append([]string{"check"}, args...)...)
	if got != status || !strings.Contains(stdout, want) || stderr != "" {
		t.Errorf("check %s: status %d, want %d with %q\n%s%s", args, got, status, want, stdout, stderr)
	}
}

// The number of abandoned jobs is noted every five minutes, for an hour.
func TestCheckNotes(t *testing.T) {
	t.Chdir(t.TempDir())
	b := abandon(t, 5)
	for range 2 {
		checks(t, 0, "'growth'=0;0;", "--max-growth=0")
		notes, err := b.Values(t.Context(), "check/abandoned/")
		if err != nil || len(notes) != 1 || string(notes[0].Data) != "5" || notes[0].TTL > time.Hour || notes[0].TTL < 59*time.Minute {
			t.Errorf("Values = %+v, %v, want one of 5 that lives for an hour", notes, err)
		}
	}
}

// Growth is that over the least of the hour, since some may have been requeued meanwhile.
func TestCheckGrowth(t *testing.T) {
	t.Chdir(t.TempDir())
	b := abandon(t, 5)
	for key, data := range map[string]string{"a": "7", "b": "3", "c": "4", "d": "of another version"} {
		if _, _, err := b.SetValue(t.Context(), jobqueue.Value{Key: "check/abandoned/" + key, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	checks(t, 0, "'growth'=2;2;", "--max-growth=2")
	checks(t, 1, "WARNING: 2 more abandoned jobs than 0s ago, over 1 |", "--max-growth=1")
}

// A store that takes no notes takes no jobs either.
func TestCheckCannotNote(t *testing.T) {
	t.Chdir(t.TempDir())
	abandon(t, 1)
	db, err := sql.Open("sqlite", "jobs.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "create trigger refuse before insert on value begin select raise(abort, 'no room'); end"); err != nil {
		t.Fatal(err)
	}
	checks(t, 2, "CRITICAL: the default backend cannot be written to: ")
}

// Nor does a process that writes and does not come to an end keep the check from its answer.
func TestCheckHeldUp(t *testing.T) {
	t.Chdir(t.TempDir())
	abandon(t, 1)
	db, err := sql.Open("sqlite", "file:jobs.db?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	checks(t, 2, "CRITICAL: the default backend cannot be written to: ")
}

// What cannot be told does not hide what is known to be critical.
func TestCheckCriticalFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	b := abandon(t, 1)
	if _, err := jobqueue.NewGroup("default", jobqueue.Routes{Default: b}).Push(t.Context(), jobqueue.Spec{Type: "null"}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "jobs.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "drop table abandoned"); err != nil {
		t.Fatal(err)
	}
	checks(t, 2, "CRITICAL: no live runner, of 0, runs default/null; backend jobs.db: invalid: ")
	checks(t, 3, "UNKNOWN: backend jobs.db: invalid: ", "--no-runners")
}

// A deaf store heeds no context.
type deaf struct {
	*queuememory.Backend
	ear chan struct{}
}

func (b *deaf) Ready(context.Context, ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	<-b.ear
	return func(func(jobqueue.Backlog, error) bool) {}
}

// A store that does not answer is named in time, and hides nothing of the others.
func TestCheckAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, three := newSlow(), newSlow(), &deaf{queuememory.New(), make(chan struct{})}
		defer close(three.ear)
		put(t, one, "default", "null", 1)
		two.hangs.Store(true)
		begun := time.Now()
		got := cli.Check(t.Context(), 5*time.Second, config.Store{Name: "one", Backend: one}, config.Store{Name: "two", Backend: two}, config.Store{Name: "three", Backend: three})
		for _, want := range []string{"backend two: no answer for 5s: ", "backend three: no answer for 5s: ", "no handler for null"} {
			if !strings.Contains(got, want) {
				t.Errorf("check says %q, want %q", got, want)
			}
		}
		if strings.Count(got, "backend two") != 1 {
			t.Errorf("check says %q, two twice", got)
		}
		if took := time.Since(begun); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A farm that cannot even be opened is UNKNOWN in time, whatever its store does.
func TestCheckTimeout(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // It accepts nothing, and says nothing.
	for name, url := range map[string]string{"postgres": "postgres://u@" + l.Addr().String() + "/x?sslmode=disable", "redis": "redis://" + l.Addr().String()} {
		farm := fmt.Sprintf("backends: {main: {kind: %s, url: %q}}\n", name, url)
		if err := os.WriteFile("farm.yaml", []byte(farm), 0o600); err != nil {
			t.Fatal(err)
		}
		checks(t, 3, "JOBQUEUE UNKNOWN: ", "--config=farm.yaml", "--timeout=1s")
	}
	if got, _, stderr := execute(cli.JobCtl(cli.App{}), strings.NewReader(""), "check", "--timeout=0"); got != 3 || !strings.Contains(stderr, "from 1s on") {
		t.Errorf("check --timeout=0: status %d, %s", got, stderr)
	}
}
