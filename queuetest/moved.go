package queuetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A job with all that a job can have passes through two holds of this backend and one of a fresh one.
func testHoldWhole(t *tester) {
	full := jobqueue.Record{
		Params: json.RawMessage("{\"n\" : 1,\n\"s\":\"\\u0000é😀\"}"), MaxTries: 7,
		Headers: map[string]string{"traceparent": "00-x", "": "empty", "é": "\n"},
		Root:    jobqueue.Root{Key: "Template:Foo", Time: day(3)},
		Digest:  jobqueue.KeyDigest("k"),
	}
	tried := full
	tried.Digest = jobqueue.KeyDigest("tried")
	t.stores(tried)
	t.lapse()
	t.settle(retry(t.hands(1)[0], 0))
	t.hands(1)
	t.advance(lease + lease/2)
	t.stores(full, delayed(unique(job(2), "d"), 90*time.Minute), job(3))
	h := t.newHold()
	first := t.holds(h, 10, 1, 1, 3, 2)
	tried.Digest = jobqueue.Digest{}
	want := t.asHeld(tried, full, job(3), delayed(unique(job(2), "d"), 90*time.Minute))
	want[0].QueuedAt = first[0].QueuedAt
	want[0].Failures, want[0].Expiries, want[0].LastError = 1, 1, "failed"
	t.sameHeld(first, want)

	far := *t
	far.b = t.another()
	far.keep(h, first...)
	t.drop(h)
	far.sameHeld(far.heldIs(h, 1, 1, 3, 2), want)
	far.releases(h, 4, 0)
	far.counts(3, 1, 0, 0)
	again := t.newHold()
	second := far.holds(again, 10, 1, 1, 3, 2)
	far.sameHeld(second, want)
	far.releases(again, 4, 0)
	c := far.hands(1, 1, 3)
	if far.loose && c[0].Failures == 0 {
		c[0], c[1] = c[1], c[0]
	}
	if c[0].Failures != 1 || c[0].Expiries != 1 || c[0].LastError != "failed" || !c[0].QueuedAt.Equal(want[0].QueuedAt) ||
		!c[1].QueuedAt.Equal(want[1].QueuedAt) || !reflect.DeepEqual(c[1].Headers, full.Headers) || c[1].MaxTries != 7 ||
		!bytes.Equal(c[1].Params, full.Params) || c[1].Root != full.Root {
		far.Fatalf("the jobs came out as %+v and %+v", c[0], c[1])
	}
}

// sameHeld wants jobs in a hold to be those, in all they have.
func (t *tester) sameHeld(got, want []jobqueue.Held) {
	t.Helper()
	for i := range want {
		g, w := got[i], want[i]
		g.QueuedAt, w.QueuedAt = g.QueuedAt.UTC(), w.QueuedAt.UTC()
		g.Root.Time, w.Root.Time = g.Root.Time.UTC(), w.Root.Time.UTC()
		if len(g.Headers) == 0 {
			g.Headers = nil
		}
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("job %d in the hold is %+v, want %+v", i, g, w)
		}
	}
}

func testHoldMany(t *tester) {
	t.stores(jobs(1, jobqueue.MaxPush)...)
	h := t.newHold()
	held, err := t.holder().Hold(t.Context(), h, jobqueue.MaxPush)
	t.ok(err, "Hold")
	t.drop(h)
	again := t.newHold()
	t.keep(again, held...)
	t.releases(again, len(held), 0)
	numbers := make([]int, len(held))
	for i := range numbers {
		numbers[i] = i + 1
	}
	if len(held) != jobqueue.MaxPush {
		t.Fatalf("Hold took %d jobs", len(held))
	}
	t.hands(numbers...)
}

func testHoldDelay(t *tester) {
	h := t.newHold()
	t.keep(h, t.asHeld(delayed(job(1), time.Minute), delayed(job(2), time.Hour))...)
	t.jump(2 * time.Minute)
	t.releases(h, 2, 0)
	t.counts(1, 1, 0, 0)
	t.settle(done(t.hands(1)[0]))
	t.jump(57 * time.Minute)
	t.hands()
	t.jump(time.Minute)
	t.hands(2)
}

