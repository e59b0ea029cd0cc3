package queueredis_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    queueredis.Options
		says string
	}{
		{queueredis.Options{}, "give either a url"},
		{queueredis.Options{URL: "redis://h", Addrs: []string{"h:1"}}, "give either a url"},
		{queueredis.Options{URL: "redis://h", Master: "m"}, "with a master"},
		{queueredis.Options{URL: "http://h:6379"}, "url must be like"},
		{queueredis.Options{URL: "redis://user:secret@h:port/0"}, "url must be like"},
		{queueredis.Options{URL: "redis://user:secret@%zz"}, "url must be like"},
		{queueredis.Options{URL: "redis://user:sec@ret@h:x"}, "url must be like"},
		{queueredis.Options{URL: "redis://user:secret@h/zero"}, "url must be like"},
		{queueredis.Options{URL: "redis://user:secret@h/0?colour=1"}, "unexpected option: colour"},
		{queueredis.Options{URL: "redis://user:pass?secret=@h/0"}, "url must be like"},
		{queueredis.Options{Addrs: []string{"host"}}, `address "host" is not like host:6379`},
		{queueredis.Options{URL: "redis://h", Shards: -1}, "1 to 1024 are possible"},
		{queueredis.Options{URL: "redis://h", Shards: 1025}, "1 to 1024 are possible"},
		{queueredis.Options{URL: "redis://h", Prefix: "a{b"}, `prefix "a{b"`},
		{queueredis.Options{URL: "redis://h", Compress: -1}, "compress is -1"},
		{queueredis.Options{URL: "redis://h", Connections: -1}, "-1 connections"},
	} {
		wants(t, queueredis.CheckOptions(&c.o), jobqueue.ErrInvalid, c.says)
	}
	for _, o := range []queueredis.Options{
		{URL: "redis://user:secret@host:6379/3"},
		{URL: "rediss://host", TLS: &tls.Config{}},
		{URL: "unix:///run/redis/redis.sock?db=2"},
		{Addrs: []string{"a:26379", "b:26379"}, Master: "main", SentinelPassword: "secret"},
		{Addrs: []string{"a:6379", "[::1]:6379"}, Shards: 16, Compress: 1024},
	} {
		if err := queueredis.CheckOptions(&o); err != nil {
			t.Errorf("CheckOptions(%+v) = %v", o, err)
		}
	}
}

func TestShardsAreKept(t *testing.T) {
	prefix := newPrefix(t, 4)
	b := open(t, queueredis.Options{URL: server.URL, Prefix: prefix, Shards: 4})
	if _, err := b.Push(t.Context(), uuid.New(), jobs(3, 3)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3, 5} {
		_, err := queueredis.Open(t.Context(), &queueredis.Options{URL: server.URL, Prefix: prefix, Shards: n})
		wants(t, err, jobqueue.ErrInvalid, "has 4 shards for the prefix")
	}
	if claims, err := popAll(t.Context(), open(t, queueredis.Options{URL: server.URL, Prefix: prefix, Shards: 4}), 5); err != nil || len(claims) != 3 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
}

func TestNewerFormat(t *testing.T) {
	s := private(t)
	b := open(t, queueredis.Options{URL: s.URL})
	do(t, admin(t, s), "HSET", "{jobqueue:0}:meta", "format", 3, "oldest", 2)
	_, err := queueredis.Open(t.Context(), &queueredis.Options{URL: s.URL})
	wants(t, err, jobqueue.ErrInvalid, "needs a newer program, which knows format 2; this one knows formats up to 1")
	_, err = b.Push(t.Context(), uuid.New(), jobs(1, 1))
	wants(t, err, jobqueue.ErrInvalid, "needs a newer program")
	// A newer format that this program may use.
	do(t, admin(t, s), "HSET", "{jobqueue:0}:meta", "format", 3, "oldest", 1)
	if _, err := b.Push(t.Context(), uuid.New(), jobs(1, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestServerSettings(t *testing.T) {
	s := private(t, "maxmemory-policy allkeys-lru")
	_, err := queueredis.Open(t.Context(), &queueredis.Options{URL: s.URL})
	wants(t, err, jobqueue.ErrInvalid, "has maxmemory-policy allkeys-lru")
	do(t, admin(t, s), "CONFIG", "SET", "maxmemory-policy", "noeviction")
	var log bytes.Buffer
	o := queueredis.Options{URL: s.URL, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	open(t, o)
	if log.Len() > 0 {
		t.Errorf("a server with an append-only file is warned of: %s", log.String())
	}
	do(t, admin(t, s), "CONFIG", "SET", "appendonly", "no")
	open(t, o)
	if n := strings.Count(log.String(), "append-only"); n != 1 {
		t.Errorf("a server without an append-only file is warned of %d times: %s", n, log.String())
	}
}

func TestUnreachable(t *testing.T) {
	s := private(t)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := queueredis.Open(t.Context(), &queueredis.Options{URL: s.URL})
	wants(t, err, jobqueue.ErrUnavailable, s.Socket())
}

func TestWiped(t *testing.T) {
	s := private(t)
	b := open(t, queueredis.Options{URL: s.URL})
	do(t, admin(t, s), "FLUSHALL")
	if _, err := b.Push(t.Context(), uuid.New(), jobs(2, 2)); err != nil {
		t.Fatal(err)
	}
	if claims, err := popAll(t.Context(), b, 3); err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	audit(t, admin(t, s), queueredis.DefaultPrefix, 0)
}

func TestClosed(t *testing.T) {
	b, err := queueredis.Open(t.Context(), &queueredis.Options{URL: server.URL, Prefix: newPrefix(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { _, err := b.Wait(t.Context()); waited <- err }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait of a closed backend = %v", err)
	}
	_, err = b.Push(t.Context(), uuid.New(), jobs(1, 1))
	wants(t, err, jobqueue.ErrUnavailable, "closed")
}
