package queuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var pushRules = []testCase{
	{"stored", "Push stores the records: all of them", testPushStores},
	{"many queues", "A Backend keeps any number of queues; every call works on a batch", testPushManyQueues},
	{"full batch", "there are at most MaxPush records with at most MaxPushBytes of parameters", testPushFull},
	{"too many", "more than MaxPush records are an ErrTooLarge; on an error none is stored", testPushTooMany},
	{"too large", "more than MaxPushBytes of parameters are an ErrTooLarge; on an error none is stored", testPushTooLarge},
	{"cancelled", "on an error none is stored; ErrUnavailable when repeating the call later may work", testPushCancelled},
	{"cut short", "Push stores all of the records or, on an error, none, be it unknown whether it took effect", testPushCutShort},
	{"delay", "every delay is a duration added to the store's clock, kept to the millisecond or better", testPushDelay},
	{"instant", "ReleaseAt is the instant to wait for", testPushInstant},
	{"due instant", "ReleaseAt is the instant to wait for; a job whose release time has come is ready", testPushDueInstant},
	{"far instants", "ReleaseAt is any instant up to the year 9999, and a Delay up to 100 years", testPushFarInstants},
	{"fields", "a claim is the record that was pushed, with the store's additions", testPushFields},
	{"not deduplicated", "zero Digest: not deduplicated", testPushPlain},
}

func testPushStores(t *tester) {
	ids := t.stores(jobs(1, 5)...)
	t.counts(5, 0, 0, 0)
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 5 {
		t.Fatalf("5 jobs have %d different IDs", n)
	}
}

func testPushManyQueues(t *tester) {
	a, b := jobqueue.Name{Domain: t.q.Domain, Type: "a"}, jobqueue.Name{Domain: t.q.Domain + "b", Type: "a"}
	r := job(3)
	r.Name = b
	t.stores(job(1), typed(job(2), "a"), r, typed(job(4), "a"))
	t.counts(1, 0, 0, 0)
	t.countsOf(a, 2, 0, 0, 0)
	t.countsOf(b, 1, 0, 0, 0)
}

func testPushFull(t *tester) {
	t.stores(jobs(1, jobqueue.MaxPush)...)
	t.counts(jobqueue.MaxPush, 0, 0, 0)
	t.stores(heavy(16, jobqueue.MaxPushBytes/16)...)
	t.counts(jobqueue.MaxPush+16, 0, 0, 0)
}

// heavy returns n records with so many bytes of parameters each.
func heavy(n, size int) []jobqueue.Record {
	params := slices.Concat([]byte(`{"s":"`), bytes.Repeat([]byte("x"), size-len(`{"s":""}`)), []byte(`"}`))
	return slices.Repeat([]jobqueue.Record{{Params: params}}, n)
}

func testPushTooMany(t *tester) {
	_, err := t.b.Push(t.Context(), uuid.New(), t.named(jobs(1, jobqueue.MaxPush+1)))
	if !errors.Is(err, jobqueue.ErrTooLarge) {
		t.Fatalf("Push = %v, want ErrTooLarge", err)
	}
	t.counts(0, 0, 0, 0)
}

func testPushTooLarge(t *tester) {
	_, err := t.b.Push(t.Context(), uuid.New(), t.named(append(heavy(16, jobqueue.MaxPushBytes/16), job(1))))
	if !errors.Is(err, jobqueue.ErrTooLarge) {
		t.Fatalf("Push = %v, want ErrTooLarge", err)
	}
	t.counts(0, 0, 0, 0)
}

func testPushCancelled(t *tester) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := uuid.New()
	if _, err := t.b.Push(ctx, id, t.named(jobs(1, 3))); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Fatalf("Push with a cancelled context = %v, want ErrUnavailable", err)
	}
	t.pushAs(id, jobs(1, 3)...)
	t.counts(3, 0, 0, 0)
}

func testPushCutShort(t *tester) {
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		id := uuid.New()
		var wg sync.WaitGroup
		wg.Go(cancel)
		_, err := t.b.Push(ctx, id, t.named(jobs(1, 50)))
		wg.Wait()
		switch n := t.count(t.q).Ready - 50*i; {
		case n != 0 && n != 50, n == 0 && err == nil:
			t.Fatalf("Push of 50 jobs stored %d and returned %v", n, err)
		case err != nil && !errors.Is(err, jobqueue.ErrUnavailable):
			t.Fatalf("Push with a context cancelled midway = %v, want ErrUnavailable", err)
		}
		t.pushAs(id, jobs(1, 50)...)
		t.counts(50*(i+1), 0, 0, 0)
	}
}

