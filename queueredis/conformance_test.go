package queueredis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/queuetest"
)

var server *redistest.Server

func TestMain(m *testing.M) {
	var err error
	if server, err = redistest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := errors.Join(server.Stop(), stopCluster()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// newPrefix returns a prefix that nobody has used, whose keys are checked and deleted in the end.
func newPrefix(t testing.TB, shards int) string {
	t.Helper()
	prefix := "test-" + uuid.NewString()
	t.Cleanup(func() {
		c := server.Client()
		defer c.Close()
		for shard := range shards {
			if _, measured := t.(*testing.B); !measured {
				audit(t, c, prefix, shard)
			}
		}
		ctx := context.Background()
		for keys := c.Scan(ctx, 0, "{"+prefix+":*", 1000).Iterator(); keys.Next(ctx); {
			if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return prefix
}

func open(t testing.TB, o queueredis.Options) *queueredis.Backend {
	t.Helper()
	if o.URL == "" && o.Addrs == nil {
		o.URL = server.URL
		if o.Prefix == "" {
			o.Prefix = newPrefix(t, max(1, o.Shards))
		}
	}
	b, err := queueredis.Open(context.Background(), &o)
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

func openBackend(t testing.TB) jobqueue.Backend { return open(t, queueredis.Options{}) }

// split is a backend of several shards.
type split struct{ *queueredis.Backend }

// Split implements [queuetest.Split].
func (split) Split() {}

func openShards(t testing.TB) jobqueue.Backend {
	return split{open(t, queueredis.Options{Shards: 4})}
}

func TestBackend(t *testing.T) { queuetest.TestBackend(t, openBackend) }

func TestShards(t *testing.T) { queuetest.TestBackend(t, openShards) }

func FuzzBackend(f *testing.F) { queuetest.FuzzBackend(f, openBackend) }

func FuzzShards(f *testing.F) { queuetest.FuzzBackend(f, openShards) }

func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, openBackend) }