func testHoldDigest(t *tester) {
	t.stores(unique(rooted(job(1), "page", day(2)), "a"), unique(delayed(job(2), time.Minute), "b"))
	h := t.newHold()
	t.holds(h, 10, 1, 2)
	id := t.stores(unique(rooted(job(3), "page", day(1)), "a"), unique(delayed(job(4), time.Hour), "b"))
	t.releases(h, 0, 2)
	t.releases(h, 0, 2)
	t.markIs("page", day(2))
	if e := t.entry(id[0]); !e.Root.Time.Equal(day(2)) {
		t.Fatalf("the waiting job has the root %+v, want that of the one released, which is newer", e.Root)
	}
	t.counts(1, 1, 0, 0)
	t.jump(time.Minute)
	t.hands(3, 4)
}

func testHoldBlocks(t *tester) {
	ids := t.stores(unique(job(1), "a"), unique(job(2), "b"))
	t.settle(giveBack(t.oldest(1, ids[0]), 0))
	h := t.newHold()
	t.holds(h, 10, 2, 1)
	t.releases(h, 2, 0)
	if p := t.push(unique(job(3), "a"), unique(job(4), "b")); p[0].Duplicate || !p[1].Duplicate {
		t.Fatalf("Push = %+v, want the second one to be a duplicate alone", p)
	}
	t.hands(2, 1, 3)

	// Of two in one hold the first one stays.
	twins := t.newHold()
	t.keep(twins, t.asHeld(unique(delayed(job(5), time.Hour), "c"), unique(job(6), "c"))...)
	t.releases(twins, 1, 1)
	t.hands(5)
}

func testHoldRoots(t *tester) {
	t.stores(rooted(job(1), "page", day(5)))
	h := t.newHold()
	held := t.holds(h, 1, 1)
	t.drop(h)
	t.markIs("page", day(5))
	again := t.newHold()
	held[0].Root.Time = day(6)
	older := held[0]
	older.Root = jobqueue.Root{Key: "other", Time: day(1)}
	t.keep(again, held[0], older)
	t.markIs("page", day(5))
	t.mark("other", day(2))
	t.releases(again, 2, 0)
	t.markIs("page", day(6))
	t.markIs("other", day(2))
	t.superseded(t.hands(1, 1), false, true)
}

func testHoldBack(t *tester) {
	t.stores(unique(job(1), "a"), delayed(job(2), time.Hour), job(3))
	h := t.newHold()
	t.holds(h, 3, 1, 3, 2)
	t.stores(job(4))
	t.releases(h, 3, 0)
	waiting := t.list(jobqueue.Filter{})
	at := slices.IndexFunc(waiting, func(e jobqueue.Entry) bool { return numberOf(e.Params) == 1 })
	t.drops(waiting[at].ID, unique(job(5), "a"))
	t.hands(4, 1, 3)
}

// A mover moves the tester's queue from one backend to another until a call fails.
type mover struct {
	*tester
	from, to jobqueue.Holder
	fail     func(string) error
}

func (m mover) move(h jobqueue.Hold) error {
	held, err := call(m.fail, "hold", func() ([]jobqueue.Held, error) { return m.from.Hold(m.Context(), h, 3) })
	if err != nil {
		return err
	}
	return m.finish(h, held)
}

func (m mover) finish(h jobqueue.Hold, held []jobqueue.Held) error {
	none := func(err error) (struct{}, error) { return struct{}{}, err }
	_, err := call(m.fail, "keep", func() (struct{}, error) { return none(m.to.Keep(m.Context(), h, held)) })
	if err == nil {
		_, err = call(m.fail, "drop", func() (struct{}, error) { return none(m.from.Drop(m.Context(), h)) })
	}
	if err == nil {
		_, err = call(m.fail, "release", func() (int, error) {
			n, _, err := m.to.Release(m.Context(), h)
			return n, err
		})
	}
	return err
}

