package config_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// redisServer starts a server with settings of its own.
func redisServer(t *testing.T, settings ...string) *redistest.Server {
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

func openFarm(t *testing.T, f *config.Farm) *config.Queues {
	t.Helper()
	q, err := f.Open(context.Background(), new(jobqueue.Registry))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// pushed pushes a job and returns the one that Pop then claims.
func pushed(t *testing.T, g *jobqueue.Group) *jobqueue.Claim {
	t.Helper()
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a", Params: []byte(`{"n":1}`)}); err != nil {
		t.Fatal(err)
	}
	if err := g.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims, err := g.Queue("a").Pop(t.Context(), 10)
	if err != nil || len(claims) != 1 {
		t.Fatalf("Pop = %v, %v", claims, err)
	}
	return claims[0]
}

func TestRedis(t *testing.T) {
	s := redisServer(t, "requirepass hunter2")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "farm.yaml")
	text := fmt.Sprintf(`
backends:
  main: {kind: redis, url: %q, passwordFile: secret, prefix: farm, shards: 4, compress: 1K, connections: 2}
aggregator:
  - {kind: redis, url: "unix:///nowhere", prefix: farm}
  - {kind: redis, url: %q, passwordFile: secret, prefix: farm}
`, s.URL, s.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	q := openFarm(t, f)
	if c := pushed(t, q.Group); string(c.Params) != `{"n":1}` {
		t.Errorf("parameters are %s", c.Params)
	}
	// The second server has the entry.
	var names []string
	for h, err := range q.Hints(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name.String())
	}
	if len(names) != 1 || names[0] != "default/a" {
		t.Errorf("the aggregator has %v", names)
	}
	if _, ok := q.Aggregator.(*aggregator.Failover); !ok {
		t.Errorf("the aggregator is a %T", q.Aggregator)
	}
	if _, ok := q.Backend("a").(*queueredis.Backend); !ok {
		t.Errorf("the backend is a %T", q.Backend("a"))
	}
}

// What is wrong with a server is said without the password.
func TestRedisRefused(t *testing.T) {
	s := redisServer(t, "requirepass hunter2", "maxmemory-policy allkeys-lru")
	t.Setenv("FARM_SECRET", "wrong-"+uuid.NewString())
	dir := t.TempDir()
	for name, secret := range map[string]string{"wrong": "hunter3", "right": "hunter2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ options, want string }{
		{"passwordFile: nowhere", "passwordFile: open "},
		{"passwordFile: wrong", `does not accept the password of user "default"`},
		{"prefix: a", "wants a password, and none is given"},
		{"passwordFile: right", "has maxmemory-policy allkeys-lru, with which it deletes jobs when it is full; set it to noeviction"},
		{"tls: {ca: nowhere}", "tls.ca: open "},
		{"tls: {ca: right}", "holds no certificate"},
	} {
		path := filepath.Join(dir, "farm.yaml")
		text := fmt.Sprintf("backends: {main: {kind: redis, url: %q, %s}}", s.URL, test.options)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		q, err := f.Open(context.Background(), new(jobqueue.Registry))
		if err == nil {
			q.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("Open with %s = %v, want %s", test.options, err, test.want)
		}
	}
}

// A server that may lose jobs in a crash is logged.
func TestRedisWithoutLog(t *testing.T) {
	s := redisServer(t, "appendonly no")
	var log bytes.Buffer
	f := load(t, fmt.Sprintf("backends: {main: {kind: redis, url: %q}}", s.URL))
	f.Logger = slog.New(slog.NewTextHandler(&log, nil))
	pushed(t, openFarm(t, f).Group)
	if !strings.Contains(log.String(), "append-only") {
		t.Errorf("the log is %q", log.String())
	}
	log.Reset()
	f.Unadvised = true
	pushed(t, openFarm(t, f).Group)
	if log.Len() > 0 {
		t.Errorf("without advice the log is %q", log.String())
	}
}
