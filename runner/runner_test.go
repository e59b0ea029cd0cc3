package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A call is a job whose Run is looked up in a script by its type.
type call struct {
	N   int `json:"n"`
	typ string
	run func(ctx context.Context, n int) error
}

func (c *call) Type() string                  { return c.typ }
func (c *call) Run(ctx context.Context) error { return c.run(ctx, c.N) }

// A farm is a memory backend, its group, and the types that can be run.
type farm struct {
	testing.TB
	store  *queuememory.Backend
	faults *faults
	routes jobqueue.Routes
	group  *jobqueue.Group
	reg    *jobqueue.Registry
}

// newFarm returns a farm whose store fails on demand.
func newFarm(t testing.TB, change ...func(*jobqueue.Routes)) *farm {
	f := &farm{TB: t, store: queuememory.New(), reg: &jobqueue.Registry{}}
	f.faults = &faults{Backend: f.store}
	f.routes = jobqueue.Routes{Default: f.faults}
	for _, c := range change {
		c(&f.routes)
	}
	f.group = jobqueue.NewGroup("wiki", f.routes)
	return f
}

// add registers a type.
func (f *farm) add(typ string, p jobqueue.Policy, run func(ctx context.Context, n int) error) {
	f.reg.Add(func() jobqueue.Job { return &call{typ: typ, run: run} }, p)
}

// push pushes n jobs numbered from 0 on the home domain.
func (f *farm) push(typ string, n int) {
	f.Helper()
	f.pushOn("wiki", typ, n)
}

func (f *farm) pushOn(domain, typ string, n int) {
	f.Helper()
	specs := make([]jobqueue.Spec, n)
	for i := range specs {
		specs[i] = jobqueue.Spec{Domain: domain, Type: typ, Params: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	if _, err := f.group.Push(f.Context(), specs...); err != nil {
		f.Fatal(err)
	}
}

// run runs with options o, whose logger is silenced.
func (f *farm) run(ctx context.Context, o runner.Options) *runner.Result {
	f.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	res, err := runner.Run(ctx, f.group, f.reg, &o)
	if !errors.Is(err, res.Err) {
		f.Errorf("Run = %v, %v, want the error in the result", res, err)
	}
	return res
}

// goRun runs in the background.
func (f *farm) goRun(ctx context.Context, o runner.Options) <-chan *runner.Result {
	done := make(chan *runner.Result, 1)
	go func() { done <- f.run(ctx, o) }()
	return done
}

// reached fails the test unless the run ended for the reason.
func (f *farm) reached(res *runner.Result, want runner.Reason) {
	f.Helper()
	if res.Reached != want {
		f.Errorf("reached %q (%v), want %q", res.Reached, res, want)
	}
}

// counted fails the test unless the counts are as wanted.
func (f *farm) counted(res *runner.Result, want runner.Counts) {
	f.Helper()
	if res.Counts != want {
		f.Errorf("counts are %+v, want %+v", res.Counts, want)
	}
}

// stored fails the test unless the queue holds jobs in these states.
func (f *farm) stored(typ string, ready, delayed, claimed, abandoned int) {
	f.Helper()
	c, err := f.store.Counts(f.Context(), jobqueue.Name{Domain: "wiki", Type: typ})
	if err != nil {
		f.Fatal(err)
	}
	if got, want := [4]int{c[0].Ready, c[0].Delayed, c[0].Claimed, c[0].Abandoned}, [4]int{ready, delayed, claimed, abandoned}; got != want {
		f.Errorf("ready, delayed, claimed, abandoned = %v, want %v", got, want)
	}
}

// faults is a backend whose calls can be made to fail or hang.
type faults struct {
	jobqueue.Backend
	mu   sync.Mutex
	fail func(ctx context.Context, op string) error // before the effect
	late func(ctx context.Context, op string) error // after it
	n    map[string]int

	refuse string // an outcome with this error is refused, and so its batch
}

// set replaces what fails.
func (b *faults) set(fail func(ctx context.Context, op string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

func (b *faults) calls(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n[op]
}

// do calls the backend, unless it is to fail before or after.
func (b *faults) do(ctx context.Context, op string, call func() error) error {
	b.mu.Lock()
	if b.n == nil {
		b.n = map[string]int{}
	}
	b.n[op]++
	fail, late := b.fail, b.late
	b.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, op); err != nil {
			return err
		}
	}
	if err := call(); err != nil || late == nil {
		return err
	}
	return late(ctx, op)
}

func (b *faults) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) (claims []*jobqueue.Claim, err error) {
	err = b.do(ctx, "pop", func() error {
		claims, err = b.Backend.Pop(ctx, l, wants...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claims, nil
}

func (b *faults) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	for _, o := range outcomes {
		if b.refuse != "" && o.Err == b.refuse {
			return nil, fmt.Errorf("%w: %s", jobqueue.ErrInvalid, b.refuse)
		}
	}
	err = b.do(ctx, "settle", func() error {
		lost, err = b.Backend.Settle(ctx, outcomes...)
		return err
	})
	return lost, err
}

func (b *faults) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	err = b.do(ctx, "extend", func() error {
		lost, err = b.Backend.Extend(ctx, ttl, tokens...)
		return err
	})
	return lost, err
}

func (b *faults) Ready(ctx context.Context, names ...jobqueue.Name) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		if err := b.do(ctx, "ready", func() error { return nil }); err != nil {
			yield(jobqueue.Backlog{}, err)
			return
		}
		b.Backend.Ready(ctx, names...)(yield)
	}
}

func (b *faults) Maintain(ctx context.Context) (m jobqueue.Maintained, err error) {
	err = b.do(ctx, "maintain", func() error {
		m, err = b.Backend.Maintain(ctx)
		return err
	})
	return m, err
}

// failing returns a fault of some calls, or of all.
func failing(err error, ops ...string) func(context.Context, string) error {
	return func(_ context.Context, op string) error {
		if len(ops) == 0 || slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

// hanging returns a fault that makes some calls hang until their deadline.
func hanging(ops ...string) func(context.Context, string) error {
	return func(ctx context.Context, op string) error {
		if !slices.Contains(ops, op) {
			return nil
		}
		<-ctx.Done()
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, ctx.Err())
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm(t)
		var sum atomic.Int64
		f.add("add", jobqueue.Policy{}, func(ctx context.Context, n int) error {
			sum.Add(int64(n))
			return nil
		})
		f.push("add", 5000)
		res := f.run(t.Context(), runner.Options{})
		f.reached(res, runner.NoneReady)
		f.counted(res, runner.Counts{Done: 5000})
		f.stored("add", 0, 0, 0, 0)
		if got, want := sum.Load(), int64(5000*4999/2); got != want {
			t.Errorf("sum = %d, want %d", got, want)
		}
	})
}

// expire lets the claims of all jobs of a type run out so many times.
func (f *farm) expire(typ string, times int) {
	f.Helper()
	for range times {
		l := jobqueue.Lease{Token: uuid.New(), TTL: time.Second}
		if _, err := f.store.Pop(f.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: typ}, Max: 1000}); err != nil {
			f.Fatal(err)
		}
		// In steps shorter than half a lease, as a longer one would count as time the store was away.
		for range 4 {
			f.store.Shift(400 * time.Millisecond)
			if _, err := f.store.Maintain(f.Context()); err != nil {
				f.Fatal(err)
			}
		}
	}
	for e, err := range f.store.List(f.Context(), jobqueue.Filter{Type: typ}) {
		if err != nil || e.Expiries != times {
			f.Fatalf("List = %+v, %v, want %d expiries", e, err, times)
		}
	}
}