func testPushDelay(t *tester) {
	id := t.stores(delayed(job(1), 90*time.Second+123*time.Millisecond))[0]
	t.counts(0, 1, 0, 0)
	e := t.entry(id)
	if d := e.ReadyAt.Sub(e.QueuedAt); e.State != jobqueue.Delayed || d != 90*time.Second+123*time.Millisecond {
		t.Fatalf("the job is %v until %v after it was queued, want delayed until 1m30.123s after", e.State, e.ReadyAt.Sub(e.QueuedAt))
	}
	t.jump(80 * time.Second)
	t.hands()
	t.jump(11 * time.Second)
	t.hands(1)
}

func testPushInstant(t *tester) {
	r := job(1)
	r.ReleaseAt = t.now.Add(time.Hour)
	id := t.stores(r)[0]
	if e := t.entry(id); e.State != jobqueue.Delayed || !e.ReadyAt.Equal(r.ReleaseAt) {
		t.Fatalf("the job is %v until %v, want delayed until %v", e.State, e.ReadyAt, r.ReleaseAt)
	}
	t.jump(59 * time.Minute)
	t.hands()
	t.jump(2 * time.Minute)
	t.hands(1)
}

func testPushDueInstant(t *tester) {
	r := job(1)
	r.ReleaseAt = day(1)
	t.stores(r)
	t.counts(1, 0, 0, 0)
	t.hands(1)
}

func testPushFarInstants(t *tester) {
	for _, year := range []int{2, 1600, 1969, 2200, 2300, 4000, 9999} {
		r := job(year)
		r.ReleaseAt = time.Date(year, 12, 31, 23, 59, 59, 999999000, time.UTC)
		e := t.entry(t.stores(r)[0])
		if want := year > 2100; want != (e.State == jobqueue.Delayed) || want && e.ReadyAt.Sub(r.ReleaseAt).Abs() > time.Millisecond {
			t.Fatalf("a job to be released at %v is %v until %v", r.ReleaseAt, e.State, e.ReadyAt)
		}
	}
	century := 100 * 365 * 24 * time.Hour
	t.delayedFor(t.stores(delayed(job(100), century))[0], century)
	t.hands(2, 1600, 1969)
}

func testPushFields(t *tester) {
	r := t.named([]jobqueue.Record{rooted(unique(job(1), "k"), "page", day(1))})[0]
	r.MaxTries = 7
	r.Headers = map[string]string{"traceparent": "00-1-2-01", "": "empty", "quote": `'"\`, "é": "…\n"}
	id := t.stores(r)[0]
	e := t.entry(id)
	sameRecord(t, e.Record, r, "List")
	if !e.QueuedAt.Equal(t.now) {
		t.Fatalf("QueuedAt is %v, want the time of the push, %v", e.QueuedAt, t.now)
	}
	c := t.hands(1)[0]
	r.Digest = jobqueue.Digest{} // claiming gives it up
	sameRecord(t, c.Record, r, "Pop")
	if c.ID != id || !c.QueuedAt.Equal(e.QueuedAt) || c.Failures+c.Expiries != 0 || c.LastError != "" || c.Superseded {
		t.Fatalf("Pop = %+v, want job %s as new", c, id)
	}
}

// sameRecord wants the answer of op to be the record that was pushed.
func sameRecord(t *tester, got, want jobqueue.Record, op string) {
	t.Helper()
	sameHeaders := len(got.Headers) == len(want.Headers)
	for k, v := range want.Headers {
		sameHeaders = sameHeaders && got.Headers[k] == v
	}
	if got.Name != want.Name || !bytes.Equal(got.Params, want.Params) || got.Digest != want.Digest || got.MaxTries != want.MaxTries ||
		got.Root.Key != want.Root.Key || !got.Root.Time.Equal(want.Root.Time) || !sameHeaders {
		t.Fatalf("%s = %+v, want %+v", op, got, want)
	}
}

func testPushPlain(t *tester) {
	r := jobqueue.Record{Params: json.RawMessage(`{"n":1}`)}
	t.stores(r, r)
	t.stores(r)
	t.hands(1, 1, 1)
}
