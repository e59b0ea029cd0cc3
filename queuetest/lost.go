package queuetest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/wikifarm/jobqueue"
)

// What a Group makes of a store that does not answer.
var lostRules = []testCase{
	{"push unanswered", "on an ErrUnavailable a piece is tried once more, under the same push id, so that a lost answer neither loses nor doubles a job", testLostPush},
	{"push refused", "on an ErrUnavailable a piece is tried once more", testLostPushBefore},
	{"push never answered", "Pushed: if the error is ErrUnavailable, the job may be in all the same", testLostPushTwice},
	{"pop unanswered", "on an ErrUnavailable Pop asks once more with the same token, so that a lost answer does not leave jobs to wait", testLostPop},
	{"pop never answered", "a Pop whose answer is dropped: its jobs run once the lease ends", testLostPopTwice},
	{"settle unanswered", "repeating Settle with the same outcomes is safe", testLostSettle},
	{"one of two backends down", "with an error there may still be claims, of the backends that answered", testLostOneDown},
	{"store away", "a store that was down for three leases causes no double run while the owner extends afterwards", testLostAway},
}

var errAway = fmt.Errorf("%w: connection reset", jobqueue.ErrUnavailable)

// faulty returns a group on the tester's backend, of which the next n calls of op fail with err.
func (t *tester) faulty(op string, n int64, err error) *jobqueue.Group {
	var left atomic.Int64
	left.Store(n)
	return t.group(jobqueue.Routes{Default: Faulty(t.b, func(called string) error {
		if called == op && left.Add(-1) >= 0 {
			return err
		}
		return nil
	})})
}

func testLostPush(t *tester) {
	pushed, err := t.faulty("push", 1, After(errAway)).Push(t.Context(), t.spec(1), t.spec(2))
	if err != nil || pushed.Stored() != 2 {
		t.Fatalf("Push = %+v, %v, want 2 stored", pushed, err)
	}
	t.hands(1, 2)
}

func testLostPushBefore(t *tester) {
	pushed, err := t.faulty("push", 1, errAway).Push(t.Context(), t.spec(1))
	if err != nil || pushed.Stored() != 1 {
		t.Fatalf("Push = %+v, %v, want 1 stored", pushed, err)
	}
	t.hands(1)
}

func testLostPushTwice(t *tester) {
	pushed, err := t.faulty("push", 2, After(errAway)).Push(t.Context(), t.spec(1))
	if !errors.Is(err, jobqueue.ErrUnavailable) || len(pushed) != 1 || !errors.Is(pushed[0].Err, jobqueue.ErrUnavailable) {
		t.Fatalf("Push = %+v, %v, want ErrUnavailable", pushed, err)
	}
	t.hands(1)
}

func testLostPop(t *tester) {
	t.stores(jobs(1, 2)...)
	g := t.faulty("pop", 1, After(errAway))
	claims := t.gives(g, 1, 2)
	t.ok(g.Settle(t.Context(), each(claims, done(nil))...), "Settle")
	t.counts(0, 0, 0, 0)
}

func testLostPopTwice(t *tester) {
	t.stores(jobs(1, 2)...)
	g := t.faulty("pop", 2, After(errAway))
	if claims, err := g.Pop(t.Context(), newLease(), t.want(t.q.Type, 5)); !errors.Is(err, jobqueue.ErrUnavailable) || len(claims) > 0 {
		t.Fatalf("Pop = %d claims, %v, want ErrUnavailable", len(claims), err)
	}
	t.gives(g)
	t.advance(lease + lease/2)
	claims := t.gives(g, 1, 2)
	if c := claims[0]; c.Attempt != 1 || c.Expiries != 1 {
		t.Fatalf("this is attempt %d after %d expiries, want 1 after 1", c.Attempt, c.Expiries)
	}
}

func testLostSettle(t *tester) {
	t.stores(jobs(1, 3)...)
	g := t.faulty("settle", 1, After(errAway))
	c := t.gives(g, 1, 2, 3)
	outcomes := []jobqueue.Outcome{done(c[0]), retry(c[1], 0), abandon(c[2], 0)}
	if err := g.Settle(t.Context(), outcomes...); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Fatalf("Settle = %v, want ErrUnavailable", err)
	}
	t.ok(g.Settle(t.Context(), outcomes...), "the repeated Settle")
	t.counts(1, 0, 0, 1)
	if c := t.gives(g, 2)[0]; c.Failures != 1 {
		t.Fatalf("the job has %d failures, want 1", c.Failures)
	}
}

func testLostOneDown(t *tester) {
	down := Faulty(t.another(), func(string) error { return errAway })
	g := t.group(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": down}})
	t.stores(job(1))
	claims, err := g.Pop(t.Context(), newLease(), t.want("far", 1), t.want(t.q.Type, 1))
	if t.same(claims, 1); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Fatalf("Pop = %v, want ErrUnavailable besides the claim", err)
	}
	yielded, failed := 0, 0
	for _, err := range g.Ready(t.Context()) {
		if err != nil {
			failed++
		} else {
			yielded++
		}
	}
	if failed != 1 {
		t.Fatalf("Ready yields %d queues and %d errors, want one error", yielded, failed)
	}
}

func testLostAway(t *tester) {
	var away atomic.Bool
	g := t.group(jobqueue.Routes{Default: Faulty(t.b, func(string) error {
		if away.Load() {
			return errAway
		}
		return nil
	})})
	t.stores(job(1))
	c := t.gives(g, 1)
	away.Store(true)
	if _, err := g.Extend(t.Context(), lease, c...); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Fatalf("Extend = %v, want ErrUnavailable", err)
	}
	t.jump(3 * lease)
	away.Store(false)
	t.gives(g) // another runner is first
	if lost, err := g.Extend(t.Context(), lease, c...); err != nil || len(lost) > 0 {
		t.Fatalf("Extend = %v, %v, want none lost", lost, err)
	}
	t.advance(lease / 2)
	t.gives(g)
	t.ok(g.Settle(t.Context(), done(c[0])), "Settle")
}
