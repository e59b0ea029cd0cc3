package queuetest

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var settleRules = []testCase{
	{"done", "done: delete it", testSettleDone},
	{"retry", "retry: count a failure; ready after Delay", testSettleRetry},
	{"retry later", "retry: ready after Delay, a duration added to the store's clock", testSettleRetryLater},
	{"give back", "give back: count nothing; ready after Delay", testSettleGiveBack},
	{"give back later", "give back: ready after Delay, a duration added to the store's clock", testSettleGiveBackLater},
	{"abandon", "abandon: count a failure; keep it, never to be handed out, for Keep", testSettleAbandon},
	{"mixed", "Settle ends claims, each in its own way, mixed in one call", testSettleMixed},
	{"large", "Settle works on a batch", testSettleLarge},
	{"error kept", `Err "" leaves what was there`, testSettleErrorKept},
	{"longest error", "Err is stored with the job, up to MaxError bytes", testSettleErrorLongest},
	{"unknown token", "an outcome whose claim is not held changes nothing and its claim is returned in lost", testSettleUnknown},
	{"stale token", "only the token of the last Pop can settle a job, and only while its lease lasts", testSettleStale},
	{"stale after recycling", "an outcome whose claim is not held changes nothing and its claim is returned in lost", testSettleRecycled},
	{"another's job", "(Token, ID) is the fence: the token of one claim does not settle the job of another", testSettleAnothers},
	{"not claimed", "an outcome whose claim is not held changes nothing: of a job nobody claimed", testSettleUnclaimed},
	{"lost among others", "an outcome whose claim is not held is returned in lost; the others take effect", testSettleLostAmongOthers},
	{"late", "until a sweep has found it, a claim whose lease has ended can still be settled", testSettleLate},
}

func testSettleDone(t *tester) {
	id := t.stores(job(1))[0]
	t.settle(done(t.hands(1)[0]))
	t.counts(0, 0, 0, 0)
	if found := t.list(jobqueue.Filter{IDs: []string{id}}); len(found) > 0 {
		t.Fatalf("List still finds %+v", found)
	}
}

func testSettleRetry(t *tester) {
	t.stores(job(1))
	for n := range 3 {
		c := t.hands(1)[0]
		if c.Failures != n || c.Expiries != 0 || n > 0 && c.LastError != "failed" {
			t.Fatalf("attempt %d has %d failures, %d expiries and the error %q", n+1, c.Failures, c.Expiries, c.LastError)
		}
		t.settle(retry(c, 0))
	}
	t.counts(1, 0, 0, 0)
}

func testSettleRetryLater(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(retry(c, time.Hour))
	t.delayedFor(c.ID, time.Hour)
	t.jump(50 * time.Minute)
	t.hands()
	t.jump(20 * time.Minute)
	t.hands(1)
}

func testSettleGiveBack(t *tester) {
	t.stores(job(1))
	for range 3 {
		c := t.hands(1)[0]
		if c.Failures != 0 || c.Expiries != 0 {
			t.Fatalf("the job has %d failures and %d expiries, want none", c.Failures, c.Expiries)
		}
		t.settle(giveBack(c, 0))
	}
	t.counts(1, 0, 0, 0)
}

func testSettleGiveBackLater(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(giveBack(c, time.Hour))
	t.delayedFor(c.ID, time.Hour)
	t.jump(70 * time.Minute)
	t.hands(1)
}

func testSettleAbandon(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.hands(1, 2)
	t.settle(abandon(c[0], time.Hour), abandon(c[1], 0))
	t.counts(0, 0, 0, 2)
	t.hands()
	t.jump(30 * time.Minute)
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 1, ID: c[0].ID}))
	kept, forever := t.entry(c[0].ID), t.entry(c[1].ID)
	if d := kept.PruneAt.Sub(kept.QueuedAt); kept.Failures != 1 || kept.LastError != "hopeless" || d != time.Hour {
		t.Fatalf("List = %+v, want a job with 1 failure that is kept for 1h", kept)
	}
	if !forever.PruneAt.IsZero() {
		t.Fatalf("a job abandoned with Keep 0 is pruned at %v, want never", forever.PruneAt)
	}
}

func testSettleMixed(t *tester) {
	t.stores(append(jobs(1, 4), typed(job(5), "b"), typed(job(6), "b"))...)
	first := t.popAs(newLease(), t.want(t.q.Type, 3), t.want("b", 1))
	second := t.popAs(newLease(), t.want(t.q.Type, 3), t.want("b", 1))
	t.settle(abandon(second[1], time.Hour), done(first[0]), retry(first[1], time.Hour), done(first[3]), giveBack(first[2], 0), retry(second[0], 0))
	t.counts(2, 1, 0, 0)
	t.countsOf(jobqueue.Name{Domain: t.q.Domain, Type: "b"}, 0, 0, 0, 1)
	t.hands(3, 4)
}

