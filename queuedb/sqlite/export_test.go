package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue/queuedb"
)

// Waiting returns how many writes wait for their turn.
func (b *Backend) Waiting() (n int) {
	w := b.store.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.urgent) + len(w.normal)
}

// Statements are the texts of all statements by name.
var Statements = statements

// Plan returns the query plan of a statement, a line each.
func (b *Backend) Plan(statement string) (lines []string, err error) {
	c, err := dial(b.store.path, existing)
	if err != nil {
		return nil, err
	}
	defer c.close()
	s, err := c.prepare("plan", "explain query plan "+statements[statement])
	if err != nil {
		return nil, err
	}
	if err := s.bind(make([]any, 9)); err != nil {
		return nil, err
	}
	err = s.query(context.Background(), func(scan queuedb.Scan) error {
		var id, parent, unused int64
		var text string
		err := scan(&id, &parent, &unused, &text)
		lines = append(lines, text)
		return err
	})
	return lines, err
}

// AddMigration makes this program one format newer until the function it returns is called.
func AddMigration(text string) (undo func()) {
	before := migrations
	migrations = append(Migrations(), Migration{Format: len(before) + 1, SQL: text})
	return func() { migrations = before }
}

// LimitPages lets the file grow to at most n pages.
func (b *Backend) LimitPages(n int) error {
	return b.store.Write(context.Background(), false, func(t queuedb.Tx) error { return LimitPages(t, n) })
}

// LimitPages is [Backend.LimitPages] inside a transaction.
func LimitPages(t queuedb.Tx, n int) error {
	return t.(*tx).run(fmt.Sprintf("pragma max_page_count = %d", n))
}

// Write runs fn in a transaction.
func (b *Backend) Write(ctx context.Context, fn func(queuedb.Tx) error) error {
	return b.store.Write(ctx, false, fn)
}

// Gone returns how many calls that run have no caller any more.
func (b *Backend) Gone() (n int) {
	w := b.store.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.left)
}

// TakeOne lets each transaction from the next one on take up one call alone.
func (b *Backend) TakeOne() error {
	return b.store.Write(context.Background(), false, func(queuedb.Tx) error {
		b.store.writer.groupTime = -1
		return nil
	})
}

// LimitLog moves the log to the file from n pages on.
func (b *Backend) LimitLog(n int) error {
	return b.store.Write(context.Background(), false, func(queuedb.Tx) error {
		b.store.writer.walPages = int64(n)
		return nil
	})
}

// Recheck makes the next call look whether the file is still there.
func (b *Backend) Recheck() { b.store.file.checked.Store(0) }

// Patience makes writes give up after d.
func (b *Backend) Patience(d time.Duration) error {
	return b.store.Write(context.Background(), false, func(queuedb.Tx) error {
		b.store.writer.patience = d
		return nil
	})
}

// Ran reports whether a write of this handle has run a statement.
func (b *Backend) Ran(statement string) (ran bool, err error) {
	err = b.store.Write(context.Background(), false, func(t queuedb.Tx) error {
		ran = t.(*tx).prepared[statement] != nil
		return nil
	})
	return ran, err
}

// KnowFormats makes this program one that knows the first n formats alone, until the function it returns is called.
func KnowFormats(n int) (undo func()) {
	before := migrations
	migrations = Migrations()[:n]
	return func() { migrations = before }
}
