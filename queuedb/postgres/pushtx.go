package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

// mostAgain is how often a push in a transaction of the caller's gives way to others.
const mostAgain = 10

// PushTx is [jobqueue.Group.Push] in a transaction of the caller's, on the same database: the
// jobs are there when it commits, and never were when it does not. All jobs must be of
// types that g routes to b, and there may be [jobqueue.MaxPush] of them.
//
// Runners find the jobs at their next look. Until the end of the transaction other pushes of
// the same digest wait, and a waiting job that is a duplicate of one of these does not run, so it should
// end soon. After an error nothing of the push remains, and the transaction may go on.
func (b *Backend) PushTx(ctx context.Context, tx pgx.Tx, g *jobqueue.Group, specs ...jobqueue.Spec) (jobqueue.Pushed, error) {
	return b.pushTx(ctx, driverTx{tx, b.store.config}, g, specs)
}

// PushSQLTx is [Backend.PushTx] in a transaction of database/sql, whose driver must be pgx's.
func (b *Backend) PushSQLTx(ctx context.Context, tx *sql.Tx, g *jobqueue.Group, specs ...jobqueue.Spec) (jobqueue.Pushed, error) {
	return b.pushTx(ctx, sqlTx{tx, b.store.config}, g, specs)
}

func (b *Backend) pushTx(ctx context.Context, outer outer, g *jobqueue.Group, specs []jobqueue.Spec) (jobqueue.Pushed, error) {
	records, err := b.routed(g, specs)
	var pushed jobqueue.Pushed
	if err == nil {
		pushed, err = b.PushWithin(ctx, records, func(fn func(queuedb.Tx) error) error {
			return b.store.within(ctx, outer, fn)
		})
	}
	if err != nil {
		return nil, &jobqueue.Error{Op: "push", Err: err}
	}
	return pushed, nil
}

// routed checks the specs as a group does, and that it routes them to b.
func (b *Backend) routed(g *jobqueue.Group, specs []jobqueue.Spec) ([]jobqueue.Record, error) {
	if g.ReadOnly != "" {
		return nil, fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, g.ReadOnly)
	}
	records, err := g.Records(specs...)
	if err != nil {
		return nil, err
	}
	for i := range records {
		if g.Backend(records[i].Type) != jobqueue.Backend(b) {
			return nil, fmt.Errorf("%w: type %q is kept in another backend than this transaction's", jobqueue.ErrInvalid, records[i].Type)
		}
	}
	return records, nil
}

// An outer is a transaction of somebody else.
type outer interface {
	exec(ctx context.Context, text string, args ...any) error
	setting(ctx context.Context, name string) (string, error)

	// run runs fn in it, and what fn left to be run.
	run(ctx context.Context, fn func(queuedb.Tx) error) error
}

// within runs fn in a transaction of somebody else, with this package's tables in its search path.
func (s *store) within(ctx context.Context, o outer, fn func(queuedb.Tx) error) error {
	path, err := o.setting(ctx, "search_path")
	if err != nil {
		return s.config.classify(ctx, err)
	}
	for range mostAgain {
		if err = s.withinOnce(ctx, o, fn); !errors.Is(err, queuedb.ErrAgain) {
			break
		}
	}
	if errors.Is(err, queuedb.ErrAgain) {
		err = fmt.Errorf("%w: other transactions push the same jobs", jobqueue.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	return s.config.classify(ctx, o.exec(ctx, "select set_config('search_path', $1, true)", path))
}

func (s *store) withinOnce(ctx context.Context, o outer, fn func(queuedb.Tx) error) error {
	err := o.exec(ctx, "savepoint jobqueue")
	if err == nil {
		// Before the other statements, because the driver prepares all of a batch before it runs them.
		err = o.exec(ctx, "select set_config('search_path', $1, true)", pgx.Identifier{s.config.schema}.Sanitize())
	}
	if err != nil {
		return s.config.classify(ctx, err)
	}
	if err := o.run(ctx, fn); err != nil {
		return errors.Join(err, o.exec(ctx, "rollback to savepoint jobqueue"))
	}
	return s.config.classify(ctx, o.exec(ctx, "release savepoint jobqueue"))
}

// A driverTx is a transaction of the driver.
type driverTx struct {
	pgx.Tx
	config *config
}

func (o driverTx) exec(ctx context.Context, text string, args ...any) error {
	_, err := o.Exec(ctx, text, args...)
	return err
}

func (o driverTx) setting(ctx context.Context, name string) (value string, err error) {
	err = o.QueryRow(ctx, "select current_setting($1)", name).Scan(&value)
	return value, err
}

func (o driverTx) run(ctx context.Context, fn func(queuedb.Tx) error) error {
	t := &tx{sender: o.Tx, config: o.config, ctx: ctx}
	err := fn(t)
	if err == nil {
		_, err = t.flush("", nil, nil)
	}
	if err == nil {
		err = t.outdated
	}
	return err
}
