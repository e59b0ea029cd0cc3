package queuetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// The store was away, or its clock jumped.
var clockRules = []testCase{
	{"away", "a sweep that finds the last sweep longer ago than half of a claim's lease, and less than half left, gives that claim one new lease first", testClockAway},
	{"away, counted", "Counts and Ready say what a Pop would find now: not the jobs whose claim would get a new lease", testClockAwayCounted},
	{"away, popped", "a sweep that finds the last sweep longer ago than half of a claim's lease, and less than half left, gives that claim one new lease: also a Pop's", testClockAwayPopped},
	{"away, polled", "a sweep that finds the last sweep longer ago than half of a claim's lease, and less than half left, gives that claim one new lease: also Ready's", testClockAwayPolled},
	{"away, owner lives", "a store down for three leases causes no double run while the owner extends afterwards", testClockOwnerLives},
	{"away, owner dead", "a claim that got a new lease is given back when that ends", testClockOwnerDead},
	{"away twice", "not twice unless it was extended in between", testClockAwayTwice},
	{"away, extended, away", "not twice unless it was extended in between", testClockAwayExtended},
	{"half of each lease", "longer ago than half of a claim's lease: of each claim its own", testClockHalf},
	{"half left", "and less than half of that lease left: not of one that began so long after the last sweep", testClockHalfLeft},
	{"half left, extended", "and less than half of that lease left: not of one that was extended when the store was back", testClockHalfLeftExtended},
	{"half of the new lease", "longer ago than half of a claim's lease: of the one that Extend gave it", testClockHalfExtended},
	{"forward and back", "an expiry more than two leases ahead is cut to one lease", testClockBack},
	{"forward and back, owner lives", "a clock stepped forward and back loses no claim that is extended", testClockBackOwnerLives},
	{"back", "an expiry more than two leases ahead is cut to one lease: the clock was stepped back", testClockOnlyBack},
	{"goes on", "time is the store's clock: delays, leases and ages go on as it does", testClockGoes},
	{"back, ready", "a ready job is one that a Pop would hand out, wherever the clock stood when it became ready", testClockBackReady},
}

func testClockAway(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(3 * lease)
	if m := t.maintain(); m.Recycled != 0 {
		t.Fatalf("Maintain recycled %d jobs, want none", m.Recycled)
	}
	t.counts(0, 0, 1, 0)
	t.advance(lease / 2)
	t.settle(done(c))
}

func testClockAwayCounted(t *tester) {
	t.stores(job(1))
	id := t.hands(1)[0].ID
	t.jump(3 * lease)
	t.counts(0, 0, 1, 0)
	if e := t.entry(id); e.State != jobqueue.Claimed {
		t.Fatalf("List says that the job is %v, want claimed", e.State)
	}
	if found := t.ready(); len(found) > 0 {
		t.Fatalf("Ready yields %+v, want nothing", found)
	}
}

func testClockAwayPopped(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(3 * lease)
	t.hands()
	t.advance(lease / 2)
	t.settle(done(c))
}

func testClockAwayPolled(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(3 * lease)
	t.ready()
	t.advance(lease / 2)
	t.hands()
	t.settle(done(c))
}

func testClockOwnerLives(t *tester) {
	t.stores(jobs(1, 2)...)
	c := t.hands(1, 2)
	for range 3 {
		t.jump(3 * lease)
		t.hands()
		t.extend([]uuid.UUID{c[0].Token})
		t.advance(lease / 2)
		t.hands()
	}
	t.settle(done(c[0]), done(c[1]))
	t.counts(0, 0, 0, 0)
}

func testClockOwnerDead(t *tester) {
	t.stores(job(1))
	t.hands(1)
	t.jump(3 * lease)
	t.maintain()
	if m := t.advance(lease + lease/2); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs, want 1", m.Recycled)
	}
	if c := t.hands(1)[0]; c.Expiries != 1 {
		t.Fatalf("the job has %d expiries, want 1", c.Expiries)
	}
}

func testClockAwayTwice(t *tester) {
	t.stores(job(1))
	t.hands(1)
	t.jump(3 * lease)
	t.maintain()
	t.jump(3 * lease)
	t.counts(1, 0, 0, 0)
	if m := t.maintain(); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs, want 1", m.Recycled)
	}
	t.hands(1)
}

func testClockAwayExtended(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(3 * lease)
	t.maintain()
	t.extend([]uuid.UUID{c.Token})
	t.jump(3 * lease)
	if m := t.maintain(); m.Recycled != 0 {
		t.Fatalf("Maintain recycled %d jobs, want none", m.Recycled)
	}
	t.settle(done(c))
}

