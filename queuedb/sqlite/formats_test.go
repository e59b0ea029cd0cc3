package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/cli"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// steps are migrations of builds to come: the first adds something, which
// programs need not know of, and the second takes something away from those that do not know the first.
var steps = []string{
	"alter table job add column note text; create table note (job integer primary key, text text) strict;",
	"drop view jobs; update meta set oldest = %d;",
}

// build makes this program a build with the first n of the steps.
func build(n int) (undo func()) {
	undo = func() {}
	for i, text := range steps[:n] {
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, len(sqlite.Migrations())-i+1)
		}
		remove, before := sqlite.AddMigration(text), undo
		undo = func() {
			remove()
			before()
		}
	}
	return undo
}

// commands is the child that is a build with so many steps: its arguments begin with runjobs or jobctl.
func commands() int {
	n, err := strconv.Atoi(os.Getenv("JOBQUEUE_TEST_STEPS"))
	if err != nil {
		panic(err)
	}
	build(n)
	starts, err := os.OpenFile(os.Getenv("JOBQUEUE_TEST_FILE"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	app := cli.App{Register: func(reg *jobqueue.Registry, _ *jobqueue.Group) error {
		reg.Add(func() jobqueue.Job { return &noted{starts: starts} }, jobqueue.Policy{Lease: time.Second})
		return nil
	}}
	command := cli.JobCtl(app)
	if os.Args[1] == "runjobs" {
		command = cli.RunJobs(app)
	}
	command.SetArgs(os.Args[2:])
	return cli.Execute(command)
}

// noted writes down that it was started.
type noted struct{ starts *os.File }

func (*noted) Type() string { return queue.Type }

func (j *noted) Run(ctx context.Context) error {
	_, err := fmt.Fprintln(j.starts, jobqueue.FromContext(ctx).ID)
	<-time.After(time.Millisecond)
	return err
}

// A program is a build of some format, whose processes note their jobs in one file.
type program struct {
	dir    string
	steps  int
	starts string
}

func (p *program) start(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	p.starts = filepath.Join(p.dir, fmt.Sprintf("starts.%d", p.steps))
	cmd = command(t, "commands", p.starts)
	cmd.Env = append(cmd.Env, fmt.Sprintf("JOBQUEUE_TEST_STEPS=%d", p.steps), "GORACE=atexit_sleep_ms=0")
	cmd.Args = append(cmd.Args, args...)
	cmd.Dir = p.dir
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			cmd.Wait()
			t.Logf("%v: %v\n%s", args, cmd.ProcessState, stderr)
		}
	})
	return cmd, stdout, stderr
}

// fails runs a command that must fail with one line.
func (p *program) fails(t *testing.T, status int, says string, args ...string) {
	t.Helper()
	cmd, _, stderr := p.start(t, args...)
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != status || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), says) {
		t.Errorf("%v ends with %d, %q, want %d and one line that says %q", args, got, stderr, status, says)
	}
}

// does runs a command that must work.
func (p *program) does(t *testing.T, args ...string) {
	t.Helper()
	cmd, _, stderr := p.start(t, args...)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v, %s", args, err, stderr)
	}
}

// started counts the starts of each job by this build's runners.
func (p *program) started(t *testing.T, jobs map[string]int) (n int) {
	t.Helper()
	text, err := os.ReadFile(p.starts)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for id := range strings.Lines(string(text)) {
		jobs[strings.TrimSpace(id)]++
		n++
	}
	return n
}

// An ended is what a runner says of itself in the end.
type ended struct {
	Reached, Error string
	Counts         struct{ Done, Failed, Abandoned, Lost, Unsettled int }
}

func result(t *testing.T, stdout *bytes.Buffer) (e ended) {
	t.Helper()
	if err := json.Unmarshal(stdout.Bytes(), &e); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	return e
}

