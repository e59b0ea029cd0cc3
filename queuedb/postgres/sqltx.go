package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/wikifarm/jobqueue/queuedb"
)

// A sqlTx is a transaction of database/sql.
type sqlTx struct {
	*sql.Tx
	config *config
}

func (o sqlTx) exec(ctx context.Context, text string, args ...any) error {
	_, err := o.ExecContext(ctx, text, args...)
	return err
}

func (o sqlTx) setting(ctx context.Context, name string) (value string, err error) {
	err = o.QueryRowContext(ctx, "select current_setting($1)", name).Scan(&value)
	return value, err
}

func (o sqlTx) run(ctx context.Context, fn func(queuedb.Tx) error) error {
	t := &plainTx{config: o.config, ctx: ctx, tx: o.Tx}
	err := t.query(clockAlone, func(scan queuedb.Scan) error {
		var timeout string
		return scan(&t.at, &t.oldest, &timeout)
	}, nil)
	if err != nil {
		return err
	}
	if err := (Status{Format: len(migrations), Oldest: int(t.oldest), Newest: len(migrations)}).check(o.config); err != nil {
		return err
	}
	return fn(t)
}

// A plainTx runs each statement at once in a transaction of database/sql.
type plainTx struct {
	config     *config
	ctx        context.Context
	tx         *sql.Tx
	at, oldest int64
}

// Now implements [queuedb.Tx].
func (t *plainTx) Now() int64 { return t.at }

// Exclusive implements [queuedb.Tx].
func (t *plainTx) Exclusive() bool { return false }

// Exec implements [queuedb.Tx].
func (t *plainTx) Exec(statement string, args ...any) error {
	_, err := t.Count(statement, args...)
	return err
}

// Count implements [queuedb.Tx].
func (t *plainTx) Count(statement string, args ...any) (int, error) {
	if err := arguments(args); err != nil {
		return 0, fmt.Errorf("%s: %w", statement, err)
	}
	r, err := t.tx.ExecContext(t.ctx, statements[statement], args...)
	if err != nil {
		return 0, t.config.classify(t.ctx, err)
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// Query implements [queuedb.Tx].
func (t *plainTx) Query(statement string, row func(queuedb.Scan) error, args ...any) error {
	if err := arguments(args); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return t.query(statements[statement], row, args)
}

func (t *plainTx) query(text string, row func(queuedb.Scan) error, args []any) error {
	rows, err := t.tx.QueryContext(t.ctx, text, args...)
	if err != nil {
		return t.config.classify(t.ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return t.config.classify(t.ctx, rows.Err())
}

// ExecEach implements [queuedb.Tx]. The statement takes the columns as arrays.
func (t *plainTx) ExecEach(statement string, columns ...any) error {
	return t.Exec(statement, columns...)
}

// QueryEach implements [queuedb.Tx]. The statement takes the columns as arrays.
func (t *plainTx) QueryEach(statement string, row func(queuedb.Scan) error, columns ...any) error {
	return t.Query(statement, row, columns...)
}
