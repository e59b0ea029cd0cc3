package postgres

import (
	"context"
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
	pushed, err := b.pushTx(ctx, tx, g, specs)
	if err != nil {
		return nil, &jobqueue.Error{Op: "push", Err: err}
	}
	return pushed, nil
}

func (b *Backend) pushTx(ctx context.Context, tx pgx.Tx, g *jobqueue.Group, specs []jobqueue.Spec) (jobqueue.Pushed, error) {
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
	return b.PushWithin(ctx, records, func(fn func(queuedb.Tx) error) error {
		return b.store.within(ctx, tx, fn)
	})
}

// within runs fn in a transaction of somebody else, with this package's tables in its search path.
func (s *store) within(ctx context.Context, outer pgx.Tx, fn func(queuedb.Tx) error) error {
	var path string
	err := outer.QueryRow(ctx, "select current_setting('search_path')").Scan(&path)
	if err != nil {
		return s.config.classify(ctx, err)
	}
	for range mostAgain {
		if err = s.withinOnce(ctx, outer, fn); !errors.Is(err, queuedb.ErrAgain) {
			break
		}
	}
	if errors.Is(err, queuedb.ErrAgain) {
		err = fmt.Errorf("%w: other transactions push the same jobs", jobqueue.ErrUnavailable)
	}
	if err != nil {
		return err
	}
	_, err = outer.Exec(ctx, "select set_config('search_path', $1, true)", path)
	return s.config.classify(ctx, err)
}

func (s *store) withinOnce(ctx context.Context, outer pgx.Tx, fn func(queuedb.Tx) error) error {
	inner, err := outer.Begin(ctx) // a savepoint
	if err != nil {
		return s.config.classify(ctx, err)
	}
	// Before the other statements, because the driver prepares all of a batch before it runs them.
	_, err = inner.Exec(ctx, "select set_config('search_path', $1, true)", pgx.Identifier{s.config.schema}.Sanitize())
	if err != nil {
		return s.config.classify(ctx, err)
	}
	t := &tx{sender: inner, config: s.config, ctx: ctx}
	if err = fn(t); err == nil {
		_, err = t.flush("", nil, nil)
	}
	if err == nil {
		err = t.outdated
	}
	if err != nil {
		return errors.Join(err, inner.Rollback(ctx))
	}
	return s.config.classify(ctx, inner.Commit(ctx))
}
