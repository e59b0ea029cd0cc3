package postgres

import (
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	begun    bool
	at       int64
	outdated error // why this program may not use the tables any more
	waits    pgx.Batch
	numbers  bool  // it gave numbers to jobs
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
	t.numbers = t.numbers || statement == "number_reserve"
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
		if t.begin != "" {
			_, err = results.Exec()
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

// each calls row for each row and returns how many rows the statement returned or changed.
func each(rows pgx.Rows, row func(queuedb.Scan) error) (n int, err error) {
	defer rows.Close()
	scan := func(dest ...any) error { return scan(rows, dest) }
	for rows.Next() {
		if row == nil || err != nil {
			continue
		}
		err = row(scan)
	}
	rows.Close()
	return int(rows.CommandTag().RowsAffected()), err
}

// scan copies the columns of a row, which come in the format of the server.
func scan(rows pgx.Rows, dest []any) error {
	raw, fields := rows.RawValues(), rows.FieldDescriptions()
	if len(raw) != len(dest) {
		return fmt.Errorf("%d columns for %d values", len(raw), len(dest))
	}
	for i, d := range dest {
		ok := true
		oid, v := fields[i].DataTypeOID, raw[i]
		if fields[i].Format == pgx.TextFormatCode {
			var err error
			if v, err = binaryOf(oid, v); err != nil {
				return fmt.Errorf("column %d: %w", i+1, err)
			}
		}
		switch d := d.(type) {
		case *int64:
			*d, ok = number(oid, v)
		case *bool:
			ok = v == nil || oid == pgtype.BoolOID
			*d = len(v) == 1 && v[0] == 1
		case *string:
			ok = v == nil || oid == pgtype.TextOID
			*d = string(v)
		case *[]byte:
			ok = v == nil || oid == pgtype.TextOID || oid == pgtype.ByteaOID
			*d = bytes.Clone(v)
		case *queuedb.Runs:
			ok = oid == pgtype.Int8ArrayOID
			*d = runs(v)
		default:
			return fmt.Errorf("column %d cannot be read as a %T", i+1, d)
		}
		if !ok {
			return fmt.Errorf("column %d has the type %d, which is no %T", i+1, oid, d)
		}
	}
	return nil
}

// binaryOf turns a column in the format of text, which connections of others may
// ask for, into the one that this package asks for.
func binaryOf(oid uint32, v []byte) (b []byte, err error) {
	if v == nil {
		return nil, nil
	}
	switch oid {
	case pgtype.TextOID:
		return v, nil
	case pgtype.Int8OID, pgtype.Int4OID:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if oid == pgtype.Int4OID {
			return binary.BigEndian.AppendUint32(nil, uint32(n)), err
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	case pgtype.ByteaOID:
		return hex.DecodeString(strings.TrimPrefix(string(v), `\x`))
	}
	return nil, fmt.Errorf("type %d as text", oid)
}

func number(oid uint32, v []byte) (n int64, ok bool) {
	switch {
	case v == nil:
		return 0, true
	case oid == pgtype.Int8OID && len(v) == 8:
		return int64(binary.BigEndian.Uint64(v)), true
	case oid == pgtype.Int4OID && len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v))), true
	}
	return 0, false
}

// runs reads an array of numbers: how many dimensions, whether there are
// NULLs, the type, the length and the lower bound, and each number after its size.
func runs(v []byte) (r queuedb.Runs) {
	const head, element = 20, 4 + 8
	if len(v) < head || (len(v)-head)%element != 0 {
		return nil
	}
	for v = v[head:]; len(v) > 0; v = v[element:] {
		id := int64(binary.BigEndian.Uint64(v[4:]))
		if n := len(r); n > 0 && r[n-1].Last == id-1 {
			r[n-1].Last = id
		} else {
			r = append(r, queuedb.Run{First: id, Last: id})
		}
	}
	return r
}
