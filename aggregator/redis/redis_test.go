package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator/redis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/queuetest"
)

var server *redistest.Server

func TestMain(m *testing.M) {
	var err error
	if server, err = redistest.Private(); err != nil {
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

// on returns an aggregator on a server.
func on(t testing.TB, s *redistest.Server, prefix string) *redis.Aggregator {
	t.Helper()
	client := s.Client()
	a, err := redis.New(client, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Close(), client.Close()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func open(t testing.TB) jobqueue.Aggregator { return on(t, server, uuid.NewString()) }

func TestAggregator(t *testing.T) { queuetest.TestAggregator(t, open) }

func names(t *testing.T, a jobqueue.Aggregator) (all []string) {
	t.Helper()
	for q, err := range a.Ready(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, q.Name.String())
	}
	slices.Sort(all)
	return all
}

func queue(domain string) jobqueue.Backlog {
	return jobqueue.Backlog{Name: jobqueue.Name{Domain: domain, Type: "x"}}
}

func notify(t *testing.T, a jobqueue.Aggregator, queues ...jobqueue.Backlog) {
	t.Helper()
	if err := a.Notify(t.Context(), queues...); err != nil {
		t.Fatal(err)
	}
}

// Two prefixes on one server are two aggregators, and what is cleared leaves nothing behind but the version.
func TestPrefixes(t *testing.T) {
	prefix := uuid.NewString()
	a, same, other := on(t, server, prefix), on(t, server, prefix), on(t, server, prefix+"2")
	notify(t, a, queue("en"))
	if got := names(t, same); len(got) != 1 {
		t.Errorf("the same prefix has %v", got)
	}
	if got := names(t, other); len(got) != 0 {
		t.Errorf("another prefix has %v", got)
	}
	for q := range a.Ready(t.Context()) {
		if err := a.Clear(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	c := server.Client()
	defer c.Close()
	keys, err := c.Keys(t.Context(), "{"+prefix+":hints}:*").Result()
	if err != nil || len(keys) != 1 {
		t.Errorf("keys left are %v, %v", keys, err)
	}
	if _, err := redis.New(c, "a{b"); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("New with braces = %v", err)
	}
}

// A damaged entry does not hide the others, and is mended by the next notification.
func TestDamaged(t *testing.T) {
	prefix := uuid.NewString()
	a := on(t, server, prefix)
	notify(t, a, queue("en"), queue("de"))
	c := server.Client()
	defer c.Close()
	if err := c.HSet(t.Context(), "{"+prefix+":hints}:type:x", "en", "garbage").Err(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, a); !slices.Equal(got, []string{"de/x"}) {
		t.Errorf("entries are %v", got)
	}
	notify(t, a, queue("en"))
	if got := names(t, a); !slices.Equal(got, []string{"de/x", "en/x"}) {
		t.Errorf("entries are %v", got)
	}
}

// While a server is full, work is still told of.
func TestFull(t *testing.T) {
	full, err := redistest.Private("maxmemory 1mb")
	if err != nil {
		t.Fatal(err)
	}
	defer full.Stop()
	c := full.Client()
	defer c.Close()
	for i := range 1000 {
		if err = c.Set(t.Context(), fmt.Sprint("k", i), make([]byte, 10_000), 0).Err(); err != nil {
			break
		}
	}
	if err == nil {
		t.Fatal("the server is never full")
	}
	a := on(t, full, "")
	notify(t, a, queue("en"))
	if got := names(t, a); len(got) != 1 {
		t.Errorf("entries are %v", got)
	}
}

// A server that is away is unavailable, and one that comes back is used again, whatever scripts it has lost.
func TestAway(t *testing.T) {
	own, err := redistest.Private("appendonly no")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a := on(t, own, "")
	notify(t, a, queue("en"))
	var before int64
	for q := range a.Ready(t.Context()) {
		before = q.Version
	}
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	for q, err := range a.Ready(t.Context()) {
		if !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("Ready = %v, %v", q, err)
		}
	}
	for op, err := range map[string]error{"notify": a.Notify(t.Context(), queue("en")), "clear": a.Clear(t.Context(), queue("en"))} {
		if !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("%s = %v", op, err)
		}
	}
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, a); len(got) != 0 {
		t.Fatalf("entries are %v, the server should have lost them", got)
	}
	notify(t, a, queue("en"))
	for q := range a.Ready(t.Context()) {
		if q.Version <= before {
			t.Errorf("version %d after %d: one may come twice", q.Version, before)
		}
	}
}

// Every waiter hears of an entry that is new, and of no other.
func TestWait(t *testing.T) {
	prefix := uuid.NewString()
	a, other := on(t, server, prefix), on(t, server, prefix)
	notify(t, other, queue("old"))
	type hearing struct {
		waiter int
		names  []jobqueue.Name
	}
	heard := make(chan hearing)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var waiters sync.WaitGroup
	for i := range 3 {
		waiters.Go(func() {
			for {
				names, err := a.Wait(ctx)
				if err != nil {
					return
				}
				select {
				case heard <- hearing{i, names}:
				case <-ctx.Done():
				}
			}
		})
	}
	defer waiters.Wait()
	defer stop()
	// One that is between two calls misses an entry; all hear of one sooner or later.
	silent := map[int]bool{0: true, 1: true, 2: true}
	for n := 0; len(silent) > 0; n++ {
		notify(t, other, queue(fmt.Sprint("new", n)), queue("old"))
		select {
		case h := <-heard:
			if slices.Contains(h.names, queue("old").Name) {
				t.Fatalf("heard of %v, which is not new", h.names)
			}
			if len(h.names) > 0 { // Without names the connection is new.
				delete(silent, h.waiter)
			}
		case <-ctx.Done():
			t.Fatalf("these waiters hear of nothing: %v", silent)
		case <-time.After(time.Millisecond):
		}
	}
}

// Close ends a Wait.
func TestClose(t *testing.T) {
	c := server.Client()
	defer c.Close()
	a, err := redis.New(c, uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		a.Wait(t.Context()) // of the subscription
		close(begun)
		_, err := a.Wait(t.Context())
		ended <- err
	}()
	<-begun
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Wait = %v", err)
	}
	if _, err := a.Wait(t.Context()); !errors.Is(err, goredis.ErrClosed) {
		t.Errorf("Wait after Close = %v", err)
	}
}
