package queuetest

import (
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

var dedupeRules = []testCase{
	{"ready", "a record with a Digest is dropped when a job of its queue with that digest waits: ready", testDedupeReady},
	{"delayed", "a record with a Digest is dropped when a job of its queue with that digest waits: delayed", testDedupeDelayed},
	{"one push", "of two such records in one push the first stays", testDedupeOnePush},
	{"mixed", "Pushed says, job by job in the order of the push, what became of it", testDedupeMixed},
	{"one queue", "a record is dropped when a job of its own queue waits", testDedupeOneQueue},
	{"keeps itself", "the waiting job takes over release time and root, and nothing else", testDedupeKeepsItself},
	{"claimed", "claiming gives up the digest: an equal job may be pushed from then on", testDedupeClaimed},
	{"claimed by id", "claiming gives up the digest, also of one job alone", testDedupeClaimedByID},
	{"recycled", "recycling does not take the digest again", testDedupeRecycled},
	{"retried", "a retry does not take the digest again", testDedupeRetried},
	{"given back", "giving back does not take the digest again", testDedupeGivenBack},
	{"twins waiting", "a job that was claimed since its push blocks no other; the one pushed after does", testDedupeTwins},
	{"deleted", "a record is dropped only when an equal job waits; a deleted one does not", testDedupeDeleted},
	{"abandoned", "a record is dropped only when an equal job waits; an abandoned one does not", testDedupeAbandoned},
	{"made ready", "a job blocks its equals while it waits, delayed or made ready by Requeue", testDedupeMadeReady},
	{"released", "a job blocks its equals while it waits, delayed or released", testDedupeReleased},
	{"runs now", "the waiting job takes over the earlier of the two release times: now", testDedupeRunsNow},
	{"earlier", "the waiting job takes over the earlier of the two release times: the record's", testDedupeEarlier},
	{"due", "the waiting job takes over the earlier of the two release times: its own, though it was due already", testDedupeDue},
	{"later", "the waiting job takes over the earlier of the two release times: its own", testDedupeLater},
	{"stays ready", "the waiting job takes over the earlier of the two release times: it stays ready", testDedupeStaysReady},
	{"instants", "the earlier of the two release times, be they delays or instants", testDedupeInstants},
	{"release in one push", "of two such records in one push the first stays and takes over the earlier release time", testDedupeReleaseOnePush},
	{"to the back", "becoming ready, the waiting job goes to the back", testDedupeToTheBack},
	{"keeps its place", "a ready job keeps its place when a duplicate is dropped", testDedupeKeepsPlace},
}

func testDedupeReady(t *tester) {
	id := t.stores(unique(job(1), "k"))[0]
	t.drops(id, unique(job(1), "k"))
	t.drops(id, unique(job(1), "k"), unique(job(1), "k"))
	t.hands(1)
}

func testDedupeDelayed(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.drops(id, delayed(unique(job(1), "k"), time.Hour))
	t.counts(0, 1, 0, 0)
}

func testDedupeOnePush(t *tester) {
	pushed := t.push(unique(job(1), "k"), unique(job(2), "k"), unique(job(3), "k"))
	if pushed.Stored() != 1 || pushed[0].Duplicate || pushed[1].ID != pushed[0].ID || pushed[2].ID != pushed[0].ID {
		t.Fatalf("Push = %+v, want the first stored and the others its duplicates", pushed)
	}
	t.hands(1)
}

func testDedupeMixed(t *tester) {
	t.stores(unique(job(1), "a"))
	pushed := t.push(job(2), unique(job(3), "a"), unique(job(4), "b"), unique(job(5), "b"), job(6), unique(job(7), "c"))
	var dup []bool
	for _, p := range pushed {
		dup = append(dup, p.Duplicate)
	}
	if want := []bool{false, true, false, true, false, false}; !slices.Equal(dup, want) {
		t.Fatalf("Push says of duplicates %v, want %v", dup, want)
	}
	if e := t.entry(pushed[3].ID); numberOf(e.Params) != 4 {
		t.Fatalf("job 5 is called a duplicate of %s, want of job 4", e.Params)
	}
	t.hands(1, 2, 4, 6, 7)
}

func testDedupeOneQueue(t *tester) {
	other := unique(job(3), "k")
	other.Domain = t.q.Domain + "2"
	t.stores(unique(job(1), "k"), typed(unique(job(2), "k"), "other"), other)
	t.counts(1, 0, 0, 0)
}

func testDedupeKeepsItself(t *tester) {
	first := unique(job(1), "k")
	first.MaxTries, first.Headers = 5, map[string]string{"h": "1"}
	id := t.stores(first)[0]
	second := unique(job(2), "k")
	second.MaxTries, second.Headers = 6, map[string]string{"h": "2"}
	t.drops(id, second)
	sameRecord(t, t.entry(id).Record, t.named([]jobqueue.Record{first})[0], "List")
}

func testDedupeClaimed(t *tester) {
	t.stores(unique(job(1), "k"))
	c := t.hands(1)
	t.stores(unique(job(2), "k"))
	t.settle(done(c[0]))
	t.hands(2)
}

func testDedupeClaimedByID(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.same(t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: 1, ID: id}), 1)
	t.stores(unique(job(2), "k"))
}

