package queuetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var holdRules = []testCase{
	{"apart", "no Pop, Ready, Counts, List, Delete, Requeue or Maintain sees the jobs of a hold", testHoldApart},
	{"order", "Hold takes the ready ones first, in their order, then the delayed ones, the next to be ready first; up to max", testHoldOrder},
	{"out of turn", "Hold takes the ready ones in their order, and leaves the others theirs, whatever was taken out of turn", testHoldOutOfTurn},
	{"most", "Hold takes at most MaxPush", testHoldMost},
	{"none", "Hold takes none, making no hold, only if there are none", testHoldNone},
	{"large", "Hold takes fewer jobs than there are where they are large", testHoldLarge},
	{"what a pop would find", "before Hold comes up short it makes ready what a Pop would; what is claimed stays", testHoldFinds},
	{"claims that have ended", "before Hold comes up short it makes ready what a Pop would, though the last sweep was less than a second ago", testHoldLapsed},
	{"repeat", "if the hold exists Hold returns the jobs of that, with what is left of their delays", testHoldRepeat},
	{"ended", "once a hold has ended nothing is done under its id any more", testHoldEnded},
	{"never lapses", "a hold does not lapse; one that has ended is remembered for HoldMemory", testHoldMemory},
	{"holds", "Holds returns the holds, the oldest first, with their names, labels and numbers of jobs", testHolds},
	{"keep", "Keep makes a hold of jobs from elsewhere, and does nothing if the hold exists", testHoldKeep},
	{"limits", "a hold has jobs of one queue, at most MaxPush with at most MaxPushBytes, and a label of 1 to MaxLabel bytes of UTF-8 without control characters", testHoldLimits},
	{"whole", "what a job has with it, it keeps from Hold to Release, whatever backends these are of", testHoldWhole},
	{"many", "a hold of MaxPush jobs is kept and released in the order of the queue that it comes from", testHoldMany},
	{"delay", "a held job is released when it would have been, by the store's clock", testHoldDelay},
	{"digest", "a job in a hold does not wait: an equal one may be pushed; Release drops it as a duplicate, the waiting job taking over", testHoldDigest},
	{"digest taken again", "Release puts jobs into the queue as a Push would: they block their duplicates, but for those that have given up their digest", testHoldBlocks},
	{"roots", "Release moves root marks; neither Hold nor Drop does", testHoldRoots},
	{"from itself", "Release ends a hold and puts its jobs into the queue, also where they come from", testHoldBack},
	{"lost answers", "each step may be repeated, whether or not its answer was lost, and where the hold is says how to go on", testHoldLost},
	{"one owner", "Hold takes jobs out of the queue: none is in two holds, or in one and claimed", testHoldOneOwner},
	{"wakes", "Release puts jobs into the queue as a Push would: it wakes who waits for work", testHoldWakes},
}

// holder returns the backend as a Holder.
func (t *tester) holder() jobqueue.Holder {
	t.Helper()
	h, ok := t.b.(jobqueue.Holder)
	if !ok {
		t.Skip("the backend is no Holder")
	}
	return h
}

func (t *tester) newHold() jobqueue.Hold {
	return jobqueue.Hold{ID: uuid.New(), Name: t.q, Label: "queuetest " + t.q.Domain}
}

// holds holds up to most jobs and wants these.
func (t *tester) holds(h jobqueue.Hold, most int, numbers ...int) []jobqueue.Held {
	t.Helper()
	held, err := t.holder().Hold(t.Context(), h, most)
	t.ok(err, "Hold")
	t.inHold(held, numbers...)
	return held
}

func (t *tester) inHold(held []jobqueue.Held, numbers ...int) {
	t.Helper()
	if t.loose {
		arrangeHeld(held, numbers)
	}
	got := make([]int, len(held))
	for i := range held {
		got[i] = numberOf(held[i].Params)
		if held[i].Name != t.q {
			t.Fatalf("job %s in the hold is of %v, want %v", held[i].Params, held[i].Name, t.q)
		}
	}
	if !slices.Equal(got, numbers) {
		t.Fatalf("the jobs %v are in the hold, want %v", got, numbers)
	}
}

