package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wikifarm/jobqueue/queuedb"
)

// Statements are the texts of all statements by name.
var Statements = statements

// Hasten has the backend wait less for notifications that do not get through.
func (b *Backend) Hasten(longest, silence time.Duration) {
	b.watch.longest, b.watch.silence = longest, silence
}

// Channel is where the backend tells others of work.
func (b *Backend) Channel() string { return b.watch.channel }

// Conn opens a connection as the backend does.
func (b *Backend) Conn(ctx context.Context) (*pgx.Conn, error) {
	c, err := b.store.config.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c.Conn, nil
}

// AddMigration makes this program one format newer until the function it returns is called.
func AddMigration(text string) (undo func()) {
	before := migrations
	migrations = append(Migrations(), Migration{Format: len(before) + 1, SQL: text})
	return func() { migrations = before }
}

// Code returns the code that the server gave an error, or "".
func Code(err error) string { return code(err) }

// Classify says what an error of the server with a code means.
func (b *Backend) Classify(code string) error {
	return b.store.config.classify(context.Background(), &pgconn.PgError{Code: code, Message: "test"})
}

// OpenTraced is Open with a tracer of the driver.
func OpenTraced(ctx context.Context, url string, o *Options, tracer pgx.QueryTracer) (*Backend, error) {
	c, err := newConfig(url, o)
	if err != nil {
		return nil, err
	}
	c.Tracer = tracer
	return open(ctx, c, o)
}

// Write runs fn in a transaction.
func (b *Backend) Write(ctx context.Context, fn func(queuedb.Tx) error) error {
	return b.store.Write(ctx, false, fn)
}

// KnowFormats makes this program one that knows the first n formats alone, until the function it returns is called.
func KnowFormats(n int) (undo func()) {
	before := migrations
	migrations = Migrations()[:n]
	return func() { migrations = before }
}
