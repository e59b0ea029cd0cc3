package queuetest

import (
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

var rootRules = []testCase{
	{"superseded", "a job whose root is older than the root mark is claimed like any other, and returned with Superseded set", testRootSuperseded},
	{"equal", "equal times are not older", testRootEqual},
	{"of its own", "the root mark is that of a domain, type and key", testRootOfItsOwn},
	{"stored", "the mark of the root of every stored record is moved", testRootStored},
	{"older", "a mark is moved forward, never back, by a push", testRootOlder},
	{"zero time", "a zero Root.Time becomes the store's clock", testRootZeroTime},
	{"zero time, clock back", "a zero Root.Time becomes a microsecond more than the mark, if that stands ahead of the store's clock", testRootZeroTimeBack},
	{"zero time, mark ahead", "a zero Root.Time becomes a microsecond more than the mark, if that stands ahead: one time for all such roots of the push", testRootZeroTimeAhead},
	{"none", "a job without a root is never superseded", testRootNone},
	{"takes newer", "of two roots with the same key the waiting job takes over the newer one, and its mark is moved", testRootTakesNewer},
	{"takes newer at the store's clock", "of two roots with the same key the newer one; a zero Root.Time becomes the store's clock", testRootTakesZero},
	{"takes newer while delayed", "of two roots with the same key the waiting job takes over the newer one", testRootTakesDelayed},
	{"keeps newer", "of two roots with the same key the newer one: its own", testRootKeepsNewer},
	{"keeps equal", "the waiting job keeps its root if the record has the same one", testRootKeepsEqual},
	{"different", "if the keys differ it is left without a root, so never superseded; the mark of a record dropped without a trace is not moved", testRootDifferent},
	{"record without", "the waiting job is left without a root, so never superseded, if the record has none", testRootRecordWithout},
	{"job without", "a waiting job without a root stays without; the mark of a record dropped without a trace is not moved", testRootJobWithout},
	{"in one push", "of two such records in one push the first stays and takes over the newer root", testRootInOnePush},
	{"survives", "a job keeps its root through retry, giving back, recycling and requeueing", testRootSurvives},
	{"max-register", "MarkRoots moves each root mark forward to its time, never back, and returns where each stands afterwards", testMarkForward},
	{"read", "a zero time only reads; an unknown mark reads as the zero time", testMarkRead},
	{"next", "with Next MarkRoots reads what a zero Root.Time would become", testMarkNext},
	{"any time", "MarkRoots moves each root mark forward to its time, whenever that is, to the microsecond", testMarkAnyTime},
	{"batch", "MarkRoots works on a batch and returns where each stands", testMarkBatch},
	{"remembered", "marks that have not moved for RootMemory may be forgotten, others not", testMarkRemembered},
	{"keys", "two root keys are the same only if they are the same string", testMarkKeys},
}

func testRootSuperseded(t *tester) {
	t.stores(rooted(job(1), "page", day(1)), job(2))
	t.mark("page", day(2))
	t.superseded(t.hands(1, 2), true, false)
}

// superseded wants claims to be superseded or not.
func (t *tester) superseded(claims []*jobqueue.Claim, want ...bool) {
	t.Helper()
	for i, c := range claims {
		if c.Superseded != want[i] {
			t.Fatalf("Pop returned job %s of root %+v with Superseded %v, want %v", c.Params, c.Root, c.Superseded, want[i])
		}
	}
}

func testRootEqual(t *tester) {
	t.stores(rooted(job(1), "page", day(1)))
	t.mark("page", day(1))
	t.superseded(t.hands(1), false)
}

func testRootOfItsOwn(t *tester) {
	t.stores(rooted(job(1), "page", day(1)))
	_, err := t.b.MarkRoots(t.Context(),
		jobqueue.Mark{Name: jobqueue.Name{Domain: t.q.Domain + "2", Type: t.q.Type}, Key: "page", Time: day(2)},
		jobqueue.Mark{Name: jobqueue.Name{Domain: t.q.Domain, Type: t.q.Type + "2"}, Key: "page", Time: day(2)},
		jobqueue.Mark{Name: t.q, Key: "page2", Time: day(2)})
	t.ok(err, "MarkRoots")
	t.superseded(t.hands(1), false)
}

func testRootStored(t *tester) {
	t.stores(rooted(job(1), "page", day(1)))
	t.markIs("page", day(1))
	t.stores(rooted(job(2), "page", day(2)), rooted(job(3), "other", day(3)))
	t.markIs("page", day(2))
	t.markIs("other", day(3))
	t.superseded(t.hands(1, 2, 3), true, false, false)
}

func testRootOlder(t *tester) {
	t.stores(rooted(job(1), "page", day(2)))
	t.stores(rooted(job(2), "page", day(1)))
	t.markIs("page", day(2))
	t.superseded(t.hands(1, 2), false, true)
}

func testRootZeroTime(t *tester) {
	t.stores(rooted(job(1), "page", time.Time{}))
	t.jump(time.Hour)
	t.stores(rooted(job(2), "page", time.Time{}))
	claims := t.hands(1, 2)
	t.superseded(claims, true, false)
	for _, c := range claims {
		if d := c.Root.Time.Sub(c.QueuedAt); d != 0 {
			t.Fatalf("the root's time is %v from that of the push", d)
		}
	}
	t.markIs("page", claims[1].Root.Time)
}

func testRootZeroTimeBack(t *tester) {
	t.stores(rooted(job(1), "page", time.Time{}))
	first := t.hands(1)[0]
	t.settle(done(first))
	t.jump(-time.Hour)
	t.stores(rooted(job(2), "page", time.Time{}))
	second := t.hands(2)[0]
	t.superseded([]*jobqueue.Claim{second}, false)
	if d := second.Root.Time.Sub(first.Root.Time); d != time.Microsecond {
		t.Fatalf("the second root is %v newer than the first, want 1µs", d)
	}
}

func testRootZeroTimeAhead(t *tester) {
	ahead := day(1).AddDate(100, 0, 0)
	t.mark("page", ahead)
	t.stores(rooted(job(1), "page", time.Time{}), rooted(job(2), "other", time.Time{}), rooted(job(3), "page", time.Time{}))
	claims := t.hands(1, 2, 3)
	t.superseded(claims, false, false, false)
	want := ahead.Add(time.Microsecond)
	if !claims[0].Root.Time.Equal(want) || !claims[2].Root.Time.Equal(want) || claims[1].Root.Time.After(ahead) {
		t.Fatalf("the roots are %+v, %+v and %+v, want that of page at %v", claims[0].Root, claims[1].Root, claims[2].Root, want)
	}
	t.markIs("page", want)
	id := t.stores(rooted(unique(job(4), "k"), "page", time.Time{}))[0]
	t.drops(id, rooted(unique(job(4), "k"), "page", time.Time{}))
	t.markIs("page", want.Add(2*time.Microsecond))
	t.superseded(t.hands(4), false)
}

func testRootNone(t *tester) {
	t.stores(job(1))
	t.mark("", day(2))
	t.superseded(t.hands(1), false)
}

// has wants the one waiting job to have a root, and not to be superseded.
func (t *tester) has(root jobqueue.Root) {
	t.Helper()
	for _, c := range t.hands(1) {
		if c.Root.Key != root.Key || !c.Root.Time.Equal(root.Time) || c.Superseded {
			t.Fatalf("Pop returned a job with the root %+v, superseded %v; want %+v, not superseded", c.Root, c.Superseded, root)
		}
	}
}

func testRootTakesNewer(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(1)))[0]
	t.drops(id, rooted(unique(job(1), "k"), "page", day(2)))
	t.markIs("page", day(2))
	t.has(jobqueue.Root{Key: "page", Time: day(2)})
}

