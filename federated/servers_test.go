package federated_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/queuetest"
)

var (
	database *pgtest.Server
	redis    *redistest.Server
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	if database, err = pgtest.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, database.Stop()) }()
	if redis, err = redistest.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	return m.Run(), nil
}

func closed(t testing.TB, b interface{ Close() error }, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func openFile(t testing.TB) jobqueue.Backend {
	b, err := sqlite.Open(filepath.Join(t.TempDir(), "jobs.db"), &sqlite.Options{Relaxed: true})
	closed(t, b, err)
	return b
}

func openPostgres(t testing.TB) jobqueue.Backend {
	schema, back, err := database.Spare(func(schema string) error {
		return postgres.Migrate(t.Context(), database.URL, &postgres.Options{Schema: schema})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := back(); err != nil {
			t.Error(err)
		}
	})
	b, err := postgres.Open(context.Background(), database.URL, &postgres.Options{Schema: schema, Relaxed: true})
	closed(t, b, err)
	return b
}

func openRedis(t testing.TB) jobqueue.Backend {
	b, err := queueredis.Open(context.Background(), &queueredis.Options{URL: redis.URL, Prefix: "test-" + uuid.NewString()})
	closed(t, b, err)
	return b
}

func openFiles(t testing.TB) jobqueue.Backend { return federate(t, openFile(t), openFile(t)) }

func openServers(t testing.TB) jobqueue.Backend { return federate(t, openPostgres(t), openRedis(t)) }

func TestSQLite(t *testing.T) { queuetest.TestBackend(t, openFiles) }

func TestServers(t *testing.T) { queuetest.TestBackend(t, openServers) }

func FuzzServers(f *testing.F) { queuetest.FuzzBackend(f, openServers) }
