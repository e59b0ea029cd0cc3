package queueredis_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// Rights as the documentation has them, after the name of a user and its password.
const (
	serverRights   = "~{jobqueue:* &{jobqueue:* +@all -@admin -@dangerous +info"
	sentinelRights = "&* +ping +auth +hello +subscribe +sentinel|get-master-addr-by-name +sentinel|sentinels"
)

// allow makes a user of some servers.
func allow(t *testing.T, rights string, servers ...*redistest.Server) {
	t.Helper()
	for _, s := range servers {
		args := []any{"acl", "setuser", "jobs", "reset", "on", ">secret"}
		for r := range strings.FieldsSeq(rights) {
			args = append(args, r)
		}
		ask(t, s, args...)
		t.Cleanup(func() { s.Do(context.Background(), "acl", "deluser", "jobs") })
	}
}

// uses does with a backend what programs do with it.
func uses(t *testing.T, b *queueredis.Backend) {
	t.Helper()
	heard := make(chan error, 1)
	go func() {
		for {
			names, err := b.Wait(t.Context())
			if err != nil || slices.Contains(names, work) {
				heard <- err
				return
			}
		}
	}()
	awaitTrue(t, "somebody to hear of a push", func(ctx context.Context) (bool, error) {
		_, err := b.Push(ctx, uuid.New(), jobs(1, 10))
		must(t, err)
		claims, err := popAll(ctx, b, 10)
		must(t, err)
		must(t, settleAll(ctx, b, claims))
		select {
		case err := <-heard:
			return true, err
		default:
			return false, nil
		}
	})
	_, err := b.Maintain(t.Context())
	must(t, err)
	_, _, err = b.SetValue(t.Context(), jobqueue.Value{Key: "k", Version: jobqueue.AnyVersion})
	must(t, err)
}

// TestRights has users who may do no more than the documentation says is needed.
func TestRights(t *testing.T) {
	t.Run("Cluster", func(t *testing.T) {
		c := theCluster(t)
		allow(t, serverRights, c.Servers...)
		uses(t, open(t, queueredis.Options{Addrs: c.Addrs, User: "jobs", Password: "secret", Shards: clusterShards}))
	})
	t.Run("Sentinels", func(t *testing.T) {
		s := startSentinels(t)
		allow(t, serverRights, s.Servers...)
		allow(t, sentinelRights, s.Watchers...)
		for _, w := range s.Watchers {
			ask(t, w, "acl", "setuser", "jobs", "<secret", ">other")
		}
		uses(t, open(t, queueredis.Options{
			Addrs: s.Addrs, Master: s.Master, User: "jobs", Password: "secret", SentinelUser: "jobs", SentinelPassword: "other",
		}))
	})
}