func testClockHalf(t *tester) {
	t.stores(jobs(1, 2)...)
	t.takes(1)
	t.popAs(longLease(), t.want(t.q.Type, 1))
	t.advance(4 * lease)
	t.hands(1)
	t.jump(2 * lease) // The long lease has ended; of the short one a new one begins.
	t.hands(2)
	t.counts(0, 0, 2, 0)
}

func testClockHalfLeft(t *tester) {
	t.jump(300 * time.Millisecond)
	t.stores(job(1))
	c := t.takes(1)[0]
	end := t.now.Add(lease)
	t.jump(lease / 2)
	t.maintain()
	t.endsAt(c, end)
	t.jump(3 * lease)
	t.maintain()
	t.endsAt(c, t.now.Add(lease))
}

func testClockHalfLeftExtended(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	for range 3 {
		t.jump(3 * lease)
		t.extend([]uuid.UUID{c.Token})
		end := t.now.Add(lease)
		t.jump(lease / 4)
		t.maintain()
		t.endsAt(c, end)
	}
	t.jump(3 * lease)
	t.maintain()
	t.settle(done(c))
}

// endsAt wants the lease of a claim to end then.
func (t *tester) endsAt(c *jobqueue.Claim, at time.Time) {
	t.Helper()
	if e := t.entry(c.ID); e.State != jobqueue.Claimed || !e.Expires.Equal(at) {
		t.Fatalf("at %v the job is %v and its lease ends at %v, want claimed until %v", t.now, e.State, e.Expires, at)
	}
}

func testClockHalfExtended(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.extendBy(20*lease, []uuid.UUID{c.Token})
	t.jump(8 * lease)
	t.maintain()
	t.advance(2 * lease)
	t.settle(done(c))
	t.counts(0, 0, 0, 0)
}

func testClockBack(t *tester) {
	t.stores(job(1))
	t.jump(time.Hour)
	t.maintain()
	t.hands(1)
	t.jump(-time.Hour)
	t.maintain()
	t.counts(0, 0, 1, 0)
	if m := t.advance(lease + lease/2); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs a lease after the clock was stepped back, want 1", m.Recycled)
	}
	t.hands(1)
}

func testClockBackOwnerLives(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	for _, step := range []time.Duration{time.Hour, -time.Hour, -time.Hour, 10 * lease, time.Hour} {
		t.jump(step)
		t.hands()
		t.extend([]uuid.UUID{c.Token})
		t.advance(lease / 2)
		t.hands()
	}
	t.settle(done(c))
	t.counts(0, 0, 0, 0)
}

func testClockOnlyBack(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(-time.Hour)
	t.maintain()
	t.counts(0, 0, 1, 0)
	t.advance(lease / 2)
	t.extend([]uuid.UUID{c.Token})
	if m := t.advance(lease + lease/2); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs, want 1", m.Recycled)
	}
}

func testClockBackReady(t *tester) {
	t.jump(time.Hour)
	t.stores(jobs(1, 2)...)
	t.settle(retry(t.takes(1)[0], 0))
	t.jump(-time.Hour)
	t.counts(2, 0, 0, 0)
	if found := t.ready(); len(found) != 1 || found[0].Age < 0 {
		t.Fatalf("Ready yields %+v, want one queue with an age that is not negative", found)
	}
	t.stores(job(3))
	if n := len(t.pop(4)); n != 3 {
		t.Fatalf("Pop handed out %d jobs, want 3", n)
	}
}

// testClockGoes is on a clock that nobody stopped.
func testClockGoes(t *tester) {
	const d = 20 * time.Millisecond
	t.b = t.open(t.T)
	begin := time.Now()
	// pops repeats a Pop until it hands out a job, which must not be before d after begin,
	// or half of that, as clocks may be coarse. It returns when it asked for that.
	pops := func(what string, l jobqueue.Lease) (*jobqueue.Claim, time.Time) {
		t.Helper()
		for time.Since(begin) < time.Minute {
			asked := time.Now()
			if claims := t.popAs(l, t.want(t.q.Type, 1)); len(claims) > 0 {
				if passed := time.Since(begin); passed < d/2 {
					t.Fatalf("a %s of %v is over after %v", what, d, passed)
				}
				return claims[0], asked
			}
		}
		t.Fatalf("a %s of %v is not over after a minute", what, d)
		return nil, begin
	}
	id := t.stores(delayed(job(1), d))[0]
	if d := time.Since(t.entry(id).QueuedAt); d.Abs() > time.Minute {
		t.Fatalf("QueuedAt is %v from the time of the push", d)
	}
	l := newLease()
	l.TTL = d
	c, asked := pops("delay", l)
	if left := time.Until(c.Expires); left > d {
		t.Fatalf("a claim of %v expires in %v", d, left)
	}
	begin = asked
	if c, _ := pops("lease", newLease()); c.ID != id || c.Expiries != 1 {
		t.Fatalf("Pop = %+v, want job %s whose claim ran out once", c, id)
	}
}
