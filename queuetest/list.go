package queuetest

import (
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

var listRules = []testCase{
	{"order", "List yields the jobs in the order of their IDs, which is that of their pushes", testListOrder},
	{"filter", "a Filter matches stored jobs: all its fields must", testListFilter},
	{"domain", `a Filter's Domain and Type: "" matches any`, testListDomain},
	{"ids", "IDs: nil matches any; an ID that is not of the backend's form matches none", testListIDs},
	{"empty lists", "nil matches any: an empty list of IDs or states names none", testListEmptyLists},
	{"pages", "After and Limit page through the jobs, each once", testListPages},
	{"many", "List reads in pages, and yields every job that f matches", testListMany},
	{"changing", "List reads in pages: jobs may change while it yields", testListChanging},
	{"entry", "an Entry is a stored job: its state, since when, what it failed with", testListEntry},
}

func testListOrder(t *tester) {
	t.stores(job(3), delayed(job(1), time.Hour), job(2))
	t.settle(retry(t.takes(3)[0], 0))
	t.stores(job(0))
	if got, want := t.inOrder(listed(t.list(jobqueue.Filter{})), 3, 1, 2, 0); !slices.Equal(got, want) {
		t.Fatalf("List = %v, want %v", got, want)
	}
}

// inOrder returns both, for comparison, in an order of their own if the backend promises none.
func (t *tester) inOrder(got []int, want ...int) ([]int, []int) {
	if t.loose {
		slices.Sort(got)
		slices.Sort(want)
	}
	return got, want
}

// listsAll wants List to yield the jobs first to last.
func (t *tester) listsAll(first, last int) {
	t.Helper()
	var all []int
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	if got, want := t.inOrder(listed(t.list(jobqueue.Filter{})), all...); !slices.Equal(got, want) {
		t.Fatalf("List yields %d jobs, in order %v, want %d in order", len(got), slices.IsSorted(got), len(want))
	}
}

func testListFilter(t *tester) {
	ids := t.stores(typed(job(1), "a"), typed(job(2), "a"), typed(job(3), "b"), typed(delayed(job(4), time.Hour), "a"), typed(delayed(job(5), time.Hour), "b"))
	t.popAs(newLease(), t.want("a", 1))
	ready, delayed := jobqueue.Ready, jobqueue.Delayed
	for _, c := range []struct {
		f    jobqueue.Filter
		want []int
	}{
		{jobqueue.Filter{Type: "a"}, []int{1, 2, 4}},
		{jobqueue.Filter{States: []jobqueue.State{ready}}, []int{2, 3}},
		{jobqueue.Filter{States: []jobqueue.State{delayed, ready}}, []int{2, 3, 4, 5}},
		{jobqueue.Filter{States: []jobqueue.State{jobqueue.Claimed, jobqueue.Abandoned}}, []int{1}},
		{jobqueue.Filter{Type: "a", States: []jobqueue.State{delayed}}, []int{4}},
		{jobqueue.Filter{IDs: []string{ids[4], ids[1], ids[1]}}, []int{2, 5}},
		{jobqueue.Filter{IDs: []string{ids[4], ids[1]}, Type: "b"}, []int{5}},
		{jobqueue.Filter{IDs: []string{ids[4], ids[1]}, States: []jobqueue.State{ready}}, []int{2}},
		{jobqueue.Filter{After: ids[1]}, []int{3, 4, 5}},
		{jobqueue.Filter{After: ids[1], Limit: 2}, []int{3, 4}},
		{jobqueue.Filter{After: ids[1], Limit: 1, Type: "a"}, []int{4}},
		{jobqueue.Filter{Limit: 2}, []int{1, 2}},
		{jobqueue.Filter{Limit: -1}, []int{1, 2, 3, 4, 5}},
	} {
		if got := listed(t.list(c.f)); !slices.Equal(got, c.want) {
			t.Errorf("List(%+v) = %v, want %v", c.f, got, c.want)
		}
	}
}

func testListDomain(t *tester) {
	elsewhere := typed(job(2), "kind-"+t.q.Domain)
	elsewhere.Domain = t.q.Domain + "2"
	t.stores(typed(job(1), elsewhere.Type), elsewhere)
	if got := listed(t.list(jobqueue.Filter{})); !slices.Equal(got, []int{1}) {
		t.Fatalf("List of a domain = %v, want 1", got)
	}
	var got []int
	for e, err := range t.b.List(t.Context(), jobqueue.Filter{Type: elsewhere.Type}) {
		t.ok(err, "List")
		got = append(got, numberOf(e.Params))
	}
	if !slices.Equal(got, []int{1, 2}) {
		t.Fatalf("List of a type in every domain = %v, want 1 2", got)
	}
}

func testListIDs(t *tester) {
	id := t.stores(job(1))[0]
	odd := []string{"", "no such job", "'", "-1", "0", "99999999999999999999999", uuidLike, id + " ", " " + id, "0" + id, id + "\x00"}
	if got := t.list(jobqueue.Filter{IDs: odd}); len(got) > 0 {
		t.Fatalf("List(%q) = %+v, want nothing", odd, got)
	}
	t.deletes(0, jobqueue.Filter{IDs: odd})
	if got := listed(t.list(jobqueue.Filter{IDs: append(odd, id)})); !slices.Equal(got, []int{1}) {
		t.Fatalf("List = %v, want job 1", got)
	}
}

func testListEmptyLists(t *tester) {
	t.stores(job(1))
	for _, f := range []jobqueue.Filter{{IDs: []string{}}, {States: []jobqueue.State{}}} {
		if got := t.list(f); len(got) > 0 {
			t.Fatalf("List(%+v) = %+v, want nothing", f, got)
		}
		t.deletes(0, f)
		t.requeues(0, f)
	}
	t.counts(1, 0, 0, 0)
}

func testListPages(t *tester) {
	t.stores(jobs(1, 25)...)
	var got []int
	after := ""
	for {
		page := t.list(jobqueue.Filter{After: after, Limit: 10})
		got = append(got, listed(page)...)
		if len(page) < 10 {
			break
		}
		after = page[9].ID
	}
	if len(got) != 25 || !slices.IsSorted(got) {
		t.Fatalf("List in pages of 10 = %v, want 1 to 25", got)
	}
}

func testListMany(t *tester) {
	t.stores(jobs(1, 1000)...)
	t.stores(jobs(1001, 1700)...)
	t.listsAll(1, 1700)
}

func testListChanging(t *tester) {
	t.stores(jobs(1, 1000)...)
	t.stores(jobs(1001, 1200)...)
	n := 0
	for e, err := range t.b.List(t.Context(), jobqueue.Filter{Domain: t.q.Domain}) {
		t.ok(err, "List")
		if n++; n%100 == 0 {
			t.deletes(1, jobqueue.Filter{IDs: []string{e.ID}})
			t.push(job(1200 + n))
		}
		if n == 1200 {
			break
		}
	}
	t.counts(1200, 0, 0, 0)
}

func testListEntry(t *tester) {
	ids := t.stores(jobs(1, 3)...)
	t.jump(time.Hour)
	t.settle(retry(t.takes(1)[0], 0))
	e := t.entry(ids[0])
	if d := e.ReadyAt.Sub(e.QueuedAt); e.State != jobqueue.Ready || d != time.Hour || e.Failures != 1 || e.LastError != "failed" {
		t.Fatalf("List = %+v, want ready since an hour after the push, with 1 failure", e)
	}
	if e.Owner != "" || !e.Expires.IsZero() || !e.PruneAt.IsZero() {
		t.Fatalf("List = %+v, want no owner, lease or time of deletion for a ready job", e)
	}
	if other := t.entry(ids[1]); other.QueuedAt.After(e.QueuedAt) || other.Failures != 0 || !other.ReadyAt.Equal(other.QueuedAt) {
		t.Fatalf("List = %+v, want ready since its push at %v", other, e.QueuedAt)
	}
}
