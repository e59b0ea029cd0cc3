package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	batch = 1000
	depth = 100 // batches that wait when a drain begins
)

// A meter measures jobs per second, and bytes of WAL per job, of what is done between start and stop.
type meter struct {
	*testing.B
	conn   *pgx.Conn
	before int64
	bytes  int64
}

func newMeter(b *testing.B, schema string) *meter { return &meter{B: b, conn: raw(b, schema)} }

func (m *meter) position() (at int64) {
	// Not what a checkpoint writes in full: there is one before, and none meanwhile.
	err := m.conn.QueryRow(context.Background(), "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&at)
	if err != nil {
		m.Fatal(err)
	}
	return at
}

func (m *meter) start() {
	m.before = m.position()
	m.StartTimer()
}

func (m *meter) stop() {
	m.StopTimer()
	m.bytes += m.position() - m.before
}

func (m *meter) report() {
	jobs := float64(m.N * batch)
	m.ReportMetric(jobs/m.Elapsed().Seconds(), "jobs/s")
	m.ReportMetric(float64(m.bytes)/jobs, "WAL-B/job")
}

// BenchmarkEngine pushes, and claims and settles, 1,000 jobs at a time through the whole backend.
func BenchmarkEngine(b *testing.B) {
	for _, row := range []struct {
		name string
		work bool
	}{{"push", false}, {"work", true}} {
		b.Run(row.name, func(b *testing.B) {
			schema := newSchema(b)
			be := openSchema(b, &postgres.Options{Schema: schema})
			m := newMeter(b, schema)
			rs := records(batch)
			b.StopTimer()
			for range b.N {
				if !row.work {
					m.start()
				}
				push(b, be, rs...)
				if row.work {
					m.start()
					settle(b, be, outcomes(jobqueue.ActionDone, pop(b, be, batch)...)...)
				}
				m.stop()
			}
			m.report()
		})
	}
}

// decoded is a job that does nothing but be decoded.
type decoded struct{ Title, Namespace, Revision, User any }

func (*decoded) Type() string              { return queue.Type }
func (*decoded) Run(context.Context) error { return nil }

// BenchmarkDrain runs jobs with a whole runner and its default options. Jobs are pushed 100,000 at a time, unmeasured.
func BenchmarkDrain(b *testing.B) {
	schema := newSchema(b)
	be := openSchema(b, &postgres.Options{Schema: schema})
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &decoded{} }, jobqueue.Policy{})
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: be})
	rs := records(batch)
	m := newMeter(b, schema)
	b.StopTimer()
	for left := b.N; left > 0; left -= depth {
		n := min(left, depth)
		for range n {
			push(b, be, rs...)
		}
		m.start()
		res, err := runner.Run(b.Context(), g, reg, nil)
		m.stop()
		if err != nil || res.Counts.Done != n*batch {
			b.Fatalf("Run = %v, %v", res, err)
		}
	}
	m.report()
}