// resume goes on with whatever is in holds.
func (m mover) resume() error {
	kept, err := m.to.Holds(m.Context())
	m.ok(err, "Holds")
	held, err := m.from.Holds(m.Context())
	m.ok(err, "Holds")
	for _, h := range append(held, kept...) {
		if h.Domain != m.q.Domain {
			continue
		}
		jobs, err := m.from.Held(m.Context(), h)
		m.ok(err, "Held")
		if err := m.finish(h, jobs); err != nil {
			return err
		}
	}
	return nil
}

// Every call of a move is lost, before it takes effect or after, and so is one call of what resumes it, there and back.
func testHoldLost(t *tester) {
	t.holder()
	steps := []string{"hold", "keep", "drop", "release"}
	far := *t
	far.b = t.another()
	n := 0
	for i, step := range steps {
		for _, err := range []error{errAway, After(errAway)} {
			for _, then := range steps[max(i, 1):] {
				from, to := t, &far
				if n += 2; n%4 == 0 {
					from, to = to, from
				}
				from.stores(job(n), delayed(job(n+1), time.Hour))
				failing, failed := step, err
				m := mover{t, from.b.(jobqueue.Holder), to.b.(jobqueue.Holder), func(op string) error {
					if op != failing {
						return nil
					}
					failing = ""
					return failed
				}}
				m.move(from.newHold())
				failing, failed = then, After(errAway)
				m.resume()
				failing = ""
				m.ok(cmp.Or(m.resume(), m.move(from.newHold())), "the move at last")
				from.counts(0, 0, 0, 0)
				from.mine(nil)
				to.counts(1, 1, 0, 0)
				to.mine(nil)
				to.settle(done(to.hands(n)[0]))
				to.deletes(1, jobqueue.Filter{})
			}
		}
	}
}

func testHoldOneOwner(t *tester) {
	const all, most = 240, 7
	holder := t.holder()
	t.stores(jobs(1, all)...)
	got := make(chan []int, all+8)
	taker := func(take func() ([]int, error)) func() error {
		return func() error {
			for {
				numbers, err := take()
				if err != nil || len(numbers) == 0 {
					return err
				}
				got <- numbers
			}
		}
	}
	hold := taker(func() (numbers []int, err error) {
		held, err := holder.Hold(t.Context(), t.newHold(), most)
		for i := range held {
			numbers = append(numbers, numberOf(held[i].Params))
		}
		return numbers, err
	})
	pop := taker(func() ([]int, error) {
		claims, err := t.b.Pop(t.Context(), newLease(), jobqueue.Want{Name: t.q, Max: most})
		return numbersOf(claims), err
	})
	ended := make(chan error)
	workers := []func() error{hold, pop, hold, pop, hold}
	for _, w := range workers {
		go func() { ended <- w() }()
	}
	for range workers {
		t.ok(<-ended, "Hold or Pop")
	}
	close(got)
	var numbers []int
	for some := range got {
		numbers = append(numbers, some...)
	}
	slices.Sort(numbers)
	if len(numbers) != all || len(slices.Compact(numbers)) != all {
		t.Fatalf("%d jobs were taken, %d of them once, want %d", len(numbers), len(slices.Compact(numbers)), all)
	}
}

func testHoldWakes(t *tester) {
	holder := t.holder()
	w, ok := t.b.(jobqueue.Waiter)
	if !ok {
		t.Skip("the backend is no Waiter")
	}
	woken := make(chan error, 1)
	go func() { _, err := w.Wait(t.Context()); woken <- err }()
	for {
		h := t.newHold()
		t.keep(h, t.asHeld(job(1))...)
		if _, _, err := holder.Release(t.Context(), h); err != nil {
			t.Fatalf("Release: %v", err)
		}
		select {
		case err := <-woken:
			t.ok(err, "Wait")
			return
		default:
			// It may not have begun to wait, and is told of a queue once it has been empty.
			t.deletes(1, jobqueue.Filter{})
		}
	}
}
