package queuememory_test

import (
	"testing"

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

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, open) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, open) }
