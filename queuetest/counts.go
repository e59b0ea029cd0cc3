package queuetest

import (
	"slices"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

var countRules = []testCase{
	{"states", "Counts returns the exact number of jobs in each state", testCountStates},
	{"names", "Counts returns them for each name", testCountNames},
	{"all", "Counts without names: every queue that holds a job, sorted by domain and type", testCountAll},
	{"due", "Counts and Ready say what a Pop would find now: what is delayed and due", testCountDue},
	{"expired", "Counts and Ready say what a Pop would find now: what has a claim that ran out", testCountExpired},
	{"age", "Age is about how long the oldest ready job has been ready; 0 without one", testCountAge},
	{"age of what was delayed", "Age is about how long a job has been ready, not how long it waited before", testCountAgeDelayed},
	{"age of the oldest", "Age is about how long the oldest ready job has been ready: not the one whose claim ran out just now", testCountAgeOldest},
	{"ready queues", "Ready yields the queues in which a Pop would find a job now", testReadyQueues},
	{"ready names", "Ready yields those of the named queues in which a Pop would find a job now", testReadyNames},
	{"ready hundreds", "Ready yields all queues in which a Pop would find a job now", testReadyHundreds},
	{"ready, stopped early", "Ready yields, and the caller may stop at any time", testReadyStopped},
	{"listed as counted", "List and Counts agree on the state of a job", testCountListed},
}

func testCountStates(t *tester) {
	t.counts(0, 0, 0, 0)
	t.stores(append(jobs(1, 7), delayed(job(8), time.Hour), delayed(job(9), time.Hour))...)
	c := t.takes(1, 2, 3, 4, 5)
	t.counts(2, 2, 5, 0)
	t.settle(done(c[0]), abandon(c[1], 0), retry(c[2], time.Hour))
	t.counts(2, 3, 2, 1)
}

func testCountNames(t *tester) {
	t.stores(typed(job(1), "b"), typed(job(2), "b"), job(3))
	names := []jobqueue.Name{t.want("b", 0).Name, t.want("none", 0).Name, t.q}
	got, err := t.b.Counts(t.Context(), names...)
	t.ok(err, "Counts")
	for i, ready := range []int{2, 0, 1} {
		if len(got) != 3 || got[i].Name != names[i] || got[i].Ready != ready || got[i].Total() != ready {
			t.Fatalf("Counts(%v) = %+v", names, got)
		}
	}
}

func testCountAll(t *tester) {
	types := []string{"b", "a", "B", "a b", "é", "a/b", "ab", "10", "9"}
	for i, typ := range types {
		t.stores(typed(job(i), typ))
	}
	t.stores(typed(job(10), "empty"), typed(delayed(job(11), time.Hour), "delayed"))
	t.settle(done(t.popAs(newLease(), t.want("empty", 1))[0]))
	all, err := t.b.Counts(t.Context())
	t.ok(err, "Counts")
	var got []string
	for _, c := range all {
		if c.Domain == t.q.Domain {
			got = append(got, c.Type)
		}
	}
	want := append(types, "delayed")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("Counts has the types %q, want %q", got, want)
	}
	if !slices.IsSortedFunc(all, func(a, b jobqueue.Counts) int { return strings.Compare(a.Domain, b.Domain) }) {
		t.Fatalf("Counts is not sorted by domain")
	}
}

func testCountDue(t *tester) {
	t.stores(delayed(job(1), time.Hour))
	if found := t.ready(); len(found) > 0 {
		t.Fatalf("Ready yields %+v, want nothing", found)
	}
	t.jump(2 * time.Hour)
	t.counts(1, 0, 0, 0)
	if found := t.ready(); len(found) != 1 {
		t.Fatalf("Ready yields %+v, want the queue of the job that is due", found)
	}
}

func testCountExpired(t *tester) {
	t.stores(job(1))
	id := t.hands(1)[0].ID
	t.lapseNow()
	t.counts(1, 0, 0, 0)
	if e := t.entry(id); e.State != jobqueue.Ready {
		t.Fatalf("List says that the job is %v, want ready", e.State)
	}
	if found := t.ready(); len(found) != 1 || found[0].Name != t.q {
		t.Fatalf("Ready yields %+v, want the queue of the job whose claim ran out", found)
	}
}

