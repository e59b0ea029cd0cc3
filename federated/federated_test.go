package federated_test

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A federation is a backend under test, with the clocks of its partitions.
type federation struct {
	*federated.Backend
	parts []jobqueue.Backend
}

// Shift implements [queuetest.Clock].
func (f *federation) Shift(d time.Duration) {
	f.Backend.Shift(d)
	for _, b := range f.parts {
		b.(queuetest.Clock).Shift(d)
	}
}

// StopClock implements [queuetest.Clock].
func (f *federation) StopClock(at time.Time) {
	for _, b := range f.parts {
		b.(queuetest.Clock).StopClock(at)
	}
}

// Spread implements [queuetest.Spread].
func (f *federation) Spread() {}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// federate makes one backend of several, of equal weights.
func federate(t testing.TB, parts ...jobqueue.Backend) *federation {
	t.Helper()
	var list []federated.Partition
	for i, b := range parts {
		list = append(list, federated.Partition{Name: fmt.Sprint("q", i+1), Weight: 1, Backend: b})
	}
	return &federation{open(t, list, nil), parts}
}

func open(t testing.TB, parts []federated.Partition, sections map[string]federated.Section) *federated.Backend {
	t.Helper()
	b, err := federated.New(t.Context(), parts, &federated.Options{Sections: sections, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func memories(n int) (all []jobqueue.Backend) {
	for range n {
		all = append(all, queuememory.New())
	}
	return all
}

func openMemory(t testing.TB) jobqueue.Backend { return federate(t, memories(3)...) }

func TestMemory(t *testing.T) { queuetest.TestBackend(t, openMemory) }

func FuzzMemory(f *testing.F) { queuetest.FuzzBackend(f, openMemory) }

func BenchmarkMemory(b *testing.B) { queuetest.BenchmarkBackend(b, openMemory) }
