//go:build unix

package pgtest

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/internal/child"
)

// spares are schemas that tests have used and emptied. To make one anew takes longer than most tests.
type spares struct {
	sync.Mutex
	all []spare

	emptying sync.Mutex
	conn     *pgx.Conn // which empties them; nil is not open
}

type spare struct {
	schema string
	drop   func() error
}

// Spare returns a schema whose tables are empty, but whose numbers others may have used, and what gives it back. If none is left migrate
// makes the tables of a new one.
func (s *Server) Spare(migrate func(schema string) error) (schema string, back func() error, err error) {
	s.spares.Lock()
	var one spare
	if n := len(s.spares.all); n > 0 {
		one, s.spares.all = s.spares.all[n-1], s.spares.all[:n-1]
	}
	s.spares.Unlock()
	if one.schema == "" {
		one.schema, one.drop = s.Schema()
		if err := migrate(one.schema); err != nil {
			return "", nil, err
		}
	}
	return one.schema, func() error {
		if err := s.empty(one.schema); err != nil {
			return errors.Join(err, one.drop())
		}
		s.spares.Lock()
		defer s.spares.Unlock()
		s.spares.all = append(s.spares.all, one)
		return nil
	}, nil
}

// empty deletes what is in the tables of a schema.
func (s *Server) empty(schema string) error {
	ctx, cancel := context.WithTimeout(context.Background(), child.Patience)
	defer cancel()
	s.spares.emptying.Lock()
	defer s.spares.emptying.Unlock()
	if s.spares.conn == nil || s.spares.conn.IsClosed() {
		c, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		s.spares.conn = c
	}
	c := s.spares.conn
	if _, err := c.Exec(ctx, "select set_config('search_path', $1, false)", schema); err != nil {
		return err
	}
	_, err := c.Exec(ctx, `do $$
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
func (s *Server) dropSpares() (err error) {
	if c := s.spares.conn; c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), child.Patience)
		defer cancel()
		err = c.Close(ctx)
	}
	for _, one := range s.spares.all {
		err = errors.Join(err, one.drop())
	}
	s.spares.all = nil
	return err
}
