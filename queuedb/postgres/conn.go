package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wikifarm/jobqueue/queuedb"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statements are the texts of sql/*.sql by name, without comments.
var statements = func() map[string]string {
	texts := map[string]string{}
	files, _ := fs.Glob(sqlFiles, "sql/*.sql")
	for _, f := range files {
		text, _ := sqlFiles.ReadFile(f)
		var lines []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		texts[strings.TrimSuffix(strings.TrimPrefix(f, "sql/"), ".sql")] = strings.TrimRight(strings.Join(lines, ""), "; \n")
	}
	return texts
}()

// A conn is one connection. One goroutine uses it at a time.
type conn struct {
	*pgx.Conn
	config *config
	local  []any // arguments of apply, where it must be part of each transaction

	heard []string // the payloads of notifications
}

func (c *conn) notified(_ *pgconn.PgConn, n *pgconn.Notification) {
	c.heard = append(c.heard, n.Payload)
}

// end closes the connection without much waiting.
func (c *conn) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.Close(ctx)
}

// A sender is a connection, or a transaction of the driver.
type sender interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// How transactions begin.
const (
	beginWrite = "begin isolation level read committed"
	beginRead  = "begin isolation level repeatable read, read only"
)

// clock reads the time in microseconds and the oldest format a program must know to use the
// tables, which may have become newer ones, and bounds the transaction.
const clock = `select
  (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  (select oldest from meta),
  set_config('statement_timeout', $1, true)`

// clockAlone is clock for a transaction that has bounds of its own.
const clockAlone = `select
  (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  (select oldest from meta),
  current_setting('statement_timeout')`

// A tx is a transaction on a connection. It begins with the first statement whose answer is needed.
// Until then, and from then on, statements without an answer wait and go to the server with the next one that has one, or with the commit.
type tx struct {
	sender   sender
	config   *config
	ctx      context.Context
	begin    string // how it begins; "" is a transaction that has begun, of somebody else
	local    []any  // arguments of apply, if it must make its settings itself
	begun    bool
	at       int64
	outdated error // why this program may not use the tables any more
	waits    pgx.Batch
	err      error // of a statement; nothing follows it
	ending   bool  // the commit was sent
}

// Now implements [queuedb.Tx].
func (t *tx) Now() int64 {
	if !t.begun {
		t.flush("", nil, nil)
	}
	return t.at
}

// Exclusive implements [queuedb.Tx].
func (t *tx) Exclusive() bool { return false }

// Exec implements [queuedb.Tx].
func (t *tx) Exec(statement string, args ...any) error {
	text, ok := statements[statement]
	if !ok {
		return fmt.Errorf("no statement %q", statement)
	}
	if text == "" || t.err != nil {
		return t.err
	}
	if err := arguments(args); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	t.waits.Queue(text, args...)
	return nil
}

// Query implements [queuedb.Tx].
func (t *tx) Query(statement string, row func(queuedb.Scan) error, args ...any) error {
	text, ok := statements[statement]
	if !ok {
		return fmt.Errorf("no statement %q", statement)
	}
	if err := arguments(args); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	_, err := t.flush(text, row, args)
	return err
}

// Count implements [queuedb.Tx].
func (t *tx) Count(statement string, args ...any) (int, error) {
	text, ok := statements[statement]
	if !ok {
		return 0, fmt.Errorf("no statement %q", statement)
	}
	if err := arguments(args); err != nil {
		return 0, fmt.Errorf("%s: %w", statement, err)
	}
	return t.flush(text, nil, args)
}

// ExecEach implements [queuedb.Tx]. The statement takes the columns as arrays.
func (t *tx) ExecEach(statement string, columns ...any) error {
	return t.Exec(statement, columns...)
}

// QueryEach implements [queuedb.Tx]. The statement takes the columns as arrays.
func (t *tx) QueryEach(statement string, row func(queuedb.Scan) error, columns ...any) error {
	return t.Query(statement, row, columns...)
}

// arguments makes of each what the driver knows.
func arguments(args []any) error {
	for i, a := range args {
		switch a := a.(type) {
		case nil, int64, bool, string, []int64, []string, [][]byte:
		case []byte:
			if a == nil {
				args[i] = nil
			}
		case queuedb.Numbers:
			args[i] = []int64(a)
		case queuedb.Runs:
			args[i] = []int64(a.Numbers())
		default:
			return fmt.Errorf("argument %d is a %T", i+1, a)
		}
	}
	return nil
}

// flush sends what waits and, unless it is "", a statement that does not, and returns how many rows that one changed or returned.
func (t *tx) flush(text string, row func(queuedb.Scan) error, args []any) (n int, err error) {
	if t.err != nil {
		return 0, t.err
	}
	first := &pgx.Batch{}
	if !t.begun {
		if t.begin != "" {
			first.Queue(t.begin)
		}
		if t.local != nil {
			first.Queue(apply, t.local...)
		}
		deadline, bounded := t.ctx.Deadline()
		if t.begin == "" || !bounded {
			first.Queue(clockAlone)
		} else {
			first.Queue(clock, millis(max(time.Millisecond, time.Until(deadline))))
		}
	}
	unread := len(first.QueuedQueries)
	waits := t.waits.QueuedQueries
	first.QueuedQueries, t.waits.QueuedQueries = append(first.QueuedQueries, waits...), nil
	if text != "" {
		first.Queue(text, args...)
	}
	if first.Len() == 0 {
		return 0, nil
	}
	results := t.sender.SendBatch(t.ctx, first)
	if unread > 0 {
		for range unread - 1 {
			if err == nil {
				_, err = results.Exec()
			}
		}
		if err == nil {
			err = t.read(results)
		}
	}
	for range waits {
		if err == nil {
			_, err = results.Exec()
		}
	}
	var failed error // in the engine
	if err == nil && text != "" {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			n, failed = each(rows, row)
			err = rows.Err()
		}
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if t.err = t.config.classify(t.ctx, err); t.err == nil {
		t.err = failed
	}
	return n, t.err
}

// read takes in what begins every transaction.
func (t *tx) read(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	var oldest int64
	_, err = each(rows, func(scan queuedb.Scan) error {
		var timeout string
		return scan(&t.at, &oldest, &timeout)
	})
	t.begun = true
	if err == nil {
		err = rows.Err()
	}
	if err == nil {
		t.outdated = Status{Format: len(migrations), Oldest: int(oldest), Newest: len(migrations)}.check(t.config)
	}
	return err
}
