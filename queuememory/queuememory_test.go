package queuememory_test

import (
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

func open(testing.TB) jobqueue.Backend { return queuememory.New() }

func TestBackend(t *testing.T) { queuetest.TestBackend(t, open) }

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, open) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, open) }
