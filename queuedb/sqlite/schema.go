package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks a file as one of this package: "jobq".
const applicationID = 0x6a6f6271

// A Migration is one step from a format to the next.
type Migration struct {
	Format int    // that it leads to
	SQL    string // what is run, in one transaction
}

// Migrations returns every migration in order, for people to read.
func Migrations() []Migration { return slices.Clone(migrations) }

// migrations lead from an empty file to the format of this program, which is their number.
var migrations = func() []Migration {
	files, _ := fs.Glob(migrationFiles, "migrations/*.sql")
	all := make([]Migration, len(files))
	for i, f := range files {
		text, _ := migrationFiles.ReadFile(f)
		all[i] = Migration{Format: i + 1, SQL: string(text)}
	}
	return all
}()

// A Status says how a file and this program fit together.
type Status struct {
	Format int // of the file; 0 for a file that is new or empty
	Oldest int // the oldest format a program must know to use the file
	Newest int // the format of this program
}

// Pending returns how many migrations the file lacks.
func (s Status) Pending() int { return max(0, s.Newest-s.Format) }

// MigrationStatus returns the format of a file, which it does not change.
// A file that does not exist counts as empty. The file of another program is a
// [jobqueue.ErrInvalid].
func MigrationStatus(ctx context.Context, path string) (Status, error) {
	if err := ctx.Err(); err != nil {
		return Status{}, gone(ctx)
	}
	if info, err := os.Stat(path); os.IsNotExist(err) || err == nil && info.Size() == 0 && info.Mode().IsRegular() {
		return Status{Newest: len(migrations)}, nil
	}
	c, err := dial(path, existing, "busy_timeout(5000)", "query_only(1)")
	if err != nil {
		return Status{}, err
	}
	defer c.close()
	s, err := c.status(path)
	return s, classify(path, err)
}

// status returns the format of the file at one instant.
func (c *conn) status(path string) (s Status, err error) {
	if err := c.run("begin"); err != nil {
		return s, err
	}
	defer c.run("rollback")
	return c.statusNow(path)
}

// statusNow is status inside a transaction.
func (c *conn) statusNow(path string) (s Status, err error) {
	s.Newest = len(migrations)
	id, err := c.value("pragma application_id")
	if err != nil {
		return s, err
	}
	objects, err := c.value("select count(*) from sqlite_schema")
	if err != nil {
		return s, err
	}
	if id == 0 && objects == 0 {
		return s, nil
	}
	if id != applicationID {
		return s, fmt.Errorf("%w: %s belongs to another program", jobqueue.ErrInvalid, path)
	}
	f, err := c.value("select format from meta")
	if err != nil {
		return s, err
	}
	oldest, err := c.value("select oldest from meta")
	if s.Format, s.Oldest = int(f), int(oldest); err == nil && s.Format < 1 {
		err = fmt.Errorf("%w: %s has format %d, which there is not", jobqueue.ErrInvalid, path, s.Format)
	}
	return s, err
}

// check returns an error unless this program may use a file of that status.
func (s Status) check(path string) error {
	switch {
	case s.Format < s.Newest:
		return fmt.Errorf("%w: %s has format %d and this program needs %d; migrate it first", jobqueue.ErrInvalid, path, s.Format, s.Newest)
	case s.Oldest > s.Newest:
		return fmt.Errorf("%w: %s needs a newer program, which knows format %d; this one knows formats up to %d",
			jobqueue.ErrInvalid, path, s.Oldest, s.Newest)
	}
	return nil
}

// Migrate brings a file to the format of this program, and makes it if there is none. Each step is
// one transaction, those that make a new file are one together; programs may use the file meanwhile.
func Migrate(ctx context.Context, path string) error {
	c, err := dial(path, created, "busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer c.close()
	return classify(path, c.migrate(ctx, path))
}

// migrate runs what a file lacks, and checks that it fits then.
func (c *conn) migrate(ctx context.Context, path string) error {
	s, err := c.status(path)
	if err != nil {
		return err
	}
	if s.Format == 0 {
		// The journal mode is kept in the file and cannot change in a transaction.
		if err := patiently(func() error { return c.run("pragma journal_mode = wal") }); err != nil {
			return err
		}
	}
	for s.Format < s.Newest {
		if err := ctx.Err(); err != nil {
			return gone(ctx)
		}
		if err := c.step(path); err != nil {
			return err
		}
		if s, err = c.status(path); err != nil {
			return err
		}
	}
	return s.check(path)
}

// patiently repeats what SQLite refuses without waiting while another
// connection changes the journal mode or is the first or the last to use the file.
func patiently(do func() error) error {
	for started := time.Now(); ; time.Sleep(turnPause) {
		if err := do(); !isBusy(err) || time.Since(started) > openPatience {
			return err
		}
	}
}

// step runs the next migration, unless another process has just done so. In a new file it runs them all, so
// that nobody finds it half made.
func (c *conn) step(path string) (err error) {
	if err := c.run("begin immediate"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.run("rollback")
		}
	}()
	s, err := c.statusNow(path)
	if err != nil {
		return err
	}
	lacks := migrations[len(migrations)-s.Pending():]
	if s.Format > 0 {
		lacks = lacks[:min(1, len(lacks))]
	}
	for _, m := range lacks {
		text := fmt.Sprintf("%s;\nupdate meta set format = %d;\npragma application_id = %d;\npragma user_version = %d;",
			m.SQL, m.Format, applicationID, m.Format)
		if err := c.run(text); err != nil {
			return err
		}
	}
	return c.run("commit")
}
