package queuetest

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var boundRules = []testCase{
	{"due behind a backlog", "every Pop first makes ready some of the jobs that are due, those first that have been for longest, so that none starves behind a backlog", testBoundBacklog},
	{"many claims ended", "before Pop answers short it makes ready those jobs of the wanted queues whose claim has run out, though many others have too", testBoundManyEnded},
	{"by id first", "a Want with an ID claims that one job, though another Want asks for any job of its queue", testBoundNamedFirst},
	{"idle store", "less than half of that lease left: a time without claims uses up no new lease", testBoundIdle},
	{"unknown action", "what can never work is ErrInvalid: an outcome that does nothing known; and nothing is done", testBoundUnknownAction},
	{"odd cursor", "After: one that is not of the backend's form is an ErrInvalid", testBoundCursor},
	{"short lease", "what can never work is ErrInvalid: a lease shorter than a millisecond", testBoundShortLease},
	{"long durations", "a duration may be as long as there is one", testBoundLongDurations},
	{"much to forget", "Maintain forgets old push ids and tokens as fast as they come", testBoundForget},
	{"much to release", "Maintain releases what is due as fast as it comes", testBoundRelease},
}

func testBoundBacklog(t *tester) {
	t.stores(jobs(1, 60)...)
	t.stores(delayed(job(102), 2*time.Second), delayed(job(101), time.Second), delayed(job(103), time.Hour))
	t.jump(time.Minute)
	if t.loose {
		t.drainsBacklog(101, 102)
		return
	}
	for n := 0; n < 60; n += 10 {
		claims := t.pop(10)
		t.settle(each(claims, done(nil))...)
		t.stores(job(200 + n))
	}
	t.hands(101, 102, 200, 210, 220, 230, 240, 250)
}

// drainsBacklog keeps a backlog until these jobs have come out of it.
func (t *tester) drainsBacklog(numbers ...int) {
	t.Helper()
	for n := 0; len(numbers) > 0; n++ {
		if n == ever {
			t.Fatalf("the jobs %v were passed over %d times", numbers, ever)
		}
		claims := t.pop(10)
		numbers = slices.DeleteFunc(numbers, func(n int) bool { return slices.Contains(numbersOf(claims), n) })
		t.settle(each(claims, done(nil))...)
		t.stores(slices.Repeat([]jobqueue.Record{job(200)}, 10)...)
	}
}

func testBoundManyEnded(t *tester) {
	const others = 130
	for range others {
		t.stores(typed(job(0), "other"))
	}
	t.stores(job(1))
	for range others {
		t.popAs(newLease(), t.want("other", 1))
	}
	t.takes(1)
	t.lapse()
	t.counts(1, 0, 0, 0)
	t.hands(1)
}

func testBoundNamedFirst(t *tester) {
	id := t.stores(jobs(1, 3)...)[0]
	named := jobqueue.Want{Name: t.q, ID: id}
	t.same(t.popAs(newLease(), t.want(t.q.Type, 1), named), 2, 1)
}

func testBoundIdle(t *tester) {
	t.stores(job(1))
	t.jump(100 * lease)
	c := t.takes(1)[0]
	t.jump(lease / 8)
	t.maintain()
	t.jump(100 * lease)
	t.maintain()
	t.settle(done(c))
}

func testBoundUnknownAction(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.hands(1, 2)
	for _, do := range []jobqueue.Action{0, jobqueue.ActionAbandon + 1, 255} {
		_, err := t.b.Settle(t.Context(), done(c[0]), jobqueue.Outcome{Claim: c[1], Do: do})
		if !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Settle with action %d: %v", do, err)
		}
	}
	t.counts(0, 0, 2, 0)
	t.settle(done(c[0]), done(c[1]))
}

func testBoundShortLease(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.takes(1)[0]
	for _, ttl := range []time.Duration{math.MinInt64, -1, 0, time.Millisecond - 1} {
		l := newLease()
		l.TTL = ttl
		if claims, err := t.b.Pop(t.Context(), l, t.want(t.q.Type, 1)); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Pop for %v = %v, %v", ttl, claims, err)
		}
		if _, err := t.b.Extend(t.Context(), ttl, c.Token); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Extend for %v: %v", ttl, err)
		}
	}
	t.advance(lease / 2)
	t.counts(1, 0, 1, 0)
}

func testBoundLongDurations(t *tester) {
	const ever = time.Duration(math.MaxInt64)
	t.stores(job(1), job(2), job(3), delayed(job(4), ever))
	l := newLease()
	l.TTL = ever
	c := t.popAs(l, t.want(t.q.Type, 5))
	t.same(c, 1, 2, 3)
	t.extendBy(ever, []uuid.UUID{l.Token})
	if again := t.popAs(l, t.want(t.q.Type, 5)); len(again) != 3 || time.Until(again[0].Expires) < lease {
		t.Fatalf("Pop repeated returned %d claims, want 3 that last", len(again))
	}
	t.settle(retry(c[0], ever), abandon(c[1], ever))
	t.advance(2 * lease)
	t.counts(0, 2, 1, 1)
	t.settle(giveBack(c[2], ever))
	t.hands()
	t.counts(0, 3, 0, 1)
}

func testBoundForget(t *tester) {
	const n = 2500
	for range n {
		t.stores(job(1))
	}
	t.jump(jobqueue.PushMemory + time.Minute)
	if m := t.maintain(); m.Forgotten < n {
		t.Fatalf("Maintain forgot %d of %d push ids", m.Forgotten, n)
	}
}

func testBoundRelease(t *tester) {
	const n = 2500
	for i := 0; i < n; i += 500 {
		batch := jobs(i, i+499)
		for k := range batch {
			batch[k].Delay = time.Minute
		}
		t.stores(batch...)
	}
	t.jump(time.Hour)
	if m := t.maintain(); m.Released != n {
		t.Fatalf("Maintain released %d jobs, want %d", m.Released, n)
	}
}

func testBoundCursor(t *tester) {
	t.stores(job(1))
	f := jobqueue.Filter{After: "no id"}
	for e, err := range t.b.List(t.Context(), f) {
		if !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("List yields %v and %v, want ErrInvalid", e, err)
		}
	}
	if n, err := t.b.Delete(t.Context(), f); n != 0 || !errors.Is(err, jobqueue.ErrInvalid) {
		t.Fatalf("Delete = %d, %v, want ErrInvalid", n, err)
	}
	t.hands(1)
}
