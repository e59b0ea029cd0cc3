package federated_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A stubborn is a memory that refuses what it is told to.
type stubborn struct {
	*queuememory.Backend
	onHold   func()
	keeps    bool // no holds
	releases int  // refused so often
	full     bool // takes no jobs and moves no marks, reads as ever
}

func (m *stubborn) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if m.full {
		return nil, errDown
	}
	return m.Backend.Push(ctx, id, records)
}

func (m *stubborn) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	for _, mark := range marks {
		if m.full && !mark.Time.IsZero() {
			return nil, errDown
		}
	}
	return m.Backend.MarkRoots(ctx, marks...)
}

func (m *stubborn) Hold(ctx context.Context, h jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	if m.onHold != nil {
		m.onHold()
	}
	return m.Backend.Hold(ctx, h, most)
}

func (m *stubborn) Keep(ctx context.Context, h jobqueue.Hold, held []jobqueue.Held) error {
	if m.keeps {
		return errDown
	}
	return m.Backend.Keep(ctx, h, held)
}

func (m *stubborn) Release(ctx context.Context, h jobqueue.Hold) (int, int, error) {
	if m.releases > 0 {
		m.releases--
		return 0, 0, errDown
	}
	return m.Backend.Release(ctx, h)
}

func newStubborn(n int) (all []*stubborn) {
	for range n {
		all = append(all, &stubborn{Backend: queuememory.New()})
	}
	return all
}

