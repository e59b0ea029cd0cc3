package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
)

// A crowd pushes jobs and runs them while a fault goes on, and knows what was confirmed.
type crowd struct {
	*testing.T
	b     *postgres.Backend
	total int
	lease time.Duration
	ctx   context.Context // ends when somebody fails, and when it takes far too long
	fail  context.CancelCauseFunc

	pushed atomic.Int64 // jobs whose push was confirmed

	mu      sync.Mutex
	in      map[string]bool // confirmed pushes
	settled map[string]bool // confirmed settlements
	twice   []string        // jobs that were handed out after their settlement was confirmed
	lost    int
	leases  map[uuid.UUID]bool // that are held
}

// crowdTime is far longer than a crowd needs.
const crowdTime = 3 * time.Minute

func newCrowd(t *testing.T, b *postgres.Backend, total int, lease time.Duration) *crowd {
	c := &crowd{T: t, b: b, total: total, lease: lease, in: map[string]bool{}, settled: map[string]bool{}, leases: map[uuid.UUID]bool{}}
	ctx, end := context.WithTimeoutCause(t.Context(), crowdTime, fmt.Errorf("not all jobs are settled after %v", crowdTime))
	t.Cleanup(end)
	c.ctx, c.fail = context.WithCancelCause(ctx)
	return c
}

// insist repeats a call while the store is unavailable.
func (c *crowd) insist(call func() error) error {
	for {
		err := call()
		if !errors.Is(err, jobqueue.ErrUnavailable) || c.ctx.Err() != nil {
			return err
		}
	}
}

// push pushes a share of the jobs, a hundred at a time.
func (c *crowd) push(share int) error {
	for n := 0; n < share; n += 100 {
		id := uuid.New()
		var p jobqueue.Pushed
		err := c.insist(func() (err error) {
			p, err = c.b.Push(c.ctx, id, records(min(100, share-n)))
			return err
		})
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, j := range p {
			c.in[j.ID] = true
		}
		c.mu.Unlock()
		c.pushed.Add(int64(len(p)))
	}
	return nil
}

// work pops and settles until all jobs are settled.
func (c *crowd) work() error {
	for c.done() < c.total && c.ctx.Err() == nil {
		c.mu.Lock()
		before := make(map[string]bool, len(c.settled))
		for id := range c.settled {
			before[id] = true
		}
		c.mu.Unlock()
		l := lease(c.lease)
		var cs []*jobqueue.Claim
		err := c.insist(func() (err error) {
			cs, err = c.b.Pop(c.ctx, l, jobqueue.Want{Name: queue, Max: 200})
			return err
		})
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, claim := range cs {
			if before[claim.ID] {
				c.twice = append(c.twice, claim.ID)
			}
		}
		c.leases[l.Token] = true
		c.mu.Unlock()
		var lost []*jobqueue.Claim
		err = c.insist(func() (err error) {
			lost, err = c.b.Settle(c.ctx, outcomes(jobqueue.ActionDone, cs...)...)
			return err
		})
		if err != nil {
			return err
		}
		gone := map[*jobqueue.Claim]bool{}
		for _, claim := range lost {
			gone[claim] = true
		}
		c.mu.Lock()
		delete(c.leases, l.Token)
		c.lost += len(lost)
		for _, claim := range cs {
			if !gone[claim] {
				c.settled[claim.ID] = true
			}
		}
		c.mu.Unlock()
	}
	return nil
}

func (c *crowd) done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.settled)
}

// run pushes and works while fault goes on, and checks that nothing confirmed is lost or done again.
func (c *crowd) run(fault func() error) {
	c.Helper()
	errs := make(chan error, 5)
	for i := range 4 {
		go func() {
			if i < 2 {
				errs <- c.push(c.total / 2)
			} else {
				errs <- c.work()
			}
		}()
	}
	go func() { errs <- fault() }()
	for range 5 {
		if err := <-errs; err != nil {
			c.Error(err)
			c.fail(err)
		}
	}
	if err := context.Cause(c.ctx); err != nil {
		c.Fatalf("%v: %d of %d jobs are pushed, %d settled", err, c.pushed.Load(), c.total, c.done())
	}
	for id := range c.in {
		if !c.settled[id] {
			c.Errorf("job %s was pushed and is lost", id)
		}
	}
	if len(c.in) != c.total || len(c.settled) != c.total || len(c.twice) > 0 {
		c.Errorf("%d of %d jobs were pushed, %d settled; %d were handed out after that", len(c.in), c.total, len(c.settled), len(c.twice))
	}
}