func testRootTakesZero(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(1)))[0]
	t.jump(time.Hour)
	t.drops(id, rooted(unique(job(1), "k"), "page", time.Time{}))
	e := t.entry(id)
	if d := e.Root.Time.Sub(e.QueuedAt); d != time.Hour {
		t.Fatalf("the root's time is %v after the first push, want 1h", d)
	}
	t.markIs("page", e.Root.Time)
}

func testRootTakesDelayed(t *tester) {
	id := t.stores(delayed(rooted(unique(job(1), "k"), "page", day(1)), time.Hour))[0]
	t.drops(id, delayed(rooted(unique(job(1), "k"), "page", day(2)), time.Hour))
	t.jump(2 * time.Hour)
	t.markIs("page", day(2))
	t.has(jobqueue.Root{Key: "page", Time: day(2)})
}

func testRootKeepsNewer(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(2)))[0]
	t.drops(id, rooted(unique(job(1), "k"), "page", day(1)))
	t.has(jobqueue.Root{Key: "page", Time: day(2)})
}

func testRootKeepsEqual(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(1)))[0]
	t.drops(id, rooted(unique(job(1), "k"), "page", day(1)))
	t.has(jobqueue.Root{Key: "page", Time: day(1)})
}

func testRootDifferent(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(1)))[0]
	t.drops(id, rooted(unique(job(1), "k"), "other", day(2)))
	t.markIs("page", day(1))
	t.markIs("other", time.Time{})
	t.mark("page", day(3))
	t.mark("other", day(3))
	t.has(jobqueue.Root{})
}

