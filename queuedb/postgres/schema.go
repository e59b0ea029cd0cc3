package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// A Migration is one step from a format to the next.
type Migration struct {
	Format int    // that it leads to
	SQL    string // what is run, in one transaction, with the schema as the search_path
}

// Migrations returns every migration in order, for people to read.
func Migrations() []Migration { return slices.Clone(migrations) }

// migrations lead from an empty schema to the format of this program, which is their number.
var migrations = func() []Migration {
	files, _ := fs.Glob(migrationFiles, "migrations/*.sql")
	all := make([]Migration, len(files))
	for i, f := range files {
		text, _ := migrationFiles.ReadFile(f)
		all[i] = Migration{Format: i + 1, SQL: string(text)}
	}
	return all
}()

// A Status says how a schema and this program fit together.
type Status struct {
	Format int // of the schema; 0 for one that is empty or missing
	Oldest int // the oldest format a program must know to use the tables
	Newest int // the format of this program
}

// Pending returns how many migrations the schema lacks.
func (s Status) Pending() int { return max(0, s.Newest-s.Format) }

// MigrationStatus returns the format of a schema, which it does not change. A
// schema that does not exist counts as empty. One with a table named meta of
// another program is a [jobqueue.ErrInvalid].
func MigrationStatus(ctx context.Context, url string, o *Options) (Status, error) {
	c, err := newConfig(url, o)
	if err != nil {
		return Status{}, err
	}
	k, err := c.dial(ctx)
	if err != nil {
		return Status{}, err
	}
	defer k.Close(ctx)
	return k.status(ctx)
}

// status returns the format of the schema. A transaction that is open sees its own.
func (c *conn) status(ctx context.Context) (Status, error) {
	s := Status{Newest: len(migrations)}
	var comment *string
	err := c.QueryRow(ctx, `
		select obj_description(t.oid, 'pg_class')
		from pg_class t join pg_namespace n on n.oid = t.relnamespace
		where n.nspname = $1 and t.relname = 'meta'`, c.config.schema).Scan(&comment)
	if err == pgx.ErrNoRows {
		return s, nil
	}
	if err != nil {
		return s, c.config.classify(ctx, err)
	}
	if comment == nil || *comment != "jobqueue" {
		return s, fmt.Errorf("%w: schema %q of %s belongs to another program", jobqueue.ErrInvalid, c.config.schema, c.config.where)
	}
	err = c.QueryRow(ctx, "select format, oldest from "+pgx.Identifier{c.config.schema, "meta"}.Sanitize()).Scan(&s.Format, &s.Oldest)
	if err != nil {
		return s, c.config.classify(ctx, err)
	}
	if s.Format < 1 {
		return s, fmt.Errorf("%w: schema %q of %s has format %d, which there is not", jobqueue.ErrInvalid, c.config.schema, c.config.where, s.Format)
	}
	return s, nil
}

// check returns an error unless this program may use a schema of that status.
func (s Status) check(c *config) error {
	switch {
	case s.Format == 0:
		return fmt.Errorf("%w: schema %q of %s has no tables yet; migrate it first", jobqueue.ErrInvalid, c.schema, c.where)
	case s.Format < s.Newest:
		return fmt.Errorf("%w: schema %q of %s has format %d and this program needs %d; migrate it first",
			jobqueue.ErrInvalid, c.schema, c.where, s.Format, s.Newest)
	case s.Oldest > s.Newest:
		return fmt.Errorf("%w: schema %q of %s needs a newer program, which knows format %d; this one knows formats up to %d",
			jobqueue.ErrInvalid, c.schema, c.where, s.Oldest, s.Newest)
	}
	return nil
}

// Migrate brings a schema to the format of this program, and makes it if there is none. Each step
// is one transaction; any number of processes may do it at once, and programs may use the tables meanwhile.
func Migrate(ctx context.Context, url string, o *Options) error {
	c, err := newConfig(url, o)
	if err != nil {
		return err
	}
	k, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer k.Close(ctx)
	for {
		s, err := k.step(ctx)
		if err != nil {
			return err
		}
		if s.Pending() == 0 {
			return s.check(c)
		}
	}
}

// step runs the next migration, unless there is none left, and returns what the schema is then.
func (c *conn) step(ctx context.Context) (s Status, err error) {
	tx, err := c.Begin(ctx)
	if err != nil {
		return s, c.config.classify(ctx, err)
	}
	defer tx.Rollback(ctx)
	run := func(text string, args ...any) {
		if err == nil {
			_, err = c.Exec(ctx, text, args...)
			err = c.config.classify(ctx, err)
		}
	}
	if c.local != nil {
		run(apply, c.local...)
	}
	run("set local lock_timeout = 0")
	run("set local statement_timeout = 0") // It may have many rows to move.
	run("set local client_min_messages = warning")
	run("select pg_advisory_xact_lock(hashtextextended('jobqueue migrate ' || $1, 0))", c.config.schema)
	if err == nil {
		s, err = c.status(ctx)
	}
	if err != nil || s.Pending() == 0 {
		return s, err
	}
	var there bool
	if err == nil {
		// Who owns a schema need not be one who may make any.
		err = c.config.classify(ctx, c.QueryRow(ctx, "select exists (select 1 from pg_namespace where nspname = $1)", c.config.schema).Scan(&there))
	}
	if !there {
		run("create schema " + pgx.Identifier{c.config.schema}.Sanitize())
	}
	m := migrations[s.Format]
	if err == nil {
		// More than one statement at once, which only the simple protocol takes.
		_, err = c.PgConn().Exec(ctx, m.SQL).ReadAll()
		err = c.config.classify(ctx, err)
	}
	run("update meta set format = $1", m.Format)
	if err == nil {
		s, err = c.status(ctx)
	}
	if err != nil {
		return s, err
	}
	return s, c.config.classify(ctx, tx.Commit(ctx))
}
