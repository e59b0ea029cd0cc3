package queuetest

import (
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// What is repeated because an answer was lost.
var repeatRules = []testCase{
	{"push", "repeating a push with the same id stores nothing more and returns the same answer", testRepeatPush},
	{"push after the jobs ran", "repeating a push with the same id returns the same answer, even if its jobs have run since", testRepeatPushRan},
	{"push of duplicates", "repeating a push with the same id returns the same answer, duplicates and all", testRepeatPushDuplicates},
	{"push takes over once", "repeating a push with the same id does nothing more", testRepeatPushTakesOver},
	{"push within PushMemory", "the answer to a push id is kept for PushMemory", testRepeatPushMemory},
	{"push with another id", "only a push with the same id is a repeat", testRepeatPushOther},
	{"pop", "repeating a Pop with the token of an earlier one returns its claims, and claims nothing new", testRepeatPop},
	{"pop after some are settled", "repeating a Pop returns the claims which are still held", testRepeatPopSettled},
	{"pop after all are settled", "repeating a Pop returns the claims which are still held, and claims nothing new", testRepeatPopAllSettled},
	{"pop after a retry", "repeating a Pop returns the claims which are still held; a retried job is not", testRepeatPopRetried},
	{"pop after the lease", "repeating a Pop returns no claims if the lease has ended", testRepeatPopExpired},
	{"pop after an extension", "repeating a Pop returns the claims which are still held", testRepeatPopExtended},
	{"pop whose answer was lost", "a job whose Pop's answer was lost is ready again when the lease ends", testRepeatPopNever},
	{"done", "repeating an outcome reports what the first one did: a claim that was settled is not lost", testRepeatDone},
	{"retry", "repeating an outcome does nothing twice, whatever became of the job afterwards", testRepeatRetry},
	{"give back", "repeating an outcome does nothing twice, whatever became of the job afterwards", testRepeatGiveBack},
	{"abandon", "repeating an outcome does nothing twice, whatever became of the job afterwards", testRepeatAbandon},
	{"mixed", "repeating outcomes reports what the first ones did, and the others take effect", testRepeatMixed},
	{"another outcome", "a claim that was settled is not lost, whatever is said of it next, and nothing is done twice", testRepeatOtherOutcome},
	{"settle within TokenMemory", "which jobs of a token were settled is kept for TokenMemory", testRepeatSettleMemory},
}

func testRepeatPush(t *tester) {
	id := uuid.New()
	first := t.pushAs(id, jobs(1, 3)...)
	t.samePushed(t.pushAs(id, jobs(1, 3)...), first)
	t.counts(3, 0, 0, 0)
}

func (t *tester) samePushed(got, want jobqueue.Pushed) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("the repeated Push = %+v, want %+v", got, want)
	}
}

func testRepeatPushRan(t *tester) {
	id := uuid.New()
	first := t.pushAs(id, unique(job(1), "k"), job(2))
	claims := t.hands(1, 2)
	t.settle(done(claims[0]), done(claims[1]))
	t.samePushed(t.pushAs(id, unique(job(1), "k"), job(2)), first)
	t.counts(0, 0, 0, 0)
}

func testRepeatPushDuplicates(t *tester) {
	t.stores(unique(job(1), "a"))
	id := uuid.New()
	records := []jobqueue.Record{job(2), unique(job(3), "a"), unique(job(4), "b"), unique(job(5), "b")}
	first := t.pushAs(id, records...)
	t.samePushed(t.pushAs(id, records...), first)
	t.settle(each(t.hands(1, 2, 4), jobqueue.Outcome{Do: jobqueue.ActionDone})...)
	t.samePushed(t.pushAs(id, records...), first)
	t.counts(0, 0, 0, 0)
}

func testRepeatPushTakesOver(t *tester) {
	t.stores(delayed(unique(job(1), "k"), time.Hour))
	id := uuid.New()
	first := t.pushAs(id, delayed(unique(job(1), "k"), time.Minute))
	t.jump(2 * time.Minute)
	t.settle(giveBack(t.hands(1)[0], time.Hour))
	t.samePushed(t.pushAs(id, delayed(unique(job(1), "k"), time.Minute)), first)
	t.counts(0, 1, 0, 0)
}

func testRepeatPushMemory(t *tester) {
	id := uuid.New()
	first := t.pushAs(id, job(1))
	t.settle(done(t.hands(1)[0]))
	t.jump(jobqueue.PushMemory - time.Minute)
	t.maintain()
	t.samePushed(t.pushAs(id, job(1)), first)
	t.counts(0, 0, 0, 0)
}

func testRepeatPushOther(t *tester) {
	t.pushAs(uuid.New(), job(1))
	t.pushAs(uuid.New(), job(1))
	t.hands(1, 1)
}