func testRootRecordWithout(t *tester) {
	id := t.stores(rooted(unique(job(1), "k"), "page", day(1)))[0]
	t.drops(id, unique(job(1), "k"))
	t.mark("page", day(2))
	t.has(jobqueue.Root{})
}

func testRootJobWithout(t *tester) {
	id := t.stores(unique(job(1), "k"))[0]
	t.drops(id, rooted(unique(job(1), "k"), "page", day(1)))
	t.markIs("page", time.Time{})
	t.mark("page", day(2))
	t.has(jobqueue.Root{})
}

func testRootInOnePush(t *tester) {
	t.push(rooted(unique(job(1), "k"), "page", day(1)), rooted(unique(job(2), "k"), "page", day(3)), rooted(unique(job(3), "k"), "page", day(2)))
	t.markIs("page", day(3))
	t.has(jobqueue.Root{Key: "page", Time: day(3)})
}

func testRootSurvives(t *tester) {
	root := jobqueue.Root{Key: "page", Time: day(1)}
	t.stores(rooted(job(1), root.Key, root.Time))
	t.settle(retry(t.hands(1)[0], 0))
	t.settle(giveBack(t.hands(1)[0], time.Hour))
	t.jump(2 * time.Hour)
	t.maintain()
	t.hands(1)
	t.advance(lease + lease/2)
	t.settle(abandon(t.hands(1)[0], time.Hour))
	t.requeues(1, jobqueue.Filter{})
	t.has(root)
}

func testMarkForward(t *tester) {
	for _, step := range []struct{ to, want time.Time }{{day(2), day(2)}, {day(1), day(2)}, {day(2), day(2)}, {day(3), day(3)}} {
		if got := t.mark("page", step.to); !got.Equal(step.want) {
			t.Fatalf("MarkRoots to %v = %v, want %v", step.to, got, step.want)
		}
	}
	t.markIs("page", day(3))
}

func testMarkRead(t *tester) {
	t.markIs("page", time.Time{})
	t.mark("page", day(1))
	t.markIs("page", day(1))
}

func testMarkNext(t *tester) {
	ahead := day(1).AddDate(100, 0, 0)
	t.mark("behind", day(1))
	t.mark("ahead", ahead)
	for range 2 { // reading moves nothing
		next, err := t.b.MarkRoots(t.Context(), jobqueue.Mark{Name: t.q, Key: "behind", Next: true},
			jobqueue.Mark{Name: t.q, Key: "ahead", Next: true}, jobqueue.Mark{Name: t.q, Key: "unknown", Next: true})
		t.ok(err, "MarkRoots")
		if want := []time.Time{t.now, ahead.Add(time.Microsecond), t.now}; !slices.EqualFunc(next, want, time.Time.Equal) {
			t.Fatalf("MarkRoots = %v, want %v", next, want)
		}
	}
	t.markIs("behind", day(1))
	t.markIs("unknown", time.Time{})
	t.markIs("ahead", ahead)
	t.stores(rooted(job(1), "behind", time.Time{}))
	t.markIs("behind", t.now)
}

func testMarkAnyTime(t *tester) {
	for _, year := range []int{2, 1600, 1969, 2020, 2300, 9999} {
		at := time.Date(year, 12, 31, 23, 59, 59, 999998000, time.UTC)
		t.mark("page", at)
		t.mark("page", at.Add(-time.Microsecond))
		t.markIs("page", at)
		t.mark("page", at.Add(time.Microsecond))
		t.markIs("page", at.Add(time.Microsecond))
	}
}

func testMarkBatch(t *tester) {
	t.mark("b", day(5))
	times, err := t.b.MarkRoots(t.Context(),
		jobqueue.Mark{Name: t.q, Key: "a", Time: day(2)},
		jobqueue.Mark{Name: t.q, Key: "b", Time: day(4)},
		jobqueue.Mark{Name: jobqueue.Name{Domain: t.q.Domain, Type: "other"}, Key: "b", Time: day(3)},
		jobqueue.Mark{Name: t.q, Key: "c"})
	t.ok(err, "MarkRoots")
	for i, want := range []time.Time{day(2), day(5), day(3), {}} {
		if len(times) != 4 || !times[i].Equal(want) {
			t.Fatalf("MarkRoots = %v, want mark %d at %v", times, i, want)
		}
	}
}

func testMarkRemembered(t *tester) {
	t.mark("page", day(1))
	t.jump(jobqueue.RootMemory - time.Hour)
	t.maintain()
	t.markIs("page", day(1))
	t.mark("page", day(2))
	t.jump(2 * time.Hour)
	t.maintain()
	t.markIs("page", day(2))
}

func testMarkKeys(t *tester) {
	for i, key := range awkward {
		t.mark(key, day(i+1))
	}
	for i, key := range awkward {
		t.markIs(key, day(i+1))
	}
}
