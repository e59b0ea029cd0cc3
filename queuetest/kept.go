package queuetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var keptRules = []testCase{
	{"digest of the other", "a record is dropped when a job with its digest waits, though one that was claimed since its push is deleted or claimed again", testKeptDigest},
	{"lease of its own", "Extend gives a new lease of ttl; a sweep that renews it gives as much", testKeptExtended},
	{"end of the lease", "Claim.Expires is when the lease ends, also in the answer to a repeated Pop", testKeptExpires},
	{"why it was given back", "Outcome.Err is why, stored with the job, also when it is given back", testKeptGiveBackErr},
	{"when it was pushed", "QueuedAt is when the job was pushed, whatever became of it since", testKeptQueuedAt},
	{"as pushed", "Push stores the records as they are, whatever the caller does with them afterwards", testKeptAsPushed},
	{"superseded later", "a job whose root is older than the root mark is returned with Superseded set, also after a retry", testKeptSuperseded},
	{"fractions of a second", "durations are kept to the millisecond or better", testKeptFractions},
}

func testKeptDigest(t *tester) {
	first := t.stores(unique(job(1), "k"))[0]
	c := t.hands(1)[0]
	second := t.stores(unique(job(1), "k"))[0]
	t.settle(retry(c, 0))
	c = t.popAs(newLease(), jobqueue.Want{Name: t.q, ID: first})[0]
	t.drops(second, unique(job(1), "k"))
	t.settle(retry(c, 0))
	t.deletes(1, jobqueue.Filter{IDs: []string{first}})
	t.drops(second, unique(job(1), "k"))
}

func testKeptExtended(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.extendBy(20*lease, []uuid.UUID{c.Token})
	t.jump(2 * lease) // longer than half of the old lease, shorter than half of the new one
	t.maintain()
	t.advance(4 * lease)
	t.counts(0, 0, 1, 0)
	t.settle(done(c))
}

func testKeptExpires(t *tester) {
	t.stores(job(1))
	l := newLease()
	t.popAs(l, t.want(t.q.Type, 1))
	t.jump(lease * 2 / 3)
	again := t.popAs(l, t.want(t.q.Type, 1))
	t.same(again, 1)
	if left := time.Until(again[0].Expires); left > lease/3 {
		t.Fatalf("the lease ends in %v after two thirds of %v", left, lease)
	}
}

func testKeptGiveBackErr(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.hands(1, 2)
	for i, d := range []time.Duration{0, time.Hour} {
		o := giveBack(c[i], d)
		o.Err = "not yet"
		t.settle(o)
		if e := t.entry(c[i].ID); e.LastError != "not yet" || e.Failures != 0 {
			t.Fatalf("the job that was given back has the error %q and %d failures, want \"not yet\" and 0", e.LastError, e.Failures)
		}
	}
}

func testKeptQueuedAt(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Minute))[0]
	at := t.entry(id).QueuedAt
	check := func(what string) {
		t.Helper()
		if got := t.entry(id).QueuedAt; !got.Equal(at) {
			t.Fatalf("after %s QueuedAt is %v, want %v", what, got, at)
		}
	}
	claim := func() *jobqueue.Claim {
		t.Helper()
		c := t.hands(1)[0]
		if !c.QueuedAt.Equal(at) {
			t.Fatalf("Pop says that the job was pushed at %v, want %v", c.QueuedAt, at)
		}
		return c
	}
	t.jump(time.Second)
	t.drops(id, unique(job(1), "k"))
	check("a duplicate")
	t.settle(retry(claim(), time.Minute))
	check("a retry")
	t.jump(time.Hour)
	t.settle(giveBack(claim(), 0))
	check("giving back")
	claim()
	t.advance(lease + lease/2)
	check("a lease that ended")
	t.settle(abandon(claim(), time.Hour))
	check("abandonment")
	t.requeues(1, jobqueue.Filter{})
	check("Requeue")
	claim()
}

func testKeptAsPushed(t *tester) {
	r := job(1)
	r.Headers = map[string]string{"trace": "one"}
	params := slices.Clone(r.Params)
	t.stores(r)
	copy(r.Params, `{"n":2}`)
	r.Headers["trace"] = "two"
	r.Headers["more"] = "three"
	for _, c := range t.pop(1) {
		if string(c.Params) != string(params) || len(c.Headers) != 1 || c.Headers["trace"] != "one" {
			t.Fatalf("Pop returned %s and %v, want what was pushed", c.Params, c.Headers)
		}
	}
}

func testKeptSuperseded(t *tester) {
	t.stores(rooted(job(1), "page", day(1)))
	c := t.hands(1)
	t.superseded(c, false)
	t.settle(retry(c[0], 0))
	t.mark("page", day(2))
	t.superseded(t.hands(1), true)
	t.advance(lease + lease/2)
	t.superseded(t.hands(1), true)
}

func testKeptFractions(t *tester) {
	t.stores(job(1), job(2), job(3))
	c := t.hands(1, 2, 3)
	t.settle(retry(c[0], 1200*time.Millisecond), giveBack(c[1], 2987*time.Millisecond), retry(c[2], time.Millisecond+time.Hour))
	at := func(i int) time.Time { return t.entry(c[i].ID).ReadyAt }
	if d := at(1).Sub(at(0)); d != 1787*time.Millisecond {
		t.Fatalf("delays of 1.2s and 2.987s end %v apart", d)
	}
	if d := at(2).Sub(at(0)); d != time.Hour-1199*time.Millisecond {
		t.Fatalf("delays of 1.2s and 1h0m0.001s end %v apart", d)
	}
	t.counts(0, 3, 0, 0)
}
