package postgres_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/runner"
)

// A long is a job that runs until it is told to end.
type long struct {
	starts *sync.Map // by job
	again  func(id string)
	end    <-chan struct{}
	begun  chan<- string
}

func (*long) Type() string { return queue.Type }

func (j *long) Run(ctx context.Context) error {
	id := jobqueue.FromContext(ctx).ID
	if _, again := j.starts.LoadOrStore(id, true); again {
		j.again(id)
		return nil
	}
	j.begun <- id
	<-j.end
	return nil
}

// A beaten is a backend that tells when a heartbeat has arrived. The next one comes when it has been told.
type beaten struct {
	*postgres.Backend
	told func()
}

func (b *beaten) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) ([]uuid.UUID, error) {
	lost, err := b.Backend.Extend(ctx, ttl, tokens...)
	if err == nil {
		b.told()
	}
	return lost, err
}

// A job that takes more than ten leases runs once, while its runner lives and another one has nothing to do.
func TestLongJobs(t *testing.T) {
	const jobs, leases = 8, 10
	// Sweeps that follow each other as fast do not take the store for one that was away.
	const lease, step = 2300 * time.Millisecond, 1100 * time.Millisecond
	schema := newSchema(t)
	at := time.Now()
	open := func() *postgres.Backend {
		b := openSchema(t, &postgres.Options{Schema: schema, Relaxed: true})
		b.StopClock(at)
		return b
	}
	busy, idle := open(), open()
	end, begun, over := make(chan struct{}), make(chan string), make(chan struct{})
	var starts sync.Map
	again := func(id string) { t.Errorf("job %s runs again", id) }
	results := make(chan runner.Counts, 2)
	late := time.After(time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	run := func(b jobqueue.Backend, name string) {
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job { return &long{&starts, again, end, begun} }, jobqueue.Policy{Lease: lease})
		g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: b, Policy: reg.Policy})
		go func() {
			res, err := runner.Run(ctx, g, reg, &runner.Options{
				Workers: jobs, Wait: true, Owner: name, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			results <- res.Counts
		}()
	}
	starting := func(n int) {
		t.Helper()
		for range n {
			select {
			case <-begun:
			case <-late:
				t.Fatal("a job does not start")
			}
		}
	}
	var passed time.Duration
	var passes atomic.Bool
	told := func() {
		for n := 0; n < 2 && passes.Load(); n++ {
			busy.Shift(step)
			idle.Shift(step)
			for _, err := range idle.Ready(ctx) { // It sweeps.
				if err != nil {
					t.Error(err)
				}
			}
			if passed += step; passed > leases*lease {
				passes.Store(false)
				close(over)
			}
		}
	}
	push(t, busy, records(jobs)...)
	run(&beaten{busy, told}, "busy")
	starting(jobs)
	run(idle, "idle")
	passes.Store(true)
	select {
	case <-over:
	case <-late:
		t.Fatalf("heartbeats for no more than %v", passed)
	}
	// Whoever starts this one would have found those whose lease has ended.
	push(t, busy, records(1)...)
	starting(1)
	close(end)
	until(t, "end of all jobs", func() bool { return counts(t, idle).Total() == 0 })
	stop()
	done := 0
	for range 2 {
		done += (<-results).Done
	}
	if done != jobs+1 {
		t.Errorf("%d jobs are done, want %d", done, jobs+1)
	}
}
