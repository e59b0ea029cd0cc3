package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

func (b *faults) before(ctx context.Context, op string) error {
	b.mu.Lock()
	if b.n == nil {
		b.n = map[string]int{}
	}
	b.n[op]++
	fail := b.fail
	b.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, op)
}

func (b *faults) after(ctx context.Context, op string) error {
	b.mu.Lock()
	late := b.late
	b.mu.Unlock()
	if late == nil {
		return nil
	}
	return late(ctx, op)
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

var _ = time.Second
