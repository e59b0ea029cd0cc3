package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statements are the texts of sql/*.sql by name.
var statements = func() map[string]string {
	texts := map[string]string{}
	files, _ := fs.Glob(sqlFiles, "sql/*.sql")
	for _, f := range files {
		text, _ := sqlFiles.ReadFile(f)
		// The driver keeps a statement prepared only if nothing follows it, not even a line feed.
		texts[strings.TrimSuffix(strings.TrimPrefix(f, "sql/"), ".sql")] = strings.TrimRight(string(text), "; \n")
	}
	return texts
}()

// A conn is one connection with the statements it has prepared. It goes past
// the pool of database/sql, whose work per row costs as much as SQLite's.
// One goroutine uses it at a time.
type conn struct {
	driver.Conn
	prepared map[string]*stmt
}

type stmt struct {
	driver.Stmt
	args []driver.NamedValue // kept between calls
	dest []driver.Value
}

// How dial opens a file.
const (
	existing = "rw"
	created  = "rwc" // if there is none
)

// dial opens a connection. Pragmas are set in their order.
func dial(path, mode string, pragmas ...string) (*conn, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", jobqueue.ErrInvalid, path)
	}
	db, err := sql.Open("sqlite", "")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	c, err := db.Driver().Open("file:" + (&url.URL{Path: path}).EscapedPath() + "?_txlock=immediate&mode=" + mode)
	if err != nil {
		return nil, classify(path, err)
	}
	k := &conn{Conn: c, prepared: map[string]*stmt{}}
	for _, p := range pragmas {
		if err := k.run("pragma " + p); err != nil {
			c.Close()
			return nil, classify(path, err)
		}
	}
	return k, nil
}

func (c *conn) close() error {
	for _, s := range c.prepared {
		s.Close()
	}
	clear(c.prepared)
	return c.Conn.Close()
}

// run executes a text once.
func (c *conn) run(text string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

// value returns the number that a text selects.
func (c *conn) value(text string) (v int64, err error) {
	s, err := c.prepare(text, text)
	if err != nil {
		return 0, err
	}
	err = s.query(context.Background(), func(scan queuedb.Scan) error { return scan(&v) })
	return v, err
}

func (c *conn) statement(name string) (*stmt, error) {
	if s := c.prepared[name]; s != nil {
		return s, nil
	}
	text, ok := statements[name]
	if !ok {
		return nil, fmt.Errorf("no statement %q", name)
	}
	return c.prepare(name, text)
}

func (c *conn) prepare(name, text string) (*stmt, error) {
	if s := c.prepared[name]; s != nil {
		return s, nil
	}
	d, err := c.Prepare(text)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	s := &stmt{Stmt: d}
	c.prepared[name] = s
	return s, nil
}

func (s *stmt) exec() (int, error) {
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.args)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

func (s *stmt) query(ctx context.Context, row func(queuedb.Scan) error) (err error) {
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, s.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.dest == nil {
		s.dest = make([]driver.Value, len(rows.Columns()))
	}
	scan := func(dest ...any) error { return scan(s.dest, dest) }
	for {
		if err := rows.Next(s.dest); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := row(scan); err != nil {
			return err
		}
	}
}

// bind sets the arguments of the next call.
func (s *stmt) bind(args []any) error {
	s.args = s.args[:0]
	for i, a := range args {
		var v driver.Value
		switch a := a.(type) {
		case nil:
		case int64, string:
			v = a
		case bool:
			if v = int64(0); a {
				v = int64(1)
			}
		case []byte:
			if a != nil {
				v = a
			}
		case queuedb.Numbers:
			v = string(a.AppendJSON(make([]byte, 0, 8*len(a)+2)))
		case queuedb.Runs:
			v = a.AppendPacked(make([]byte, 0, 4*len(a)+8))
		default:
			return fmt.Errorf("argument %d is a %T", i+1, a)
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return nil
}

// each binds one row of a table after the other and calls do.
func (s *stmt) each(columns []any, do func() error) error {
	s.args = s.args[:0]
	if len(columns) == 1 {
		if r, ok := columns[0].(queuedb.Runs); ok {
			return s.eachRun(r, do)
		}
	}
	n := 0
	for i, c := range columns {
		switch c := c.(type) {
		case nil:
		case []int64:
			n = len(c)
		case []string:
			n = len(c)
		case [][]byte:
			n = len(c)
		default:
			return fmt.Errorf("column %d is a %T", i+1, c)
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1})
	}
	for row := range n {
		for i, c := range columns {
			switch c := c.(type) {
			case []int64:
				s.args[i].Value = c[row]
			case []string:
				s.args[i].Value = c[row]
			case [][]byte:
				s.args[i].Value = nil
				if c[row] != nil {
					s.args[i].Value = c[row]
				}
			}
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// eachRun is each for the first and the last number of each range.
func (s *stmt) eachRun(r queuedb.Runs, do func() error) error {
	s.args = append(s.args, driver.NamedValue{Ordinal: 1}, driver.NamedValue{Ordinal: 2})
	for _, run := range r {
		s.args[0].Value, s.args[1].Value = run.First, run.Last
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// scan copies the columns of a row.
func scan(row []driver.Value, dest []any) error {
	if len(row) != len(dest) {
		return fmt.Errorf("%d columns for %d values", len(row), len(dest))
	}
	for i, d := range dest {
		ok := true
		switch d := d.(type) {
		case *int64:
			*d, ok = row[i].(int64)
		case *bool:
			n, isInt := row[i].(int64)
			*d, ok = n != 0, isInt
		case *string:
			*d, ok = row[i].(string)
		case *[]byte:
			switch v := row[i].(type) {
			case []byte:
				*d = v
			case string:
				*d = []byte(v)
			default:
				*d, ok = nil, false
			}
		case *queuedb.Runs:
			packed, _ := row[i].([]byte)
			*d, _ = queuedb.ParseRuns(packed)
		default:
			return fmt.Errorf("column %d cannot be read as a %T", i+1, d)
		}
		if !ok && row[i] != nil {
			return fmt.Errorf("column %d is a %T, not a %T", i+1, row[i], d)
		}
	}
	return nil
}

// A tx is a transaction on a connection.
type tx struct {
	*conn
	ctx context.Context // of a read, which it interrupts
	at  int64
}

// clock reads the time in microseconds, as SQLite keeps milliseconds, and the
// oldest format a program must know to use the file, which may have become a newer one.
const clock = "select cast(round(unixepoch('subsec') * 1000) as integer) * 1000, oldest from meta"

// begun notes the time of a transaction that has just begun.
func (t *tx) begun(path string) error {
	var oldest int64
	err := t.query(clock, func(scan queuedb.Scan) error { return scan(&t.at, &oldest) })
	if err != nil {
		return err
	}
	return Status{Format: len(migrations), Oldest: int(oldest), Newest: len(migrations)}.check(path)
}

// Now implements [queuedb.Tx].
func (t *tx) Now() int64 { return t.at }

// Exclusive implements [queuedb.Tx].
func (t *tx) Exclusive() bool { return true }

// Exec implements [queuedb.Tx].
func (t *tx) Exec(statement string, args ...any) error {
	_, err := t.Count(statement, args...)
	return err
}

// Count implements [queuedb.Tx].
func (t *tx) Count(statement string, args ...any) (int, error) {
	s, err := t.statement(statement)
	if err != nil {
		return 0, err
	}
	if err := s.bind(args); err != nil {
		return 0, fmt.Errorf("%s: %w", statement, err)
	}
	return s.exec()
}

// Query implements [queuedb.Tx].
func (t *tx) Query(statement string, row func(queuedb.Scan) error, args ...any) error {
	s, err := t.statement(statement)
	if err != nil {
		return err
	}
	if err := s.bind(args); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return s.query(t.ctx, row)
}

// ExecEach implements [queuedb.Tx].
func (t *tx) ExecEach(statement string, columns ...any) error {
	s, err := t.statement(statement)
	if err != nil {
		return err
	}
	return s.each(columns, func() error {
		_, err := s.exec()
		return err
	})
}

// QueryEach implements [queuedb.Tx].
func (t *tx) QueryEach(statement string, row func(queuedb.Scan) error, columns ...any) error {
	s, err := t.statement(statement)
	if err != nil {
		return err
	}
	return s.each(columns, func() error { return s.query(t.ctx, row) })
}