func testDedupeRecycled(t *tester) {
	t.stores(unique(job(1), "k"))
	t.hands(1)
	t.advance(lease + lease/2)
	t.counts(1, 0, 0, 0)
	t.stores(unique(job(2), "k"))
	t.hands(1, 2)
}

func testDedupeRetried(t *tester) {
	t.stores(unique(job(1), "k"))
	t.settle(retry(t.hands(1)[0], 0))
	t.stores(unique(job(2), "k"))
	t.hands(1, 2)
}

func testDedupeGivenBack(t *tester) {
	t.stores(unique(job(1), "k"))
	t.settle(giveBack(t.hands(1)[0], time.Hour))
	t.stores(unique(job(2), "k"))
	t.counts(1, 1, 0, 0)
}

func testDedupeTwins(t *tester) {
	t.stores(unique(job(1), "k"))
	c := t.hands(1)
	second := t.stores(unique(job(2), "k"))[0]
	t.settle(retry(c[0], 0))
	t.drops(second, unique(job(3), "k"))
	t.hands(2, 1)
	t.stores(unique(job(4), "k"))
}

func testDedupeDeleted(t *tester) {
	id := t.stores(unique(job(1), "k"))[0]
	t.deletes(1, jobqueue.Filter{IDs: []string{id}})
	t.stores(unique(job(2), "k"))
	t.hands(2)
}

func testDedupeAbandoned(t *tester) {
	t.stores(unique(job(1), "k"))
	t.settle(abandon(t.hands(1)[0], time.Hour))
	second := t.stores(unique(job(2), "k"))[0]
	t.requeues(1, jobqueue.Filter{})
	t.drops(second, unique(job(3), "k"))
	t.hands(2, 1)
}

func testDedupeMadeReady(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.requeues(1, jobqueue.Filter{States: []jobqueue.State{jobqueue.Delayed}})
	t.drops(id, unique(job(2), "k"))
	t.hands(1)
}

func testDedupeReleased(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.jump(2 * time.Hour)
	t.drops(id, unique(job(2), "k"))
	t.maintain()
	t.drops(id, unique(job(2), "k"))
	t.hands(1)
}

func testDedupeRunsNow(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), 7*24*time.Hour))[0]
	t.drops(id, unique(job(1), "k"))
	t.counts(1, 0, 0, 0)
	t.hands(1)
}

func testDedupeEarlier(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.drops(id, delayed(unique(job(1), "k"), time.Minute))
	t.delayedFor(id, time.Minute)
	t.jump(2 * time.Minute)
	t.hands(1)
}

// delayedFor wants a job to be delayed until d after it was queued.
func (t *tester) delayedFor(id string, d time.Duration) {
	t.Helper()
	e := t.entry(id)
	if got := e.ReadyAt.Sub(e.QueuedAt); e.State != jobqueue.Delayed || got != d {
		t.Fatalf("the job is %v until %v after it was queued, want delayed until %v after", e.State, got, d)
	}
}

func testDedupeDue(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.jump(2 * time.Hour)
	t.drops(id, unique(job(1), "k"))
	if e := t.entry(id); e.State != jobqueue.Ready || e.ReadyAt.Sub(e.QueuedAt) != time.Hour {
		t.Fatalf("the job is %v since %v after it was queued, want ready since 1h after", e.State, e.ReadyAt.Sub(e.QueuedAt))
	}
	t.age(time.Hour)
}

func testDedupeLater(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Minute))[0]
	t.drops(id, delayed(unique(job(1), "k"), time.Hour))
	t.delayedFor(id, time.Minute)
}

func testDedupeStaysReady(t *tester) {
	id := t.stores(unique(job(1), "k"))[0]
	t.drops(id, delayed(unique(job(1), "k"), time.Hour))
	t.counts(1, 0, 0, 0)
	t.hands(1)
}

func testDedupeInstants(t *tester) {
	r := unique(job(1), "k")
	r.ReleaseAt = t.now.Add(time.Hour)
	id := t.stores(delayed(unique(job(1), "k"), 24*time.Hour))[0]
	t.drops(id, r)
	t.delayedFor(id, time.Hour)
	t.drops(id, delayed(unique(job(1), "k"), time.Minute))
	t.delayedFor(id, time.Minute)
	r.ReleaseAt = day(1)
	t.drops(id, r)
	t.hands(1)
}

func testDedupeReleaseOnePush(t *tester) {
	pushed := t.push(delayed(unique(job(1), "k"), time.Hour), job(2), unique(job(3), "k"), delayed(unique(job(4), "k"), time.Minute))
	if pushed.Stored() != 2 || pushed[2].ID != pushed[0].ID || pushed[3].ID != pushed[0].ID {
		t.Fatalf("Push = %+v, want jobs 1 and 2 stored, 3 and 4 duplicates of 1", pushed)
	}
	t.hands(2, 1)
}

func testDedupeToTheBack(t *tester) {
	id := t.stores(delayed(unique(job(1), "k"), time.Hour))[0]
	t.stores(job(2), job(3))
	t.drops(id, unique(job(1), "k"))
	t.stores(job(4))
	t.hands(2, 3, 1, 4)
}

func testDedupeKeepsPlace(t *tester) {
	id := t.stores(unique(job(1), "k"))[0]
	t.stores(job(2))
	t.drops(id, unique(job(1), "k"))
	t.hands(1, 2)
}
