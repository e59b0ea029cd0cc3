package sqlite_test

import (
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuetest"
)

// The rules do not depend on the disk, and hundreds of tests that wait for it at once would time each other out.
func openBackend(t testing.TB) jobqueue.Backend {
	return openFile(t, newFile(t), &sqlite.Options{Relaxed: true})
}

func TestBackend(t *testing.T) { queuetest.TestBackend(t, openBackend) }

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, openBackend) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, openBackend) }
