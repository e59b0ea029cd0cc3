package config

import (
	"context"
	"maps"
	"slices"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A Database is where a backend of the farm keeps its tables, if it has any.
type Database struct {
	Name string // of the backend
	Kind string // as in the farm file

	conf backend
}

// Databases calls each for every database of the farm, sorted by name, until it returns an error.
// They need not exist, nor have tables.
func (f *Farm) Databases(each func(Database) error) error {
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		b := f.backends[name]
		if d := (Database{name, b.kind, b}); d.migrates() {
			if err := each(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d Database) migrates() bool { return d.Kind == "sqlite" || d.Kind == "postgres" }

// A Status says how the tables of a database and this program fit together.
type Status struct {
	Format int // of the tables; 0 when there are none
	Oldest int // the oldest format a program must know to use the tables
	Newest int // the format of this program
}

// Status returns the format of the tables, and changes nothing.
func (d Database) Status(ctx context.Context) (Status, error) {
	if d.Kind == "sqlite" {
		s, err := sqlite.MigrationStatus(ctx, d.conf.path.text)
		return Status(s), d.explain(err)
	}
	o, err := d.conf.options()
	if err != nil {
		return Status{}, d.explain(err)
	}
	s, err := postgres.MigrationStatus(ctx, d.conf.url.text, o)
	return Status(s), d.explain(err)
}

// Migrate brings the tables to the format of this program, and makes them if there are none.
func (d Database) Migrate(ctx context.Context) error {
	if d.Kind == "sqlite" {
		return d.explain(sqlite.Migrate(ctx, d.conf.path.text))
	}
	o, err := d.conf.options()
	if err == nil {
		err = postgres.Migrate(ctx, d.conf.url.text, o)
	}
	return d.explain(err)
}

// A Migration is one step from a format to the next.
type Migration struct {
	Format int    // that it leads to
	SQL    string // what is run, in one transaction
}

// Migrations returns all that lead from no tables to the format of this program.
func (d Database) Migrations() (all []Migration) {
	if d.Kind == "sqlite" {
		for _, m := range sqlite.Migrations() {
			all = append(all, Migration(m))
		}
		return all
	}
	for _, m := range postgres.Migrations() {
		all = append(all, Migration(m))
	}
	return all
}

// explain names the backend, and leaves out what came from the environment.
func (d Database) explain(err error) error {
	if err == nil {
		return nil
	}
	return &backendError{d.Name, d.conf.place(), err}
}
