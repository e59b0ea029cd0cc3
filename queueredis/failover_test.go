package queueredis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/runner"
)

// patience is how long the tests of fail-overs wait for what they expect much sooner.
const patience = 2 * time.Minute

// numbered is a job that notes that it ran.
type numbered struct {
	N int
	d *drain
}

func (*numbered) Type() string { return "numbered" }

func (j *numbered) Run(context.Context) error {
	j.d.ran(j.N)
	return nil
}

// A drain is a runner that runs numbered jobs of some domains.
type drain struct {
	*testing.T
	b      *queueredis.Backend
	group  *jobqueue.Group
	names  []jobqueue.Name
	pushed int

	mu      sync.Mutex
	runs    map[int]int
	until   int           // runs before there is trouble
	reached chan struct{} // closed then
}

func newDrain(t *testing.T, b *queueredis.Backend, domains ...string) *drain {
	d := &drain{T: t, b: b, runs: map[int]int{}, reached: make(chan struct{})}
	d.group = jobqueue.NewGroup(domains[0], jobqueue.Routes{Default: b, Policy: func(string) jobqueue.Policy {
		return jobqueue.Policy{Lease: 2 * time.Second}
	}})
	for _, domain := range domains {
		d.names = append(d.names, jobqueue.Name{Domain: domain, Type: "numbered"})
	}
	return d
}

func (d *drain) push(n int) {
	d.Helper()
	for end := d.pushed + n; d.pushed < end; {
		specs := make([]jobqueue.Spec, min(1000, end-d.pushed))
		for i := range specs {
			specs[i] = jobqueue.Spec{Job: &numbered{N: d.pushed}, Domain: d.names[d.pushed%len(d.names)].Domain}
			d.pushed++
		}
		if _, err := d.group.Push(d.Context(), specs...); err != nil {
			d.Fatal(err)
		}
	}
}

func (d *drain) ran(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs[n]++
	if d.until--; d.until == 0 {
		close(d.reached)
	}
}

// left returns how many jobs are still to be run.
func (d *drain) left(ctx context.Context) (n int, err error) {
	counts, err := d.group.Counts(ctx, d.names...)
	for _, c := range counts {
		n += c.Ready + c.Delayed + c.Claimed
	}
	return n, err
}

// run drains everything. After half of the jobs have run there is trouble, which the runner has to come through by
// itself. It returns how many runs were repeated and which jobs never ran.
func (d *drain) run(trouble func()) (again int, lost []int) {
	d.Helper()
	d.until = d.pushed / 2
	var reg jobqueue.Registry
	reg.Add(func() jobqueue.Job { return &numbered{d: d} }, jobqueue.Policy{})
	ctx, stop := context.WithTimeout(d.Context(), patience)
	defer stop()
	type ended struct {
		result *runner.Result
		err    error
	}
	end := make(chan ended, 1)
	go func() {
		r, err := runner.Run(ctx, d.group, &reg, &runner.Options{Wait: true, Workers: 8, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		end <- ended{r, err}
	}()
	select {
	case <-d.reached:
	case <-ctx.Done():
		d.Fatal("the jobs do not run")
	}
	begin := time.Now()
	trouble()
	back := time.Since(begin)
	awaitTrue(d.T, "everything to be run", func(ctx context.Context) (bool, error) {
		n, err := d.left(ctx)
		return n == 0, err
	})
	took := time.Since(begin)
	stop()
	e := <-end
	if e.err != nil {
		d.Errorf("the runner: %v", e.err)
	}
	for n := range d.pushed {
		if d.runs[n] == 0 {
			lost = append(lost, n)
		}
		again += max(0, d.runs[n]-1)
	}
	d.Logf("%d jobs, %d runs were repeated, %d jobs never ran; the trouble took %v, all was done after %v; %+v",
		d.pushed, again, len(lost), back, took, e.result.Counts)
	return again, lost
}

// wakes fails the test unless those who wait hear of pushes.
func (d *drain) wakes() {
	d.Helper()
	name := jobqueue.Name{Domain: d.names[0].Domain, Type: "wake"}
	ctx, stop := context.WithTimeout(d.Context(), patience)
	defer stop()
	heard := make(chan error, 1)
	go func() {
		for {
			names, err := d.b.Wait(ctx)
			if err != nil || slices.Contains(names, name) {
				heard <- err
				return
			}
		}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// Only a queue that was empty tells of a push.
		if _, err := d.b.Delete(ctx, jobqueue.Filter{Domain: name.Domain, Type: name.Type}); err == nil {
			d.b.Push(ctx, uuid.New(), []jobqueue.Record{{Name: name}})
		}
		select {
		case err := <-heard:
			if err != nil {
				d.Errorf("nobody hears of a push: %v", err)
			}
			return
		case <-tick.C:
		}
	}
}

// awaitTrue waits for a condition. An error of it does not matter unless it lasts.
func awaitTrue(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := condition(ctx)
		if ok && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}

// replicated waits until the replica of a server has all that it has.
func replicated(t *testing.T, s *redistest.Server) {
	t.Helper()
	c := s.Client()
	defer c.Close()
	// WAIT is about what its own connection has written.
	conn := c.Conn()
	defer conn.Close()
	must(t, conn.Publish(t.Context(), "nobody", "").Err())
	if n, err := conn.Wait(t.Context(), 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas have everything: %v", n, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// some returns the first few of many.
func some[T any](all []T) string { return fmt.Sprint(all[:min(len(all), 10)]) }
