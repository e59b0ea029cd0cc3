package federated_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A fake is a memory backend behind a connection that fails as it is told.
type fake struct {
	jobqueue.Backend // with what fails by the calls
	store            *queuememory.Backend
	hung             atomic.Bool // no call returns before its context ends, nor takes effect
	busy             atomic.Bool // so it is with all but MarkRoots
	probes           atomic.Int64

	mu    sync.Mutex
	fails func(op string) error
}

var errDown = fmt.Errorf("%w: connection refused", jobqueue.ErrUnavailable)

func newFake() *fake {
	f := &fake{store: queuememory.New()}
	f.Backend = queuetest.Faulty(f.store, func(op string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.fails == nil {
			return nil
		}
		return f.fails(op)
	})
	return f
}

// fail has calls fail from now on as fails says; with nil none does.
func (f *fake) fail(fails func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = fails
}

func (f *fake) down() { f.fail(func(string) error { return errDown }) }
func (f *fake) up()   { f.fail(nil) }

// once has the next call of op fail with err, and no other.
func (f *fake) once(op string, err error) {
	left := 1
	f.fail(func(called string) error {
		if called != op || left == 0 {
			return nil
		}
		left--
		return err
	})
}

// wait waits while the fake hangs.
func (f *fake) wait(ctx context.Context, reads bool) error {
	if !f.hung.Load() && (reads || !f.busy.Load()) {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
}

func (f *fake) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if err := f.wait(ctx, false); err != nil {
		return nil, err
	}
	return f.Backend.Push(ctx, id, records)
}

func (f *fake) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := f.wait(ctx, false); err != nil {
		return nil, err
	}
	return f.Backend.Pop(ctx, l, wants...)
}

func (f *fake) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) ([]uuid.UUID, error) {
	if err := f.wait(ctx, false); err != nil {
		return nil, err
	}
	return f.Backend.Extend(ctx, ttl, tokens...)
}

func (f *fake) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	if len(marks) == 1 && marks[0].Key == "probe" {
		f.probes.Add(1)
	}
	if err := f.wait(ctx, true); err != nil {
		return nil, err
	}
	return f.Backend.MarkRoots(ctx, marks...)
}

func (f *fake) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if err := f.wait(ctx, false); err != nil {
		return nil, err
	}
	return f.Backend.(jobqueue.Control).Values(ctx, prefix)
}

func (f *fake) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	return f.Backend.(jobqueue.Control).SetValue(ctx, v)
}

func (f *fake) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	return f.Backend.(jobqueue.Limiter).Charge(ctx, charges...)
}

func (f *fake) Wait(ctx context.Context) ([]jobqueue.Name, error) { return f.store.Wait(ctx) }

// fakes returns a federation of n fakes, q1 and so on, of equal weights.
func fakes(t *testing.T, n int) (*client, []*fake) {
	t.Helper()
	var all []*fake
	for range n {
		all = append(all, newFake())
	}
	return &client{t, open(t, partsOf(all), nil)}, all
}

func partsOf(all []*fake) (parts []federated.Partition) {
	for i, f := range all {
		parts = append(parts, federated.Partition{Name: fmt.Sprint("q", i+1), Weight: 1, Backend: f})
	}
	return parts
}

// A client calls a backend and fails the test with the errors it does not expect.
type client struct {
	*testing.T
	b *federated.Backend
}

var name = jobqueue.Name{Domain: "wiki", Type: "work"}

func record(n int) jobqueue.Record {
	return jobqueue.Record{Name: name, Params: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
}

// unique returns a record that is deduplicated by its number.
func unique(n int) jobqueue.Record {
	r := record(n)
	r.Digest = jobqueue.KeyDigest(fmt.Sprint(n))
	return r
}

// uniques returns the records 0 to n-1, deduplicated, so that they spread over all partitions.
func uniques(n int) []jobqueue.Record {
	records := make([]jobqueue.Record, n)
	for i := range records {
		records[i] = unique(i)
	}
	return records
}

func (c *client) push(records ...jobqueue.Record) jobqueue.Pushed {
	c.Helper()
	return c.pushAs(uuid.New(), records...)
}

func (c *client) pushAs(id uuid.UUID, records ...jobqueue.Record) jobqueue.Pushed {
	c.Helper()
	pushed, err := c.b.Push(c.Context(), id, records)
	if err != nil {
		c.Fatalf("Push: %v", err)
	}
	return pushed
}

func lease() jobqueue.Lease { return jobqueue.Lease{Token: uuid.New(), TTL: time.Hour} }

func (c *client) pop(n int) []*jobqueue.Claim {
	c.Helper()
	claims, err := c.b.Pop(c.Context(), lease(), jobqueue.Want{Name: name, Max: n})
	if err != nil {
		c.Fatalf("Pop: %v", err)
	}
	return claims
}

func done(claims ...*jobqueue.Claim) []jobqueue.Outcome {
	outcomes := make([]jobqueue.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}
	}
	return outcomes
}

// holds wants a store to have so many jobs ready.
func (c *client) holds(f *fake, ready int) {
	c.Helper()
	counts, err := f.store.Counts(c.Context(), name)
	if err != nil || counts[0].Ready != ready {
		c.Fatalf("Counts = %+v, %v, want %d ready", counts, err, ready)
	}
}

// missing wants err to be a PartError that names these partitions.
func (c *client) missing(err error, names ...string) *jobqueue.PartError {
	c.Helper()
	part, ok := errors.AsType[*jobqueue.PartError](err)
	if !ok || fmt.Sprint(part.Parts) != fmt.Sprint(names) {
		c.Fatalf("the error is %v, want a PartError of %v", err, names)
	}
	return part
}
