package queueredis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/queuetest"
)

func startSentinels(t testing.TB) *redistest.Sentinels {
	t.Helper()
	s, err := redistest.StartSentinels()
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

// FuzzSentinel plays the histories on a server that is found by Sentinels.
func FuzzSentinel(f *testing.F) {
	s := startSentinels(f)
	queuetest.FuzzBackend(f, func(t testing.TB) jobqueue.Backend {
		return open(t, queueredis.Options{Addrs: s.Addrs, Master: s.Master, Prefix: uuid.NewString()})
	})
}

// unlink keeps the replicas of a server from hearing more of it, as a network does that fails between them.
func unlink(t *testing.T, s *redistest.Server) {
	t.Helper()
	ask(t, s, "acl", "setuser", "default", "-psync", "-sync")
	ask(t, s, "client", "kill", "type", "replica")
}

// failOver kills the master and waits until another has its place.
func failOver(t *testing.T, s *redistest.Sentinels) (old *redistest.Server) {
	t.Helper()
	old, err := s.Now(t.Context())
	must(t, err)
	must(t, old.Kill())
	awaitTrue(t, "the replica to be the master", func(ctx context.Context) (bool, error) {
		now, err := s.Now(ctx)
		return now != old, err
	})
	return old
}

// TestFailOver kills the master while a runner drains it, which goes on with the replica by itself. What that
// had not heard of is undone: jobs that were done run again, and jobs that were pushed are lost, unless the master wants replicas for writes.
func TestFailOver(t *testing.T) {
	s := startSentinels(t)
	b := open(t, queueredis.Options{Addrs: s.Addrs, Master: s.Master})
	d := newDrain(t, b, "wiki")
	d.push(20_000)
	master, err := s.Now(t.Context())
	must(t, err)
	replicated(t, master)
	unheard := 0
	again, lost := d.run(func() {
		unlink(t, master)
		before, err := d.left(t.Context())
		must(t, err)
		awaitTrue(t, "more jobs to be done", func(ctx context.Context) (bool, error) {
			n, err := d.left(ctx)
			unheard = before - n
			return unheard >= 1000, err
		})
		// It comes back with what it had, and nobody may take it for the master.
		must(t, failOver(t, s).Restart())
	})
	if len(lost) > 0 {
		t.Errorf("%d jobs are lost, such as %s, which the replica had", len(lost), some(lost))
	}
	if again < unheard {
		t.Errorf("%d runs were repeated, though the replica did not hear of %d", again, unheard)
	}
	d.wakes()

	must(t, s.Agree(t.Context()))
	master, err = s.Now(t.Context())
	must(t, err)
	replicated(t, master)
	ask(t, master, "config", "set", "min-replicas-to-write", "1")
	unlink(t, master)
	for err == nil {
		_, err = b.Push(t.Context(), uuid.New(), jobs(1, 10))
	}
	wants(t, err, jobqueue.ErrUnavailable, "fewer replicas than it wants")
	ask(t, master, "config", "set", "min-replicas-to-write", "0")
	if _, err := b.Push(t.Context(), uuid.New(), jobs(1000, 10)); err != nil {
		t.Fatal(err)
	}
	failOver(t, s)
	awaitTrue(t, "pushes to be taken", func(ctx context.Context) (bool, error) {
		_, err := b.Push(ctx, uuid.New(), jobs(1, 10))
		if err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
			t.Fatal(err)
		}
		return true, err
	})
	counts, err := b.Counts(t.Context(), work)
	must(t, err)
	if n := counts[0].Total(); n < 1 || n >= 1000 {
		t.Errorf("%v: the jobs that the replica had not heard of should be lost", counts[0])
	}
	now, err := s.Now(t.Context())
	must(t, err)
	audit(t, admin(t, now), queueredis.DefaultPrefix, 0)
}

// TestMasterForgotten has the Sentinels forget the master: nothing is done, and nobody is told that it was.
func TestMasterForgotten(t *testing.T) {
	s := startSentinels(t)
	b := open(t, queueredis.Options{Addrs: s.Addrs, Master: s.Master})
	for _, w := range s.Watchers {
		ask(t, w, "sentinel", "remove", s.Master)
	}
	ask(t, s.Servers[0], "client", "kill", "type", "normal")
	id := uuid.New()
	pushed, err := b.Push(t.Context(), id, jobs(3, 10))
	if len(pushed) > 0 {
		t.Errorf("Push = %v", pushed)
	}
	wants(t, err, jobqueue.ErrUnavailable, "sentinels")
	_, err = popAll(t.Context(), b, 3)
	wants(t, err, jobqueue.ErrUnavailable, "sentinels")
	_, err = b.Counts(t.Context())
	wants(t, err, jobqueue.ErrUnavailable, "sentinels")
	for _, w := range s.Watchers {
		host, port, _ := strings.Cut(s.Servers[0].Addr, ":")
		ask(t, w, "sentinel", "monitor", s.Master, host, port, 2)
	}
	if _, err := b.Push(t.Context(), id, jobs(3, 10)); err != nil {
		t.Error(err)
	}
	if claims, err := popAll(t.Context(), b, 10); err != nil || len(claims) != 3 {
		t.Errorf("Pop = %v, %v, want what was pushed", claims, err)
	}
}