// arrangeHeld puts jobs in the order of the numbers; of two with one number that which has failed more often is first.
func arrangeHeld(held []jobqueue.Held, numbers []int) {
	slices.SortStableFunc(held, func(x, y jobqueue.Held) int {
		return cmp.Or(slices.Index(numbers, numberOf(x.Params))-slices.Index(numbers, numberOf(y.Params)), y.Failures-x.Failures)
	})
}

// heldIs wants these jobs to be in a hold.
func (t *tester) heldIs(h jobqueue.Hold, numbers ...int) []jobqueue.Held {
	t.Helper()
	held, err := t.holder().Held(t.Context(), h)
	t.ok(err, "Held")
	t.inHold(held, numbers...)
	return held
}

func (t *tester) keep(h jobqueue.Hold, held ...jobqueue.Held) {
	t.Helper()
	t.ok(t.holder().Keep(t.Context(), h, held), "Keep")
}

func (t *tester) drop(h jobqueue.Hold) {
	t.Helper()
	t.ok(t.holder().Drop(t.Context(), h), "Drop")
}

func (t *tester) releases(h jobqueue.Hold, stored, duplicates int) {
	t.Helper()
	s, d, err := t.holder().Release(t.Context(), h)
	t.ok(err, "Release")
	if s != stored || d != duplicates {
		t.Fatalf("Release stored %d and dropped %d, want %d and %d", s, d, stored, duplicates)
	}
}

// asHeld makes records, of the tester's queue, what Keep takes.
func (t *tester) asHeld(records ...jobqueue.Record) []jobqueue.Held {
	held := make([]jobqueue.Held, len(records))
	for i, r := range t.named(records) {
		held[i] = jobqueue.Held{Record: r, QueuedAt: t.now}
	}
	return held
}

func testHoldApart(t *tester) {
	ids := t.stores(job(1), delayed(job(2), time.Minute), job(3))
	h := t.newHold()
	t.holds(h, 10, 1, 3, 2)
	t.counts(0, 0, 0, 0)
	if found := t.ready(); len(found) > 0 {
		t.Fatalf("Ready yields %+v", found)
	}
	if found := t.list(jobqueue.Filter{}); len(found) > 0 {
		t.Fatalf("List yields the jobs %v", listed(found))
	}
	all := jobqueue.Filter{States: jobqueue.States(), IDs: ids}
	t.requeues(0, all)
	t.deletes(0, all)
	t.deletes(0, jobqueue.Filter{})
	t.advanceBy(time.Minute, 2*time.Minute)
	t.hands()
	if claims := t.popAs(newLease(), jobqueue.Want{Name: t.q, ID: ids[0]}); len(claims) > 0 {
		t.Fatalf("Pop by id handed out the jobs %v", numbersOf(claims))
	}
	t.heldIs(h, 1, 3, 2)
}

func testHoldOrder(t *tester) {
	t.stores(delayed(job(5), 2*time.Minute), job(1), delayed(job(4), time.Minute), job(2), job(3), delayed(job(6), time.Hour))
	t.holds(t.newHold(), 2, 1, 2)
	t.holds(t.newHold(), 2, 3, 4)
	t.counts(0, 2, 0, 0)
	t.holds(t.newHold(), 1, 5)
	t.stores(job(7))
	t.holds(t.newHold(), 9, 7, 6)
}

func testHoldOutOfTurn(t *tester) {
	ids := t.stores(jobs(1, 8)...)
	t.deletes(1, jobqueue.Filter{IDs: ids[1:2]})
	claims := t.popAs(newLease(), jobqueue.Want{Name: t.q, ID: ids[4]})
	t.settle(giveBack(claims[0], 0))
	h := t.newHold()
	t.holds(h, 3, 1, 3, 4)
	t.deletes(1, jobqueue.Filter{IDs: ids[5:6]})
	t.holds(t.newHold(), 2, 7, 8)
	t.releases(h, 3, 0)
	t.counts(4, 0, 0, 0)
	t.hands(5, 1, 3, 4)
}

