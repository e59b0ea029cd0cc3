package queuetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var maintainRules = []testCase{
	{"nothing", "Maintained is what one Maintain did: nothing, when there is nothing to do", testMaintainNothing},
	{"sweeps", "Maintain sweeps: it gives back the jobs whose claim has run out", testMaintainSweeps},
	{"releases", "Maintain releases what is due in queues that nobody pops", testMaintainReleases},
	{"prunes", "Maintain prunes abandoned jobs past their time", testMaintainPrunes},
	{"keeps", "abandon: keep it for Keep; 0 or less means for ever", testMaintainKeeps},
	{"forgets", "Maintain forgets old marks, push ids and tokens", testMaintainForgets},
	{"leaves the rest", "Maintain does hygiene: what waits, runs or is kept stays as it is", testMaintainLeaves},
}

func testMaintainNothing(t *tester) {
	t.stores(job(1), delayed(job(2), time.Hour))
	t.takes(1)
	if m := t.maintain(); m != (jobqueue.Maintained{}) {
		t.Fatalf("Maintain = %+v, want nothing done", m)
	}
}

func testMaintainSweeps(t *tester) {
	t.stores(jobs(1, 3)...)
	t.takes(1, 2)
	t.lapse()
	if m := t.maintain(); m.Recycled != 2 {
		t.Fatalf("Maintain = %+v, want 2 recycled", m)
	}
	if m := t.maintain(); m.Recycled != 0 {
		t.Fatalf("the next Maintain = %+v, want none recycled", m)
	}
}

func testMaintainReleases(t *tester) {
	t.stores(delayed(job(1), time.Minute), delayed(job(2), time.Minute), delayed(job(3), time.Hour))
	t.jump(2 * time.Minute)
	if m := t.maintain(); m.Released != 2 {
		t.Fatalf("Maintain = %+v, want 2 released", m)
	}
	if m := t.maintain(); m.Released != 0 {
		t.Fatalf("the next Maintain = %+v, want none released", m)
	}
	t.hands(1, 2)
}

func testMaintainPrunes(t *tester) {
	t.stores(jobs(1, 3)...)
	c := t.hands(1, 2, 3)
	t.settle(abandon(c[0], time.Hour), abandon(c[1], time.Hour), abandon(c[2], 3*time.Hour))
	t.jump(50 * time.Minute)
	if m := t.maintain(); m.Pruned != 0 {
		t.Fatalf("Maintain = %+v before Keep is over, want none pruned", m)
	}
	t.jump(20 * time.Minute)
	if m := t.maintain(); m.Pruned != 2 {
		t.Fatalf("Maintain = %+v, want 2 pruned", m)
	}
	t.counts(0, 0, 0, 1)
}

func testMaintainKeeps(t *tester) {
	t.stores(jobs(1, 3)...)
	c := t.hands(1, 2, 3)
	t.settle(abandon(c[0], 0), abandon(c[1], -1), abandon(c[2], jobqueue.DefaultKeep))
	t.jump(jobqueue.DefaultKeep - time.Hour)
	t.maintain()
	t.counts(0, 0, 0, 3)
	t.jump(10 * 365 * 24 * time.Hour)
	t.maintain()
	t.counts(0, 0, 0, 2)
}

func testMaintainForgets(t *tester) {
	id := uuid.New()
	t.pushAs(id, rooted(job(1), "page", day(1)))
	c := t.hands(1)[0]
	t.settle(done(c))
	t.jump(jobqueue.RootMemory + time.Hour)
	forgotten := 0
	for m := t.maintain(); m.Forgotten > 0; m = t.maintain() {
		forgotten += m.Forgotten
	}
	if forgotten < 3 {
		t.Fatalf("Maintain forgot %d, want a mark, a push id and a token", forgotten)
	}
	t.markIs("page", time.Time{})
	t.loses([]*jobqueue.Claim{c}, done(c))
}

func testMaintainLeaves(t *tester) {
	t.stores(append(jobs(1, 4), delayed(job(5), 1000*time.Hour))...)
	c := t.takes(1, 2)
	t.settle(abandon(c[0], 0))
	for range 3 {
		t.jump(10 * time.Hour)
		t.extend([]uuid.UUID{c[1].Token})
		t.maintain()
	}
	t.counts(2, 1, 1, 1)
	t.settle(done(c[1]))
}
