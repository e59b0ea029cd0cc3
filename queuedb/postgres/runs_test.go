package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/runner"
)

// pushing is a job that pushes others, too many to share a transaction.
type pushing struct {
	b    jobqueue.Backend
	runs *atomic.Int64
}

func (*pushing) Type() string { return queue.Type }

func (j *pushing) Run(ctx context.Context) error {
	j.runs.Add(1)
	id := uuid.New()
	rs := records(200)
	for i := range rs {
		rs[i].Type = "other"
	}
	for {
		_, err := j.b.Push(ctx, id, rs)
		if !errors.Is(err, jobqueue.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
}

// While handlers hold all connections for work, for three leases, none of their claims is lost.
func TestPoolHeld(t *testing.T) {
	const handlers, ttl = 16, time.Second
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	push(t, b, records(handlers)...)
	var runs atomic.Int64
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &pushing{b, &runs} }, jobqueue.Policy{Lease: ttl})
	g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b, Policy: reg.Policy})
	release := block(t, schema)
	defer release()
	var res *runner.Result
	ended := make(chan error, 1)
	go func() {
		var err error
		res, err = runner.Run(t.Context(), g, reg, &runner.Options{Workers: handlers, Logger: slog.New(slog.DiscardHandler)})
		ended <- err
	}()
	until(t, "run of every job", func() bool { return runs.Load() == handlers })
	until(t, "push that waits", blocked(t, schema))
	c := raw(t, schema)
	expires := func() (at int64) {
		if err := c.QueryRow(t.Context(), "select coalesce(min(expires), 0) from claim").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := expires()
	until(t, "lease that was extended again and again", func() bool { return expires() >= first+(3*ttl).Microseconds() })
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if res.Counts.Done != handlers || res.Counts.Lost > 0 || runs.Load() != handlers {
		t.Errorf("%d runs, %+v, want %d done", runs.Load(), res.Counts, handlers)
	}
}
