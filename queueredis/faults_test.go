package queueredis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

var work = jobqueue.Name{Domain: "wiki", Type: "work"}

// private starts a server for one test.
func private(t testing.TB, settings ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Private(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// admin returns a client of a private server, which is closed in the end.
func admin(t testing.TB, s *redistest.Server) *redis.Client {
	t.Helper()
	c := s.Client()
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t testing.TB, c *redis.Client, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// jobs returns n records with parameters of a size.
func jobs(n, size int) []jobqueue.Record {
	records := make([]jobqueue.Record, n)
	for i := range records {
		records[i] = jobqueue.Record{Name: work, Params: fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", size))}
	}
	return records
}

// popAll claims up to n jobs.
func popAll(ctx context.Context, b jobqueue.Backend, n int) ([]*jobqueue.Claim, error) {
	return b.Pop(ctx, jobqueue.Lease{Token: uuid.New(), TTL: time.Hour, Owner: "test"}, jobqueue.Want{Name: work, Max: n})
}

func settleAll(ctx context.Context, b jobqueue.Backend, claims []*jobqueue.Claim) error {
	outcomes := make([]jobqueue.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}
	}
	lost, err := b.Settle(ctx, outcomes...)
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("%d claims are lost", len(lost))
	}
	return err
}

// wants fails the test unless err is of a kind and says something.
func wants(t testing.TB, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("the error is %v, want %v that says %q", err, kind, says)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells a password: %v", err)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	s := private(t, "maxmemory 12mb")
	b := open(t, queueredis.Options{URL: s.URL})
	var err error
	stored := 0
	for err == nil {
		if _, err = b.Push(t.Context(), uuid.New(), jobs(100, 1000)); err == nil {
			stored += 100
		}
	}
	wants(t, err, jobqueue.ErrUnavailable, "is full")
	if stored == 0 {
		t.Fatal("nothing was stored")
	}
	// What there is can be claimed, retried, extended, listed and settled.
	claims, err := popAll(t.Context(), b, 50)
	if err != nil || len(claims) != 50 {
		t.Fatalf("Pop of a full server = %d, %v", len(claims), err)
	}
	if lost, err := b.Extend(t.Context(), time.Hour, claims[0].Token); err != nil || len(lost) > 0 {
		t.Fatalf("Extend = %v, %v", lost, err)
	}
	if lost, err := b.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionRetry, Err: "again"}); err != nil || len(lost) > 0 {
		t.Fatalf("Settle = %v, %v", lost, err)
	}
	if _, _, err := b.SetValue(t.Context(), jobqueue.Value{Key: "k", Data: []byte("v"), Version: jobqueue.AnyVersion}); err != nil {
		t.Fatal(err)
	}
	for claims = claims[1:]; len(claims) > 0; {
		if err := settleAll(t.Context(), b, claims); err != nil {
			t.Fatal(err)
		}
		stored -= len(claims)
		if claims, err = popAll(t.Context(), b, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if stored != 0 {
		t.Fatalf("%d jobs are missing", stored)
	}
	if _, err := b.Push(t.Context(), uuid.New(), jobs(100, 1000)); err != nil {
		t.Fatalf("Push when there is room again = %v", err)
	}
}

func TestScriptsForgotten(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	for range 3 {
		do(t, c, "SCRIPT", "FLUSH")
		if _, err := b.Push(t.Context(), uuid.New(), jobs(10, 10)); err != nil {
			t.Fatal(err)
		}
		do(t, c, "SCRIPT", "FLUSH")
		claims, err := popAll(t.Context(), b, 10)
		if err != nil || len(claims) != 10 {
			t.Fatalf("Pop = %d, %v", len(claims), err)
		}
		do(t, c, "SCRIPT", "FLUSH")
		if err := settleAll(t.Context(), b, claims); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplica(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	do(t, c, "REPLICAOF", "127.0.0.1", "1")
	_, err := b.Push(t.Context(), uuid.New(), jobs(1, 1))
	wants(t, err, jobqueue.ErrUnavailable, "is a replica")
	_, err = popAll(t.Context(), b, 1)
	wants(t, err, jobqueue.ErrUnavailable, "is a replica")
	if _, err := b.Counts(t.Context(), work); err != nil {
		t.Errorf("Counts on a replica = %v", err)
	}
	do(t, c, "CONFIG", "SET", "replica-serve-stale-data", "no")
	_, err = b.Counts(t.Context(), work)
	wants(t, err, jobqueue.ErrUnavailable, "has lost its master")
	do(t, c, "REPLICAOF", "NO", "ONE")
	do(t, c, "CONFIG", "SET", "min-replicas-to-write", 1)
	_, err = b.Push(t.Context(), uuid.New(), jobs(1, 1))
	wants(t, err, jobqueue.ErrUnavailable, "has fewer replicas than it wants")
	do(t, c, "CONFIG", "SET", "min-replicas-to-write", 0)
	if _, err := b.Push(t.Context(), uuid.New(), jobs(1, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s := private(t, "busy-reply-threshold 5")
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	ended := make(chan error, 1)
	go func() { ended <- c.Eval(context.Background(), "while true do end", nil).Err() }()
	var err error
	for deadline := time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); {
		_, err = popAll(t.Context(), b, 1)
	}
	wants(t, err, jobqueue.ErrUnavailable, "is busy with another program's script")
	do(t, c, "SCRIPT", "KILL")
	<-ended
	if _, err := b.Push(t.Context(), uuid.New(), jobs(1, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestCannotSave(t *testing.T) {
	t.Parallel()
	s := private(t, "enable-protected-configs yes", "appendonly no", "save 900 1")
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	dir := filepath.Join(s.Dir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	do(t, c, "CONFIG", "SET", "dir", dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	do(t, c, "BGSAVE")
	var err error
	for deadline := time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); {
		_, err = b.Push(t.Context(), uuid.New(), jobs(1, 1))
	}
	wants(t, err, jobqueue.ErrUnavailable, "cannot save them to its disk")
}

func TestLoading(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL})
	for range 600 {
		if _, err := b.Push(t.Context(), uuid.New(), jobs(20, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := popAll(t.Context(), b, 1)
	wants(t, err, jobqueue.ErrUnavailable, "Redis at ")
	started := make(chan error, 1)
	go func() { started <- s.Restart("key-load-delay 1000", "loading-process-events-interval-bytes 1024") }()
	saw := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		_, err := popAll(t.Context(), b, 1)
		if err == nil {
			break
		}
		if !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "is loading its data") {
			saw = err.Error()
			do(t, c, "CONFIG", "SET", "key-load-delay", 0) // That was enough.
		}
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if saw == "" {
		t.Error("no error says that the server is loading")
	}
	if c, err := b.Counts(t.Context(), work); err != nil || c[0].Total() != 12_000 {
		t.Fatalf("Counts = %+v, %v, want 12,000 jobs", c, err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	s := private(t, "requirepass secret", "user half on >secret2 ~* &* +@all -hset", "user quiet on >secret2 ~* &* +@all -publish",
		"user least on >secret2 ~{jobqueue:* &{jobqueue:* +@all -@admin -@dangerous +info", "user elsewhere on >secret2 ~other* &* +@all")
	for _, c := range []struct {
		o    queueredis.Options
		says string
	}{
		{queueredis.Options{}, "wants a password, and none is given"},
		{queueredis.Options{Password: "secret wrong"}, `does not accept the password of user "default"`},
		{queueredis.Options{User: "nobody", Password: "secret2"}, `does not accept the password of user "nobody"`},
		{queueredis.Options{User: "half", Password: "secret2"}, `user "half"`},
		{queueredis.Options{User: "quiet", Password: "secret2"}, `user "quiet"`},
		{queueredis.Options{User: "elsewhere", Password: "secret2"}, `user "elsewhere"`},
	} {
		c.o.URL = s.URL
		_, err := queueredis.Open(t.Context(), &c.o)
		wants(t, err, jobqueue.ErrInvalid, c.says)
	}
	b := open(t, queueredis.Options{URL: s.URL, User: "least", Password: "secret2"})
	if _, err := b.Push(t.Context(), uuid.New(), jobs(1, 1)); err != nil {
		t.Error(err)
	}
	if _, err := b.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
}
