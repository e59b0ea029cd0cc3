package postgres_test

import (
	"context"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	batch = 1000
	depth = 100 // batches that wait when a drain begins
)

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
	m.report(b.N * batch)
}