// reached waits until so many jobs are settled.
func (c *crowd) reached(n int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for c.done() < n && c.ctx.Err() == nil {
		<-tick.C
	}
}

// A crash of the server loses nothing that was confirmed, and repeats nothing whose settlement was.
func TestServerCrash(t *testing.T) {
	t.Parallel()
	own, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	if !own.Private() {
		t.Fatalf("%s names a server, which a test must not crash", pgtest.Environment)
	}
	if err := postgres.Migrate(t.Context(), own.URL, nil); err != nil {
		t.Fatal(err)
	}
	b, err := postgres.Open(t.Context(), own.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	const jobs, crashes = 50_000, 4
	c := newCrowd(t, b, jobs, time.Minute)
	c.run(func() error {
		for i := range crashes {
			c.reached(jobs * (i + 1) / (crashes + 1))
			if err := errors.Join(own.Kill(), own.Restart()); err != nil {
				return err
			}
		}
		return nil
	})
	if c.lost > 0 {
		t.Errorf("%d claims were lost", c.lost)
	}
	if got := counts(t, b); got.Total() != 0 {
		t.Errorf("Counts = %+v, want none", got)
	}
}

// When all connections are cut again and again no lease is lost.
func TestTerminated(t *testing.T) {
	schema := newSchema(t)
	b, err := postgres.Open(t.Context(), with("application_name", schema), &postgres.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	const jobs, cuts = 10_000, 20
	c := newCrowd(t, b, jobs, 5*time.Second)
	k := raw(t, schema)
	c.run(func() error {
		for i := range cuts {
			c.reached(jobs * (i + 1) / (cuts + 1))
			_, err := k.Exec(c.ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", schema)
			if err != nil {
				return err
			}
			c.mu.Lock()
			var held []uuid.UUID
			for token := range c.leases {
				held = append(held, token)
			}
			c.mu.Unlock()
			if err := c.insist(func() error {
				_, err := b.Extend(c.ctx, 5*time.Second, held...)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if c.lost > 0 {
		t.Errorf("%d claims were lost", c.lost)
	}
}

// Each error of the server is what it means to a caller.
func TestErrors(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	for code, want := range map[string]error{
		"08006": jobqueue.ErrUnavailable, "40001": jobqueue.ErrUnavailable, "40P01": jobqueue.ErrUnavailable,
		"53100": jobqueue.ErrUnavailable, "53200": jobqueue.ErrUnavailable, "53300": jobqueue.ErrUnavailable,
		"55P03": jobqueue.ErrUnavailable, "57014": jobqueue.ErrUnavailable, "57P01": jobqueue.ErrUnavailable,
		"57P02": jobqueue.ErrUnavailable, "57P03": jobqueue.ErrUnavailable, "58030": jobqueue.ErrUnavailable,
		"25006": jobqueue.ErrReadOnly,
		"28P01": jobqueue.ErrInvalid, "3D000": jobqueue.ErrInvalid, "3F000": jobqueue.ErrInvalid,
		"42P01": jobqueue.ErrInvalid, "42501": jobqueue.ErrInvalid,
	} {
		if err := b.Classify(code); !errors.Is(err, want) {
			t.Errorf("code %s is %v, want %v", code, err, want)
		}
	}
}

// A server that is away is told of once, on one line, with and without TLS though it was tried.
func TestErrorsAway(t *testing.T) {
	_, err := postgres.Open(t.Context(), "postgres://ann@127.0.0.1:1/none", nil)
	if !errors.Is(err, jobqueue.ErrUnavailable) || strings.Count(err.Error(), "refused") != 1 || strings.Contains(err.Error(), "\n") {
		t.Errorf("Open = %v, want an ErrUnavailable that says once that the connection was refused", err)
	}
}

// The errors that a server can be made to give.
func TestErrorsReal(t *testing.T) {
	schema := newSchema(t)
	admin := raw(t, schema)
	run := func(text string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	run(fmt.Sprintf("create role %[1]s login; grant usage on schema %[1]s to %[1]s; grant all on all tables in schema %[1]s to %[1]s; grant all on all sequences in schema %[1]s to %[1]s", schema))
	t.Cleanup(func() {
		admin.Exec(context.Background(), fmt.Sprintf("drop owned by %[1]s; drop role %[1]s", schema))
	})
	as := func(user string, o *postgres.Options) (*postgres.Backend, error) {
		b, err := postgres.Open(t.Context(), with("user", user), o)
		if err == nil {
			t.Cleanup(func() { b.Close() })
		}
		return b, err
	}
	o := &postgres.Options{Schema: schema}
	b, err := as(schema, o)
	if err != nil {
		t.Fatal(err)
	}
	push(t, b, records(1)...)

	if _, err := as("nobody_"+schema, o); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Open as a role that does not exist = %v, want %v", err, jobqueue.ErrInvalid)
	}
	run("alter role " + schema + " connection limit 1")
	if _, err := as(schema, o); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Open with too many connections = %v, want %v", err, jobqueue.ErrUnavailable)
	}
	run("alter role " + schema + " connection limit -1")
	run("alter role " + schema + " set default_transaction_read_only = on")
	readOnly, err := as(schema, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readOnly.Push(t.Context(), uuid.New(), records(1)); !errors.Is(err, jobqueue.ErrReadOnly) {
		t.Errorf("Push to a server that takes no writes = %v, want %v", err, jobqueue.ErrReadOnly)
	}
	run("alter role " + schema + " reset default_transaction_read_only")
	release := block(t, schema)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.Push(ctx, uuid.New(), records(1)); !errors.Is(err, jobqueue.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Push that has to wait = %v, want %v", err, context.DeadlineExceeded)
	}
	release()
	push(t, b, records(1)...)
	run("alter table job rename column pushed to pressed")
	if _, err := b.Push(t.Context(), uuid.New(), records(1)); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Push without a column = %v, want %v", err, jobqueue.ErrInvalid)
	}
	run("drop table push cascade")
	if _, err := b.Push(t.Context(), uuid.New(), records(1)); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Push without a table = %v, want %v", err, jobqueue.ErrInvalid)
	}
}

// A row that is damaged is abandoned with the reason, and the rest of its batch runs.
func TestDamagedRow(t *testing.T) {
	schema := newSchema(t)
	b := openSchema(t, &postgres.Options{Schema: schema})
	p := push(t, b, records(5)...)
	for i, damage := range []string{"params = 'x'", "failures = -1"} {
		if _, err := raw(t, schema).Exec(t.Context(), "update job set "+damage+" where id = $1::text::bigint", p[i+1].ID); err != nil {
			t.Fatal(err)
		}
	}
	cs := pop(t, b, 10)
	if len(cs) != 3 || cs[0].ID != p[0].ID || cs[1].ID != p[3].ID {
		t.Fatalf("Pop = %v, want three jobs", cs)
	}
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, cs...)...); len(lost) > 0 {
		t.Errorf("Settle lost %d claims", len(lost))
	}
	if got := counts(t, b); got.Abandoned != 2 || got.Total() != 2 {
		t.Errorf("Counts = %+v, want 2 abandoned", got)
	}
	for e, err := range b.List(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Abandoned}}) {
		if err != nil || e.LastError == "" {
			t.Errorf("List = %+v, %v, want the reason", e, err)
		}
	}
	integrity(t, raw(t, schema))
}

// A session that has lost its prepared statements, as behind a pooler, prepares them anew.
func TestUnprepared(t *testing.T) {
	b := openSchema(t, &postgres.Options{Schema: newSchema(t)})
	push(t, b, records(1)...)
	postgres.Statements["test_deallocate"] = "deallocate all"
	defer delete(postgres.Statements, "test_deallocate")
	for range 3 {
		done := false
		err := b.Write(t.Context(), func(tx queuedb.Tx) error {
			if done {
				return nil
			}
			done = true
			_, err := tx.Count("test_deallocate")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		push(t, b, records(1)...)
		if cs := pop(t, b, 1); len(cs) != 1 {
			t.Fatalf("Pop = %d jobs, want one", len(cs))
		}
	}
}