func testHoldMost(t *tester) {
	const first = jobqueue.MaxPush - 5
	t.stores(jobs(1, first)...)
	t.stores(jobs(first+1, first+10)...)
	held, err := t.holder().Hold(t.Context(), t.newHold(), 2*jobqueue.MaxPush)
	t.ok(err, "Hold")
	if len(held) != jobqueue.MaxPush {
		t.Fatalf("Hold took %d jobs", len(held))
	}
	t.counts(5, 0, 0, 0)
	taken := map[int]bool{}
	for i := range held {
		taken[numberOf(held[i].Params)] = true
	}
	var left []int
	for n := 1; n <= first+10; n++ {
		if !taken[n] {
			left = append(left, n)
		}
	}
	if last := []int{first + 6, first + 7, first + 8, first + 9, first + 10}; !t.loose {
		left = last
	}
	t.hands(left...)
}

func testHoldNone(t *tester) {
	h := t.newHold()
	t.holds(h, 10)
	t.stores(job(1))
	t.holds(h, 0)
	t.mine(nil)
	t.counts(1, 0, 0, 0)
	t.holds(h, 10, 1)
}

func testHoldLarge(t *tester) {
	const size = jobqueue.MaxPushBytes/2 + 1
	for n := 1; n <= 2; n++ {
		t.stores(jobqueue.Record{Params: append(append(fmt.Appendf(nil, `{"n":%d,"s":"`, n), bytes.Repeat([]byte{'x'}, size)...), `"}`...)})
	}
	h := t.newHold()
	held, err := t.holder().Hold(t.Context(), h, 10)
	t.ok(err, "Hold")
	if len(held) != 1 || len(held[0].Params) < size || h.Check(held...) != nil {
		t.Fatalf("Hold took %d jobs of %d bytes each", len(held), size)
	}
	t.counts(1, 0, 0, 0)
}

func testHoldFinds(t *tester) {
	t.stores(delayed(job(3), time.Second), job(1), job(2))
	t.takes(1)
	t.lapse()
	claims := t.takes(2)
	t.holds(t.newHold(), 10, 3, 1)
	t.counts(0, 0, 1, 0)
	t.settle(done(claims[0]))
}

func testHoldLapsed(t *tester) {
	t.stores(jobs(1, 2)...)
	t.takes(1)
	t.lapseNow()
	t.holds(t.newHold(), 10, 2, 1)
	t.counts(0, 0, 0, 0)
}

func testHoldRepeat(t *tester) {
	t.stores(delayed(job(3), time.Hour), job(1), job(2))
	h := t.newHold()
	first := t.holds(h, 3, 1, 2, 3)
	if first[0].Delay != 0 || first[2].Delay != time.Hour {
		t.Fatalf("the delays are %v and %v, want none and an hour", first[0].Delay, first[2].Delay)
	}
	t.stores(job(4))
	t.jump(time.Minute)
	for _, again := range [][]jobqueue.Held{t.holds(h, 2, 1, 2, 3), t.heldIs(h, 1, 2, 3)} {
		if d := again[2].Delay; d != 59*time.Minute {
			t.Fatalf("after a minute the delay is %v, want 59m", d)
		}
		again[2].Delay = time.Hour
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("the repeated Hold = %+v, want %+v", again, first)
		}
	}
	t.jump(time.Hour)
	if d := t.heldIs(h, 1, 2, 3)[2].Delay; d != 0 {
		t.Fatalf("of a delay that is over %v are left", d)
	}
	t.counts(1, 0, 0, 0)
}

func testHoldEnded(t *tester) {
	t.stores(jobs(1, 4)...)
	dropped, released := t.newHold(), t.newHold()
	one, two := t.holds(dropped, 1, 1), t.holds(released, 1, 2)
	t.drop(dropped)
	t.releases(released, 1, 0)
	for range 2 {
		t.drop(released)
		t.releases(dropped, 0, 0)
		t.releases(released, 1, 0)
		t.drop(dropped)
		t.holds(dropped, 10)
		t.holds(released, 10)
		t.keep(dropped, one...)
		t.keep(released, two...)
		t.heldIs(dropped)
		t.heldIs(released)
	}
	unknown := t.newHold()
	t.drop(unknown)
	t.releases(unknown, 0, 0)
	t.mine(nil)
	t.hands(3, 4, 2)
}

