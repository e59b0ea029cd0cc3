package queuememory_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

func open(testing.TB) jobqueue.Backend { return queuememory.New() }

func TestBackend(t *testing.T) { queuetest.TestBackend(t, open) }

func openPrefixed(testing.TB) jobqueue.Backend { return queuememory.New().WithPrefix("here:") }

func TestPrefix(t *testing.T) {
	queuetest.TestBackend(t, openPrefixed)
	b := openPrefixed(t)
	pushed, err := b.Push(t.Context(), uuid.New(), []jobqueue.Record{{Name: jobqueue.Name{Domain: "wiki", Type: "null"}, Params: []byte("{}")}})
	if err != nil || pushed[0].ID != "here:1" {
		t.Errorf("Push = %v, %v, want the job here:1", pushed, err)
	}
	if n, err := b.Delete(t.Context(), jobqueue.Filter{IDs: []string{"1", "there:1", "here:"}}); n != 0 || err != nil {
		t.Errorf("Delete of what has another prefix = %d, %v", n, err)
	}
}

// A claim does not have a job that was taken away from it and moved, and has another number since.
func TestMovedFromClaim(t *testing.T) {
	ctx, b, name := t.Context(), queuememory.New(), jobqueue.Name{Domain: "wiki", Type: "null"}
	record := jobqueue.Record{Name: name, Params: []byte("{}")}
	if _, err := b.Push(ctx, uuid.New(), []jobqueue.Record{record, record}); err != nil {
		t.Fatal(err)
	}
	claims, err := b.Pop(ctx, jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: name, Max: 2})
	if err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %v, %v", claims, err)
	}
	taken := jobqueue.Filter{IDs: []string{claims[0].ID}, States: []jobqueue.State{jobqueue.Claimed}}
	if n, err := b.Requeue(ctx, taken); n != 1 || err != nil {
		t.Fatalf("Requeue = %d, %v", n, err)
	}
	h := jobqueue.Hold{ID: uuid.New(), Name: name, Label: "test"}
	if held, err := b.Hold(ctx, h, 1); len(held) != 1 || err != nil {
		t.Fatalf("Hold = %v, %v", held, err)
	}
	if n, _, err := b.Release(ctx, h); n != 1 || err != nil {
		t.Fatalf("Release = %d, %v", n, err)
	}
	moved := *claims[0]
	moved.ID = "3"
	if lost, err := b.Settle(ctx, jobqueue.Outcome{Claim: &moved, Do: jobqueue.ActionDone}); len(lost) != 1 || err != nil {
		t.Errorf("Settle of what was never claimed = %v, %v, want it lost", lost, err)
	}
}

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, open) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, open) }
