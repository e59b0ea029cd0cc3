package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

const (
	batch = 1000
	depth = 100 // batches that wait when a drain begins
)

func jobsPerSecond(b *testing.B) {
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkEngine pushes, and claims and settles, 1,000 jobs at a time through the whole backend.
func BenchmarkEngine(b *testing.B) {
	b.Run("push", func(b *testing.B) {
		be := open(b)
		rs := records(batch)
		for b.Loop() {
			push(b, be, rs...)
		}
		jobsPerSecond(b)
	})
	b.Run("work", func(b *testing.B) {
		be := open(b)
		rs := records(batch)
		for b.Loop() {
			b.StopTimer()
			push(b, be, rs...)
			b.StartTimer()
			settle(b, be, outcomes(jobqueue.ActionDone, pop(b, be, batch)...)...)
		}
		jobsPerSecond(b)
	})
}

// BenchmarkBare runs the statements that BenchmarkEngine spends its time in, on one connection, with nothing around them.
func BenchmarkBare(b *testing.B) {
	b.Run("push", func(b *testing.B) {
		c := openBare(b)
		rs := records(batch)
		for b.Loop() {
			c.push(rs)
		}
		jobsPerSecond(b)
	})
	b.Run("drain", func(b *testing.B) {
		c := openBare(b)
		rs := records(batch)
		b.StopTimer()
		for left := b.N; left > 0; left -= depth {
			n := min(left, depth)
			for range n {
				c.push(rs)
			}
			b.StartTimer()
			for range n {
				c.work()
			}
			b.StopTimer()
		}
		jobsPerSecond(b)
	})
}

// A bare is one connection to a file with the tables.
type bare struct {
	b        *testing.B
	conn     driver.Conn
	prepared map[string]driver.Stmt
	last     int64
}

func openBare(b *testing.B) *bare {
	path := newFile(b)
	openFile(b, path, nil)
	db, err := sql.Open("sqlite", "")
	if err != nil {
		b.Fatal(err)
	}
	conn, err := db.Driver().Open("file:" + path)
	if err != nil {
		b.Fatal(err)
	}
	c := &bare{b: b, conn: conn, prepared: map[string]driver.Stmt{}}
	for _, p := range []string{"synchronous = full", "temp_store = memory", "cache_size = -32768", "wal_autocheckpoint = 4000"} {
		c.exec("pragma " + p)
	}
	b.Cleanup(func() {
		for _, s := range c.prepared {
			s.Close()
		}
		conn.Close()
		db.Close()
	})
	return c
}

func (c *bare) stmt(text string) driver.Stmt {
	if s := c.prepared[text]; s != nil {
		return s
	}
	file := text
	if strings.Contains(text, "_") && !strings.Contains(text, " ") {
		sql, err := os.ReadFile("sql/" + text + ".sql")
		if err != nil {
			c.b.Fatal(err)
		}
		file = strings.TrimRight(string(sql), "; \n")
	}
	s, err := c.conn.Prepare(file)
	if err != nil {
		c.b.Fatal(err)
	}
	c.prepared[text] = s
	return s
}

func named(args []driver.Value) []driver.NamedValue {
	vs := make([]driver.NamedValue, len(args))
	for i, a := range args {
		vs[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return vs
}

func (c *bare) exec(text string, args ...driver.Value) {
	if _, err := c.stmt(text).(driver.StmtExecContext).ExecContext(context.Background(), named(args)); err != nil {
		c.b.Fatal(err)
	}
}

func (c *bare) query(text string, row func([]driver.Value), args ...driver.Value) {
	rows, err := c.stmt(text).(driver.StmtQueryContext).QueryContext(context.Background(), named(args))
	if err != nil {
		c.b.Fatal(err)
	}
	defer rows.Close()
	dest := make([]driver.Value, len(rows.Columns()))
	for err = rows.Next(dest); err == nil; err = rows.Next(dest) {
		row(dest)
	}
	if err != io.EOF {
		c.b.Fatal(err)
	}
}

func (c *bare) push(rs []jobqueue.Record) {
	c.exec("begin immediate")
	first := c.last + 1
	for _, r := range rs {
		c.last++
		c.exec("job_add", c.last, int64(1), int64(1), int64(0), nil, "", int64(0), "", []byte(r.Params))
	}
	c.exec("ready_push", first, c.last)
	c.exec("commit")
}

func (c *bare) work() {
	token := uuid.New()
	none := func([]driver.Value) {}
	c.exec("begin immediate")
	c.query("claim_find", none, token[:])
	c.query("sweep_state", none)
	first, last := int64(0), int64(0)
	c.query("ready_take", func(row []driver.Value) {
		last = row[1].(int64)
		if first == 0 {
			first = last
		}
	}, int64(1), int64(batch))
	c.exec("ready_drop", int64(1), last)
	n := 0
	c.query("job_read", func([]driver.Value) { n++ }, first, last)
	if n != batch {
		c.b.Fatalf("read %d jobs, want %d", n, batch)
	}
	c.exec("claim_add", token[:], "", int64(1e7), int64(1e15), []byte{1, 2})
	c.exec("commit")
	c.exec("begin immediate")
	c.query("claim_find", none, token[:])
	c.exec("job_delete", first, last)
	c.exec("claim_end", token[:], []byte{1, 2}, int64(1e15))
	c.exec("commit")
}
