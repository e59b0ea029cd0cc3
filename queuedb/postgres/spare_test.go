package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// spares are schemas that tests have used and emptied. To make one anew takes longer than most tests.
var spares struct {
	sync.Mutex
	all []spare
}

type spare struct {
	schema string
	drop   func() error
}

// emptySchema returns a schema whose tables are empty, but whose numbers others may have used.
func emptySchema(t testing.TB) string {
	t.Helper()
	spares.Lock()
	var s spare
	if n := len(spares.all); n > 0 {
		s, spares.all = spares.all[n-1], spares.all[:n-1]
	}
	spares.Unlock()
	if s.schema == "" {
		s.schema, s.drop = server.Schema()
		if err := postgres.Migrate(t.Context(), server.URL, &postgres.Options{Schema: s.schema}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := empty(s.schema); err != nil {
			t.Error(errors.Join(err, s.drop()))
			return
		}
		spares.Lock()
		spares.all = append(spares.all, s)
		spares.Unlock()
	})
	return s.schema
}

// empty deletes what is in the tables of a schema.
func empty(schema string) error {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, with("search_path", schema))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, `do $$
		declare name text;
		begin
			for name in select tablename from pg_tables where schemaname = current_schema() and tablename not in ('meta', 'sweep') loop
				execute format('delete from %I', name);
			end loop;
			update sweep set swept = 0;
		end $$`)
	return err
}

// dropSpares drops the schemas that are left.
func dropSpares() (err error) {
	for _, s := range spares.all {
		err = errors.Join(err, s.drop())
	}
	return err
}
