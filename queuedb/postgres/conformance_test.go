package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queuetest"
)

var server *pgtest.Server

// atOnce is how many parallel tests run at once. Most of what they do is to wait for the server or for a pause to end.
const atOnce = "8"

func TestMain(m *testing.M) {
	err := flag.Set("test.parallel", atOnce)
	if err != nil {
		panic(err)
	}
	flag.Parse() // The command line has the last word.
	if server, err = pgtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// newSchema makes a schema with tables.
func newSchema(t testing.TB) string {
	t.Helper()
	name, drop := server.Schema()
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	if err := postgres.Migrate(t.Context(), server.URL, &postgres.Options{Schema: name}); err != nil {
		t.Fatal(err)
	}
	return name
}

func openSchema(t testing.TB, o *postgres.Options) *postgres.Backend {
	t.Helper()
	b, err := postgres.Open(context.Background(), server.URL, o)
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

// emptySchema returns a schema whose tables are empty, but whose numbers others may have used.
func emptySchema(t testing.TB) string {
	t.Helper()
	name, back, err := server.Spare(func(name string) error {
		return postgres.Migrate(t.Context(), server.URL, &postgres.Options{Schema: name})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back(); err != nil {
			t.Error(err)
		}
	})
	return name
}

// The rules do not depend on the disk, and hundreds of tests that wait for it at once would time each other out.
func openBackend(t testing.TB) jobqueue.Backend {
	return openSchema(t, &postgres.Options{Schema: emptySchema(t), Relaxed: true})
}

func TestBackend(t *testing.T) {
	t.Parallel()
	queuetest.TestBackend(t, openBackend)
}

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, openBackend) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, openBackend) }
