package queuetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

var popRules = []testCase{
	{"at most", "Pop claims up to Want.Max jobs of each wanted queue", testPopAtMost},
	{"nothing", "Pop claims up to Want.Max jobs; without one it returns none and no error", testPopNothing},
	{"grouped", "Pop returns the jobs grouped as wanted", testPopGrouped},
	{"grouped, made ready", "Pop returns the jobs grouped as wanted, also those it made ready", testPopGroupedMadeReady},
	{"only wanted", "Pop claims jobs of each wanted queue and of no other", testPopOnlyWanted},
	{"hundreds of queues", "every call works on a batch: Pop takes any number of wants", testPopHundreds},
	{"wanted twice", "a claim is a job handed over by a Pop: to nobody twice, though its queue is wanted twice", testPopWantedTwice},
	{"no longer ready", "a claimed job is handed out to nobody else", testPopClaimed},
	{"by id", "a Want with an ID claims that one job alone", testPopByID},
	{"by id, delayed", "a Want with an ID claims that one job alone, ready or delayed", testPopByIDDelayed},
	{"by id, not waiting", "a Want with an ID claims that one job alone, if it is ready or delayed", testPopByIDNotWaiting},
	{"by id, elsewhere", "a Want asks for jobs of one queue, also with an ID", testPopByIDElsewhere},
	{"by id, expired", "before Pop answers short it makes ready the wanted jobs whose claim has run out", testPopByIDExpired},
	{"makes ready", "before Pop answers short it makes ready the jobs of the wanted queues that are delayed and due", testPopMakesReady},
	{"recycles", "before Pop answers short it makes ready the jobs of the wanted queues whose claim has run out", testPopRecycles},
	{"expires", "Claim.Expires is when the lease ends, by the local monotonic clock; never later than in the store", testPopExpires},
	{"owner", "List shows whose a claimed job is and when the lease ends by the store's clock", testPopOwner},
	{"cancelled", "on any error Pop has claimed nothing that a repeat with the same token does not return", testPopCancelled},
}

func testPopAtMost(t *tester) {
	t.stores(jobs(1, 5)...)
	t.takes(1, 2)
	t.counts(3, 0, 2, 0)
	t.same(t.pop(100), 3, 4, 5)
	t.counts(0, 0, 5, 0)
}

func testPopNothing(t *tester) {
	t.hands()
	t.stores(job(1))
	t.same(t.pop(0))
	t.same(t.popAs(newLease()))
	t.hands(1)
	t.hands()
}

func testPopGrouped(t *tester) {
	t.stores(typed(job(1), "a"), typed(job(2), "b"), typed(job(3), "a"), typed(job(4), "c"), typed(job(5), "b"), typed(job(6), "b"))
	t.same(t.popAs(newLease(), t.want("b", 2), t.want("none", 5), t.want("a", 5), t.want("c", 1)), 2, 5, 1, 3, 4)
}

func testPopGroupedMadeReady(t *tester) {
	t.stores(typed(job(1), "a"), typed(delayed(job(2), time.Hour), "a"), typed(job(3), "b"), typed(delayed(job(4), time.Hour), "b"))
	t.jump(2 * time.Hour)
	t.same(t.popAs(newLease(), t.want("b", 5), t.want("a", 5)), 3, 4, 1, 2)
}

func (t *tester) want(typ string, n int) jobqueue.Want {
	return jobqueue.Want{Name: jobqueue.Name{Domain: t.q.Domain, Type: typ}, Max: n}
}

func testPopOnlyWanted(t *tester) {
	elsewhere := job(3)
	elsewhere.Domain = t.q.Domain + "2"
	t.stores(typed(job(1), "a"), typed(job(2), "b"), elsewhere)
	t.same(t.popAs(newLease(), t.want("b", 10)), 2)
	t.countsOf(jobqueue.Name{Domain: t.q.Domain, Type: "a"}, 1, 0, 0, 0)
}

func testPopHundreds(t *tester) {
	var wants []jobqueue.Want
	var records []jobqueue.Record
	for i, typ := range numbered("type", 400) {
		wants = append(wants, t.want(typ, 2))
		if i%3 == 0 {
			records = append(records, typed(job(i), typ))
		}
	}
	t.stores(records...)
	if n := len(t.popAs(newLease(), wants...)); n != len(records) {
		t.Fatalf("Pop of 400 queues handed out %d jobs, want %d", n, len(records))
	}
}