// age wants the age that Counts and Ready report to be about d.
func (t *tester) age(d time.Duration) {
	t.Helper()
	c, r := t.count(t.q), t.ready(t.q.Type)
	if c.Age < d-time.Millisecond || c.Age > d+time.Second {
		t.Fatalf("Counts says the oldest job has been ready for %v, want about %v", c.Age, d)
	}
	if len(r) != 1 || r[0].Age < d-time.Millisecond || r[0].Age > d+time.Second {
		t.Fatalf("Ready = %+v, want an age of about %v", r, d)
	}
}

func testCountAge(t *tester) {
	if c := t.count(t.q); c.Age != 0 {
		t.Fatalf("an empty queue has the age %v", c.Age)
	}
	id := t.stores(job(1))[0]
	t.jump(time.Hour)
	t.stores(job(2))
	t.age(time.Hour)
	t.settle(done(t.oldest(1, id)))
	t.jump(time.Minute)
	t.age(time.Minute)
	t.hands(2)
	if c := t.count(t.q); c.Age != 0 {
		t.Fatalf("a queue without a ready job has the age %v", c.Age)
	}
}

func testCountAgeDelayed(t *tester) {
	t.stores(delayed(job(1), time.Hour))
	t.jump(2 * time.Hour)
	t.age(time.Hour)
	t.settle(retry(t.hands(1)[0], 0))
	t.jump(time.Minute)
	t.age(time.Minute)
}

func testCountAgeOldest(t *tester) {
	t.stores(jobs(1, 2)...)
	t.takes(1)
	t.lapse()
	t.counts(2, 0, 0, 0)
	t.age(lease)
}

func testReadyQueues(t *tester) {
	t.stores(typed(job(1), "ready"), typed(job(2), "claimed"), typed(job(3), "done"), typed(job(4), "abandoned"), typed(delayed(job(5), time.Hour), "delayed"))
	t.popAs(newLease(), t.want("claimed", 1))
	c := t.popAs(newLease(), t.want("done", 1), t.want("abandoned", 1))
	t.settle(done(c[0]), abandon(c[1], 0))
	if found := t.ready(); len(found) != 1 || found[0].Type != "ready" {
		t.Fatalf("Ready yields %+v, want only the queue with a ready job", found)
	}
}

func testReadyNames(t *tester) {
	t.stores(typed(job(1), "a"), typed(job(2), "b"), typed(job(3), "c"), typed(delayed(job(4), time.Hour), "d"))
	found := t.ready("c", "d", "none", "a")
	if len(found) != 2 || found[0].Type != "a" || found[1].Type != "c" {
		t.Fatalf("Ready of c, d, none and a yields %+v, want a and c", found)
	}
}

func testReadyHundreds(t *tester) {
	var records []jobqueue.Record
	for i, typ := range numbered("type", 600) {
		records = append(records, typed(job(i), typ))
	}
	t.stores(records...)
	types := map[string]bool{}
	for _, r := range t.ready() {
		types[r.Type] = true
	}
	if len(types) != 600 {
		t.Fatalf("Ready yields %d queues, want 600", len(types))
	}
}

func testReadyStopped(t *tester) {
	t.stores(typed(job(1), "a"), typed(job(2), "b"), typed(job(3), "c"))
	for range t.b.Ready(t.Context()) {
		break
	}
	for r, err := range t.b.Ready(t.Context(), t.want("a", 0).Name, t.want("b", 0).Name) {
		t.ok(err, "Ready")
		t.same(t.popAs(newLease(), jobqueue.Want{Name: r.Name, Max: 1}), map[string]int{"a": 1, "b": 2}[r.Type])
	}
	t.countsOf(t.want("c", 0).Name, 1, 0, 0, 0)
}

func testCountListed(t *tester) {
	t.stores(append(jobs(1, 6), delayed(job(7), time.Minute), delayed(job(8), time.Hour))...)
	c := t.takes(1, 2, 3)
	t.settle(abandon(c[0], 0), retry(c[1], time.Minute))
	t.jump(2 * time.Minute)
	n := t.count(t.q)
	for s, want := range map[jobqueue.State]int{
		jobqueue.Ready: n.Ready, jobqueue.Delayed: n.Delayed, jobqueue.Claimed: n.Claimed, jobqueue.Abandoned: n.Abandoned,
	} {
		if got := len(t.list(jobqueue.Filter{States: []jobqueue.State{s}})); got != want || want == 0 {
			t.Fatalf("List finds %d %v jobs, Counts %d, want at least one", got, s, want)
		}
	}
}