// mine wants these holds of the tester's domain to be there.
func (t *tester) mine(want []jobqueue.Hold) {
	t.Helper()
	all, err := t.holder().Holds(t.Context())
	t.ok(err, "Holds")
	all = slices.DeleteFunc(all, func(h jobqueue.Hold) bool { return h.Domain != t.q.Domain })
	if !slices.Equal(all, want) {
		t.Fatalf("Holds = %+v, want %+v", all, want)
	}
}

func testHoldMemory(t *tester) {
	t.stores(jobs(1, 3)...)
	stays, dropped, released := t.newHold(), t.newHold(), t.newHold()
	t.holds(stays, 1, 1)
	t.holds(dropped, 1, 2)
	t.holds(released, 1, 3)
	t.drop(dropped)
	t.releases(released, 1, 0)
	t.settle(done(t.hands(3)[0]))
	for range 9 {
		t.jump(3 * 24 * time.Hour)
		t.maintain()
	}
	t.keep(dropped, t.asHeld(job(8))...)
	t.keep(released, t.asHeld(job(9))...)
	t.releases(released, 1, 0)
	t.heldIs(dropped)
	for range 10 {
		t.jump(10 * 24 * time.Hour)
		t.maintain()
	}
	t.releases(stays, 1, 0)
	t.hands(1)
}

func testHolds(t *tester) {
	t.stores(jobs(1, 3)...)
	a, b := t.newHold(), t.newHold()
	b.Label = "another “label”"
	b.Type = "else"
	t.holds(a, 2, 1, 2)
	a.Since, a.Jobs = t.now, 2
	t.jump(time.Second)
	other := t.asHeld(typed(job(4), "else"))
	t.keep(b, other...)
	b.Since, b.Jobs = t.now, 1
	t.mine([]jobqueue.Hold{a, b})
	t.drop(a)
	t.mine([]jobqueue.Hold{b})
}

func testHoldKeep(t *tester) {
	h := t.newHold()
	t.keep(h)
	t.mine(nil)
	t.keep(h, t.asHeld(jobs(1, 2)...)...)
	t.counts(0, 0, 0, 0)
	t.keep(h, t.asHeld(jobs(3, 5)...)...)
	t.holds(h, 10, 1, 2)
	t.heldIs(h, 1, 2)
	t.releases(h, 2, 0)
	t.hands(1, 2)
}

func testHoldLimits(t *tester) {
	refused := func(want error, h jobqueue.Hold, held ...jobqueue.Held) {
		t.Helper()
		if err := t.holder().Keep(t.Context(), h, held); !errors.Is(err, want) {
			t.Fatalf("Keep = %v, want %v", err, want)
		}
		t.mine(nil)
	}
	h := t.newHold()
	refused(jobqueue.ErrTooLarge, h, t.asHeld(jobs(1, jobqueue.MaxPush+1)...)...)
	half := jobqueue.Record{Params: append(append([]byte(`{"s":"`), bytes.Repeat([]byte{'x'}, jobqueue.MaxPushBytes/2)...), `"}`...)}
	refused(jobqueue.ErrTooLarge, h, t.asHeld(half, half)...)
	refused(jobqueue.ErrInvalid, h, t.asHeld(job(1), typed(job(2), "else"))...)
	for _, label := range []string{"", "a\x00b", "\xff", string(bytes.Repeat([]byte{'x'}, jobqueue.MaxLabel+1))} {
		bad := h
		bad.Label = label
		refused(jobqueue.ErrInvalid, bad, t.asHeld(job(1))...)
		if _, err := t.holder().Hold(t.Context(), bad, 1); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Hold with the label %q = %v, want ErrInvalid", label, err)
		}
	}
}