func testSettleLarge(t *tester) {
	t.stores(jobs(1, 1000)...)
	claims := t.pop(1000)
	var outcomes []jobqueue.Outcome
	for i, c := range claims {
		outcomes = append(outcomes, []jobqueue.Outcome{done(c), retry(c, 0), retry(c, time.Hour), abandon(c, time.Hour)}[i%4])
	}
	t.settle(outcomes...)
	t.counts(250, 250, 0, 250)
}

func testSettleErrorKept(t *tester) {
	t.stores(job(1))
	t.settle(retry(t.hands(1)[0], 0))
	t.settle(giveBack(t.hands(1)[0], 0))
	if c := t.hands(1)[0]; c.LastError != "failed" {
		t.Fatalf("the error is %q, want the one before, %q", c.LastError, "failed")
	}
}

func testSettleErrorLongest(t *tester) {
	t.stores(job(1))
	o := retry(t.hands(1)[0], 0)
	o.Err = "\x1b[31m '\"\\\r\n😀" + strings.Repeat("é", jobqueue.MaxError)
	o.Err = strings.ToValidUTF8(o.Err[:jobqueue.MaxError], "x")
	t.settle(o)
	if got := t.hands(1)[0].LastError; got != o.Err {
		t.Fatalf("the error came back as %d bytes, %q…, want %d, %.40q…", len(got), got[:min(len(got), 40)], len(o.Err), o.Err)
	}
}

// stray returns a claim as c is, but with another token.
func stray(c *jobqueue.Claim) *jobqueue.Claim {
	s := *c
	s.Token = uuid.New()
	return &s
}

// everyWay returns every kind of outcome of one claim.
func everyWay(c *jobqueue.Claim) []jobqueue.Outcome {
	return []jobqueue.Outcome{done(c), retry(c, 0), giveBack(c, 0), abandon(c, 0)}
}

func testSettleUnknown(t *tester) {
	t.stores(job(1))
	s := stray(t.hands(1)[0])
	for _, o := range everyWay(s) {
		t.loses([]*jobqueue.Claim{s}, o)
	}
	t.counts(0, 0, 1, 0)
}

func testSettleStale(t *tester) {
	t.stores(job(1))
	stale := t.hands(1)[0]
	t.advance(lease + lease/2)
	fresh := t.hands(1)[0]
	for _, o := range everyWay(stale) {
		t.loses([]*jobqueue.Claim{stale}, o)
	}
	t.counts(0, 0, 1, 0)
	t.settle(done(fresh))
	t.loses([]*jobqueue.Claim{stale}, retry(stale, 0))
	t.counts(0, 0, 0, 0)
}

func testSettleRecycled(t *tester) {
	t.stores(job(1))
	stale := t.hands(1)[0]
	t.advance(lease + lease/2)
	for _, o := range everyWay(stale) {
		t.loses([]*jobqueue.Claim{stale}, o)
	}
	t.counts(1, 0, 0, 0)
	if c := t.hands(1)[0]; c.Failures != 0 || c.Expiries != 1 || c.LastError != "" {
		t.Fatalf("the job has %d failures, %d expiries and the error %q, want 0, 1 and none", c.Failures, c.Expiries, c.LastError)
	}
}

func testSettleAnothers(t *tester) {
	t.stores(jobs(1, 2)...)
	first, second := t.takes(1)[0], t.hands(2)[0]
	mixed := *first
	mixed.ID = second.ID
	none := *first
	none.ID = "no such job"
	t.loses([]*jobqueue.Claim{&mixed, &none}, done(&mixed), done(&none))
	t.counts(0, 0, 2, 0)
}

func testSettleUnclaimed(t *tester) {
	t.stores(jobs(1, 2)...)
	c := *t.takes(1)[0]
	c.ID = t.list(jobqueue.Filter{States: []jobqueue.State{jobqueue.Ready}})[0].ID
	t.loses([]*jobqueue.Claim{&c}, done(&c))
	t.counts(1, 0, 1, 0)
}

func testSettleLostAmongOthers(t *tester) {
	t.stores(jobs(1, 4)...)
	c := t.hands(1, 2, 3, 4)
	s1, s2 := stray(c[1]), stray(c[3])
	t.loses([]*jobqueue.Claim{s1, s2}, done(c[0]), done(s1), retry(c[2], 0), done(s2))
	t.counts(1, 0, 2, 0)
}

func testSettleLate(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(2 * lease)
	t.settle(done(c))
	t.maintain()
	t.counts(0, 0, 0, 0)
}