func testPopWantedTwice(t *tester) {
	ids := t.stores(jobs(1, 3)...)
	byID := jobqueue.Want{Name: t.q, Max: 1, ID: ids[0]}
	got := numbersOf(t.popAs(newLease(), t.want(t.q.Type, 1), byID, t.want(t.q.Type, 5), byID))
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Fatalf("Pop handed out the jobs %v, want 1, 2 and 3 once each", got)
	}
}

func testPopClaimed(t *tester) {
	t.stores(job(1))
	t.hands(1)
	t.advance(lease / 2)
	t.hands()
	t.counts(0, 0, 1, 0)
}

func testPopByID(t *tester) {
	ids := t.stores(jobs(1, 4)...)
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 9, ID: ids[2]}), 3)
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, ID: ids[0]}), 1)
	t.hands(2, 4)
}

func testPopByIDDelayed(t *tester) {
	id := t.stores(delayed(job(1), time.Hour))[0]
	t.hands()
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 1, ID: id}), 1)
	t.counts(0, 0, 1, 0)
}

func testPopByIDNotWaiting(t *tester) {
	ids := t.stores(jobs(1, 3)...)
	claims := t.hands(1, 2, 3)
	t.settle(done(claims[1]), abandon(claims[2], time.Hour))
	for _, id := range append(ids, "no such job", "9223372036854775807", "99999999999999999999", "-1", uuidLike) {
		t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 1, ID: id}))
	}
	t.counts(0, 0, 1, 1)
}

// uuidLike has the form of a backend's own IDs where these are UUIDs.
const uuidLike = "0195b0a5-0000-7000-8000-000000000000"

func testPopByIDElsewhere(t *tester) {
	id := t.stores(job(1))[0]
	w := t.want("other", 1)
	w.ID = id
	t.same(t.popAs(newLease(), w))
	t.hands(1)
}

func testPopByIDExpired(t *tester) {
	id := t.stores(job(1))[0]
	t.hands(1)
	t.lapseNow()
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 1, ID: id}), 1)
}

func testPopMakesReady(t *tester) {
	t.stores(delayed(job(1), time.Hour), delayed(job(2), 3*time.Hour), job(3))
	t.jump(2 * time.Hour)
	t.settle(done(t.takes(3)[0]))
	t.settle(done(t.hands(1)[0]))
	t.jump(2 * time.Hour)
	t.hands(2)
}

func testPopRecycles(t *tester) {
	t.stores(jobs(1, 3)...)
	t.takes(1, 2)
	t.lapseNow()
	t.hands(3, 1, 2)
}

func testPopExpires(t *tester) {
	t.jump(time.Hour)
	id := t.stores(job(1))[0]
	before := time.Now()
	c := t.hands(1)[0]
	after := time.Now()
	if c.Expires.Before(before) || c.Expires.After(after.Add(lease)) {
		t.Fatalf("the claim expires %v after the Pop was called, want at most %v", c.Expires.Sub(before), lease)
	}
	if got := t.entry(id).Expires; !got.Equal(t.now.Add(lease)) {
		t.Fatalf("the claim expires at %v in the store, want %v after %v", got, lease, t.now)
	}
}

func testPopOwner(t *tester) {
	id := t.stores(job(1))[0]
	l := newLease()
	l.Owner = "host é:1/23 'x'"
	t.popAs(l, t.want(t.q.Type, 1))
	e := t.entry(id)
	if d := e.Expires.Sub(e.QueuedAt); e.State != jobqueue.Claimed || e.Owner != l.Owner || d != lease {
		t.Fatalf("List = %v by %q for %v, want claimed by %q for %v", e.State, e.Owner, d, l.Owner, lease)
	}
}

func testPopCancelled(t *tester) {
	t.stores(jobs(1, 2)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := newLease()
	if claims, err := t.b.Pop(ctx, l, t.want(t.q.Type, 2)); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Fatalf("Pop with a cancelled context = %d claims, %v, want ErrUnavailable", len(claims), err)
	}
	t.same(t.popAs(l, t.want(t.q.Type, 2)), 1, 2)
}