// number returns what a query finds.
func number(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFormats lets builds of three formats share a file that is migrated while they run jobs.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jobs.db")
	b := openFile(t, path, &sqlite.Options{Relaxed: true})
	db, format := raw(t, path), len(sqlite.Migrations())
	older, newer, newest := &program{dir: dir}, &program{dir: dir, steps: 1}, &program{dir: dir, steps: 2}
	pushed := 0
	feed := func(until func() bool) {
		t.Helper()
		for begin := time.Now(); !until(); runtime.Gosched() {
			if time.Since(begin) > time.Minute {
				t.Fatalf("waited for a minute: %d pushed, %d and %d started", pushed, older.started(t, map[string]int{}), newer.started(t, map[string]int{}))
			}
			if counts(t, b).Ready < 2000 {
				push(t, b, records(500)...)
				pushed += 500
			}
		}
	}
	first, firstOut, firstErr := older.start(t, "runjobs", "--wait", "--result", "json")
	feed(func() bool { return older.started(t, map[string]int{}) > 1000 })

	// A build that needs more waits for the migration, and changes nothing before.
	newer.fails(t, 2, "migrate it first", "runjobs", "--wait")
	newer.does(t, "jobctl", "migrate", "up")
	second, secondOut, secondErr := newer.start(t, "runjobs", "--wait", "--result", "json")
	before := older.started(t, map[string]int{})
	feed(func() bool {
		return pushed > 5000 && older.started(t, map[string]int{}) > before+1000 && newer.started(t, map[string]int{}) > 1000
	})
	until(t, "the jobs to be done", func() bool { return counts(t, b).Total() == 0 })
	seen := map[string]int{}
	if n := older.started(t, seen) + newer.started(t, seen); n != pushed || len(seen) != pushed {
		t.Errorf("%d starts of %d jobs, want one of each of %d", n, len(seen), pushed)
	}

	// Once something is taken away, the oldest build stops by itself.
	says := fmt.Sprintf("needs a newer program, which knows format %d; this one knows formats up to %d", format+1, format)
	feed(func() bool {
		return number(t, db, "select count(*) from claim where expires is not null and owner like ?", fmt.Sprintf("%%:%d", first.Process.Pid)) > 0
	})
	newest.does(t, "jobctl", "migrate", "up")
	if _, err := b.Push(t.Context(), uuid.New(), records(1)); !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), says) {
		t.Errorf("Push = %v, want that the file %s", err, says)
	}
	defer time.AfterFunc(time.Minute, func() { first.Process.Kill() }).Stop()
	first.Wait()
	lines := strings.Split(strings.TrimSpace(firstErr.String()), "\n")
	if status := first.ProcessState.ExitCode(); status != 2 || !strings.Contains(lines[len(lines)-1], says) {
		t.Errorf("the old runner ends with %d, %s, want 2 and that the file %s", status, firstErr, says)
	}
	if len(lines) > 15 {
		t.Errorf("the old runner says %d lines:\n%s", len(lines), firstErr)
	}
	older.fails(t, 2, says, "runjobs", "--wait")
	older.fails(t, 2, says, "jobctl", "push", "--type", "null")

	// What it had in hand comes back to the others.
	until(t, "the jobs to be done", func() bool { return number(t, db, "select count(*) from job") == 0 })
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Fatalf("the new runner: %v, %s", err, secondErr)
	}
	one, two := result(t, firstOut), result(t, secondOut)
	t.Logf("%d jobs; old %+v; new %+v", pushed, one, two)
	clear(seen)
	n := older.started(t, seen) + newer.started(t, seen)
	if len(seen) != pushed {
		t.Errorf("%d jobs started, want %d", len(seen), pushed)
	}
	if n > pushed+one.Counts.Unsettled {
		t.Errorf("%d starts of %d jobs, of which %d were in hand when the old runner ended", n, pushed, one.Counts.Unsettled)
	}
	if one.Counts.Done+two.Counts.Done != pushed || one.Reached != "exception" {
		t.Errorf("%d and %d done, want %d in all, the old one by an exception", one.Counts.Done, two.Counts.Done, pushed)
	}
	if c := two.Counts; c.Failed+c.Abandoned+c.Lost+c.Unsettled > 0 {
		t.Errorf("the new runner: %+v", two)
	}
}