// join returns a federation of the memories with these weights.
func join(t *testing.T, all []*stubborn, weights ...float64) *federated.Backend {
	t.Helper()
	var parts []federated.Partition
	for i, m := range all {
		parts = append(parts, federated.Partition{Name: fmt.Sprint("q", i+1), Weight: weights[i], Backend: m})
	}
	b, err := federated.New(t.Context(), parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A hold that somebody begins to keep with other weights, and somebody else with those of before, is whole in the end.
func TestKeepOtherWeights(t *testing.T) {
	all := newStubborn(3)
	before, after := join(t, all, 1, 1, 1), join(t, all, 2, 1, 1)
	var held []jobqueue.Held
	for _, r := range uniques(90) {
		held = append(held, jobqueue.Held{Record: r, QueuedAt: time.Now()})
	}
	h := jobqueue.Hold{ID: uuid.New(), Name: name, Label: "x"}
	all[2].keeps = true
	for _, b := range []*federated.Backend{before, after} {
		if err := b.Keep(t.Context(), h, held); err == nil {
			t.Fatal("Keep succeeded without a partition")
		}
	}
	all[2].keeps = false
	if err := before.Keep(t.Context(), h, held); err != nil {
		t.Fatal(err)
	}
	if stored, _, err := before.Release(t.Context(), h); stored != 90 || err != nil {
		t.Errorf("Release = %d, %v, want 90", stored, err)
	}
}

// Holds finds a hold whose jobs are still being taken. What its taker cannot add to it any more is not lost.
func TestHoldsWhileTaken(t *testing.T) {
	all := newStubborn(2)
	taker, other := join(t, all, 1, 1), join(t, all, 1, 1)
	if _, err := taker.Push(t.Context(), uuid.New(), uniques(40)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range all {
		m.onHold = func() {
			if n++; n == 2 { // one part is taken
				if found, err := other.Holds(t.Context()); err != nil || len(found) != 1 {
					t.Errorf("Holds = %v, %v, want the hold", found, err)
				}
				for _, m := range all {
					m.releases = 2
				}
			}
		}
	}
	h := jobqueue.Hold{ID: uuid.New(), Name: name, Label: "x"}
	if held, err := taker.Hold(t.Context(), h, 1000); err == nil {
		t.Fatalf("Hold = %d jobs, want an error", len(held))
	}
	for _, m := range all {
		m.releases = 0
	}
	held, err := other.Held(t.Context(), h)
	if err != nil || len(held) == 0 || len(held) == 40 {
		t.Fatalf("the hold has %d jobs, %v, want those of one partition", len(held), err)
	}
	if _, err := other.Holds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stored, _, err := other.Release(t.Context(), h); stored != len(held) || err != nil {
		t.Errorf("Release = %d, %v, want %d", stored, err, len(held))
	}
	if c, err := other.Counts(t.Context(), name); err != nil || c[0].Ready != 40 {
		t.Errorf("Counts = %v, %v, want 40 ready", c, err)
	}
}

// The pages of a list say that a partition is missing.
func TestListPages(t *testing.T) {
	c, all := fakes(t, 3)
	c.push(uniques(60)...)
	all[0].down()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: c.b})
	n, failed := 0, 0
	for _, err := range g.List(t.Context(), jobqueue.Filter{Limit: 5}) {
		if err != nil {
			failed++
		} else {
			n++
		}
	}
	if n != 5 || failed != 1 {
		t.Errorf("List yields %d jobs and %d errors, want 5 and one", n, failed)
	}
}

// While the partition that may have claims of a Pop is away, its repeat gets those of others.
func TestPopRepeatElsewhere(t *testing.T) {
	want := jobqueue.Want{Name: name, Max: 100}
	for tries := 0; ; tries++ {
		c, all := fakes(t, 2)
		c.push(uniques(40)...)
		all[0].busy.Store(true) // claims hang, probes are answered
		l := lease()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := c.b.Pop(ctx, l, want)
		cancel()
		if n, _ := all[1].store.Counts(t.Context(), name); tries < 100 && (err == nil || n[0].Ready == 0) {
			continue // the other one was asked first
		}
		all[0].busy.Store(false)
		all[0].down()
		var claims []*jobqueue.Claim
		for range 3 {
			if claims, err = c.b.Pop(t.Context(), l, want); err == nil {
				break
			}
		}
		if err != nil || len(claims) == 0 {
			t.Errorf("the repeated Pop = %d claims, %v, want those of the other partition", len(claims), err)
		}
		return
	}
}

// A push that is repeated has the times of new roots that it had.
func TestPushRepeatRoots(t *testing.T) {
	c, all := fakes(t, 2)
	records := uniques(40)
	for i := range records {
		records[i].Root.Key = "edit"
	}
	slow := all[0]
	if c.b.Keeper(name, "edit") == "q1" {
		slow = all[1]
	}
	slow.busy.Store(true)
	id := uuid.New()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	if _, err := c.b.Push(ctx, id, records); err == nil {
		t.Fatal("Push succeeded though a partition hangs")
	}
	cancel()
	slow.busy.Store(false)
	c.pushAs(id, records...)
	for _, claim := range c.pop(100) {
		if claim.Superseded {
			t.Fatalf("job %s is superseded by another of its push", claim.ID)
		}
	}
}

// A push in pieces, all with one new root, is not superseded by itself while the keeper of the root's mark takes no writes,
// nor while it is away.
func TestPushPiecesRoots(t *testing.T) {
	for _, kind := range []string{"full", "away"} {
		t.Run(kind, func(t *testing.T) {
			all := newStubborn(2)
			b := join(t, all, 1, 1)
			k := 0
			if b.Keeper(name, "edit") == "q2" {
				k = 1
			}
			if kind == "full" {
				all[k].full = true
			} else {
				c, fs := fakes(t, 2)
				b = c.b
				fs[k].down()
			}
			g := jobqueue.NewGroup(name.Domain, jobqueue.Routes{Default: b})
			specs := make([]jobqueue.Spec, 2500)
			for i := range specs {
				specs[i] = jobqueue.Spec{Type: name.Type, Params: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), Root: jobqueue.Root{Key: "edit"}}
			}
			if pushed, err := g.Push(t.Context(), specs...); err != nil || pushed.Stored() != len(specs) {
				t.Errorf("Push stored %d, %v", pushed.Stored(), err)
			}
			n := 0
			for {
				claims, err := b.Pop(t.Context(), lease(), jobqueue.Want{Name: name, Max: 1000})
				if err != nil || len(claims) == 0 {
					break
				}
				for _, c := range claims {
					if n++; c.Superseded {
						t.Fatalf("job %s is superseded by another of its push", c.ID)
					}
				}
			}
			if n != len(specs) {
				t.Errorf("%d jobs were handed out, want %d", n, len(specs))
			}
		})
	}
}

// Copies of values are apart from what a partition keeps for itself.
func TestCopiesApart(t *testing.T) {
	all := newStubborn(2)
	b := join(t, all, 1, 1)
	for _, v := range []struct {
		control jobqueue.Control
		data    string
	}{{all[1], "its own"}, {b, "the federation's"}} {
		if _, ok, err := v.control.SetValue(t.Context(), jobqueue.Value{Key: "id", Data: []byte(v.data), Version: jobqueue.AnyVersion}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for i, want := range []string{"the federation's", "its own"} {
		got, err := all[i].Values(t.Context(), "id")
		if err != nil || len(got) != 1 || string(got[0].Data) != want {
			t.Errorf("q%d has %v, %v, want %s", i+1, got, err, want)
		}
	}
}