func testRepeatPop(t *tester) {
	t.stores(rooted(job(1), "page", day(1)), job(2), typed(job(3), "b"), job(4), job(5))
	l, wants := newLease(), []jobqueue.Want{t.want("b", 2), t.want(t.q.Type, 2)}
	first := t.popAs(l, wants...)
	t.same(first, 3, 1, 2)
	again := t.popAs(l, wants...)
	t.same(again, 3, 1, 2)
	for i, c := range again {
		c.Expires = first[i].Expires
		c.QueuedAt, c.Root.Time = c.QueuedAt.UTC(), c.Root.Time.UTC()
		first[i].QueuedAt, first[i].Root.Time = first[i].QueuedAt.UTC(), first[i].Root.Time.UTC()
		if !reflect.DeepEqual(c, first[i]) {
			t.Fatalf("the repeated Pop returned %+v, want %+v", c, first[i])
		}
	}
	t.counts(2, 0, 2, 0)
}

// popAgain repeats a Pop.
func (t *tester) popAgain(l jobqueue.Lease) []*jobqueue.Claim {
	t.Helper()
	return t.popAs(l, t.want(t.q.Type, 10))
}

func testRepeatPopSettled(t *tester) {
	t.stores(jobs(1, 4)...)
	l := newLease()
	claims := t.popAs(l, t.want(t.q.Type, 3))
	t.settle(done(claims[1]))
	t.same(t.popAgain(l), 1, 3)
	t.counts(1, 0, 2, 0)
}

func testRepeatPopAllSettled(t *tester) {
	t.stores(jobs(1, 2)...)
	l := newLease()
	t.settle(done(t.popAs(l, t.want(t.q.Type, 1))[0]))
	t.same(t.popAgain(l))
	t.counts(1, 0, 0, 0)
}

func testRepeatPopRetried(t *tester) {
	t.stores(jobs(1, 2)...)
	l := newLease()
	claims := t.popAs(l, t.want(t.q.Type, 2))
	t.settle(retry(claims[0], 0))
	t.same(t.popAgain(l), 2)
	t.hands(1)
	t.same(t.popAgain(l), 2)
}

func testRepeatPopExpired(t *tester) {
	t.stores(job(1))
	l := newLease()
	t.popAs(l, t.want(t.q.Type, 1))
	t.advance(lease + lease/2)
	t.same(t.popAgain(l))
	t.hands(1)
	t.same(t.popAgain(l))
}

func testRepeatPopExtended(t *tester) {
	t.stores(job(1))
	l := newLease()
	t.popAs(l, t.want(t.q.Type, 1))
	for range 3 {
		t.advance(lease / 2)
		t.extend([]uuid.UUID{l.Token})
	}
	t.same(t.popAgain(l), 1)
}

func testRepeatPopNever(t *tester) {
	t.stores(jobs(1, 2)...)
	t.takes(1) // nobody got to know
	t.hands(2)
	t.advance(lease + lease/2)
	claims := t.pop(10)
	if got := numbersOf(claims); len(got) != 2 || claims[0].Expiries != 1 {
		t.Fatalf("Pop handed out the jobs %v with %d expiries, want both with one", got, claims[0].Expiries)
	}
}

func testRepeatDone(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(done(c))
	t.settle(done(c))
	t.counts(0, 0, 0, 0)
}

func testRepeatRetry(t *tester) {
	t.stores(job(1))
	first := t.hands(1)[0]
	t.settle(retry(first, 0))
	t.settle(retry(first, 0))
	second := t.hands(1)[0]
	t.settle(retry(first, 0))
	t.counts(0, 0, 1, 0)
	t.settle(giveBack(second, 0))
	if c := t.hands(1)[0]; c.Failures != 1 {
		t.Fatalf("the job has %d failures, want 1", c.Failures)
	}
}

func testRepeatGiveBack(t *tester) {
	t.stores(job(1))
	first := t.hands(1)[0]
	t.settle(giveBack(first, 0))
	t.settle(giveBack(first, time.Hour))
	second := t.hands(1)[0]
	t.settle(giveBack(first, 0))
	t.counts(0, 0, 1, 0)
	t.settle(done(second))
	t.settle(giveBack(first, 0))
	t.counts(0, 0, 0, 0)
}

func testRepeatAbandon(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(abandon(c, time.Hour))
	t.settle(abandon(c, time.Hour))
	if e := t.entry(c.ID); e.State != jobqueue.Abandoned || e.Failures != 1 {
		t.Fatalf("the job is %v with %d failures, want abandoned with 1", e.State, e.Failures)
	}
	t.requeues(1, jobqueue.Filter{})
	t.settle(abandon(c, time.Hour))
	t.counts(1, 0, 0, 0)
}

func testRepeatMixed(t *tester) {
	t.stores(jobs(1, 3)...)
	c := t.hands(1, 2, 3)
	t.settle(done(c[0]), retry(c[1], 0))
	t.settle(done(c[0]), retry(c[1], 0), done(c[2]))
	t.counts(1, 0, 0, 0)
}

func testRepeatOtherOutcome(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(retry(c, time.Hour))
	t.settle(done(c))
	t.settle(abandon(c, 0))
	t.counts(0, 1, 0, 0)
	if e := t.entry(c.ID); e.Failures != 1 || e.LastError != "failed" {
		t.Fatalf("the job has %d failures and the error %q, want 1 and %q", e.Failures, e.LastError, "failed")
	}
}

func testRepeatSettleMemory(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.settle(retry(c, 0))
	t.jump(jobqueue.TokenMemory - time.Minute)
	t.maintain()
	t.settle(retry(c, 0))
	t.counts(1, 0, 0, 0)
}
