package queuetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
)

// What a Group promises of pauses.
var pauseRules = []testCase{
	{"held back", "a Pause holds back a type, a domain, one type on one domain or, without both, everything", testPauseHolds},
	{"by id", "what is paused is left out of a Pop, also when asked for by ID", testPauseByID},
	{"the rest", "jobs that are claimed go on; pushing, counting, listing, deleting and requeueing are not affected", testPauseRest},
	{"resume", "Resume ends the pause of exactly this domain and type, and reports whether there was one", testPauseResume},
	{"shown", "Pauses returns every pause, with its reason, who and when", testPauseShown},
	{"names", "any two different names are different queues, whatever characters they hold", testPauseNames},
	{"other backends", "pauses are kept in Routes.Control, and hold for every backend", testPauseOtherBackends},
	{"unsupported", "without a Control nothing can be paused, and the error is an errors.ErrUnsupported", testPauseUnsupported},
}

func (t *tester) pause(g *jobqueue.Group, domain, typ string) {
	t.Helper()
	t.control()
	t.ok(g.Pause(t.Context(), jobqueue.Pause{Domain: domain, Type: typ, Reason: "test"}), "Pause")
}

func (t *tester) resume(g *jobqueue.Group, domain, typ string, was bool) {
	t.Helper()
	if got, err := g.Resume(t.Context(), domain, typ); err != nil || got != was {
		t.Fatalf("Resume of %q %q = %v, %v, want %v", domain, typ, got, err, was)
	}
}

// finds wants Ready, asked in both ways, and Pop to find these queues, and gives back what it popped.
func (t *tester) finds(g *jobqueue.Group, all []jobqueue.Name, want ...jobqueue.Name) {
	t.Helper()
	var wants []jobqueue.Want
	for _, n := range all {
		wants = append(wants, jobqueue.Want{Name: n, Max: 1})
	}
	for _, names := range [][]jobqueue.Name{nil, all} {
		var found []jobqueue.Name
		for b, err := range g.Ready(t.Context(), names...) {
			t.ok(err, "Ready")
			found = append(found, b.Name)
		}
		t.sameNames("Ready", found, want)
	}
	claims, err := g.Pop(t.Context(), newLease(), wants...)
	t.ok(err, "Pop")
	var found []jobqueue.Name
	for _, c := range claims {
		found = append(found, c.Name)
	}
	t.sameNames("Pop", found, want)
	t.ok(g.Settle(t.Context(), each(claims, jobqueue.Outcome{Do: jobqueue.ActionGiveBack})...), "Settle")
}

func (t *tester) sameNames(what string, got, want []jobqueue.Name) {
	t.Helper()
	byText := func(a, b jobqueue.Name) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, byText)
	slices.SortFunc(want, byText)
	if !slices.Equal(got, want) {
		t.Fatalf("%s finds %v, want %v", what, got, want)
	}
}

func testPauseHolds(t *tester) {
	other := t.q.Domain + "-other"
	a1, b1 := jobqueue.Name{Domain: t.q.Domain, Type: "a"}, jobqueue.Name{Domain: t.q.Domain, Type: "b"}
	a2, b2 := jobqueue.Name{Domain: other, Type: "a"}, jobqueue.Name{Domain: other, Type: "b"}
	all := []jobqueue.Name{a1, b1, a2, b2}
	g := t.group(jobqueue.Routes{})
	for _, n := range all {
		_, err := g.Push(t.Context(), jobqueue.Spec{Domain: n.Domain, Type: n.Type})
		t.ok(err, "Push")
	}
	t.finds(g, all, all...)
	for _, p := range []struct {
		domain, typ string
		left        []jobqueue.Name
	}{
		{other, "", []jobqueue.Name{a1, b1}},
		{"", "a", []jobqueue.Name{b1, b2}},
		{other, "a", []jobqueue.Name{a1, b1, b2}},
		{"", "", nil},
	} {
		t.pause(g, p.domain, p.typ)
		t.finds(g, all, p.left...)
		t.finds(g.On(other), all, p.left...)
		// A group that knew of nothing.
		t.finds(t.group(jobqueue.Routes{}), all, p.left...)
		t.resume(g, p.domain, p.typ, true)
		t.finds(g, all, all...)
	}
}

func testPauseByID(t *tester) {
	g := t.group(jobqueue.Routes{})
	id := t.stores(job(1))[0]
	t.pause(g, "", t.q.Type)
	want := jobqueue.Want{Name: t.q, ID: id}
	claims, err := g.Pop(t.Context(), newLease(), want)
	t.ok(err, "Pop")
	t.same(claims)
	t.resume(g, "", t.q.Type, true)
	claims, err = g.Pop(t.Context(), newLease(), want)
	t.ok(err, "Pop")
	t.same(claims, 1)
}

func testPauseRest(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(jobs(1, 5)...)
	claims := t.gives(g, 1, 2, 3, 4, 5)
	t.pause(g, t.q.Domain, "")
	lost, err := g.Extend(t.Context(), lease, claims...)
	if err != nil || len(lost) > 0 {
		t.Fatalf("Extend = %v, %v", lost, err)
	}
	t.ok(g.Settle(t.Context(), done(claims[0]), retry(claims[1], 0), abandon(claims[2], time.Hour), abandon(claims[3], time.Hour)), "Settle")
	_, err = g.Push(t.Context(), t.spec(6))
	t.ok(err, "Push")
	counts, err := g.Counts(t.Context(), t.q)
	if err != nil || counts[0].Ready != 2 || counts[0].Claimed != 1 || counts[0].Abandoned != 2 {
		t.Fatalf("Counts = %+v, %v, want 2 ready, 1 claimed, 2 abandoned", counts, err)
	}
	listed := 0
	for _, err := range g.List(t.Context(), jobqueue.Filter{Domain: t.q.Domain}) {
		t.ok(err, "List")
		listed++
	}
	if listed != 5 {
		t.Fatalf("List yields %d jobs, want 5", listed)
	}
	f := jobqueue.Filter{Domain: t.q.Domain, States: []jobqueue.State{jobqueue.Abandoned}, Limit: 1}
	if n, err := g.Requeue(t.Context(), f); err != nil || n != 1 {
		t.Fatalf("Requeue = %d, %v, want 1", n, err)
	}
	if n, err := g.Delete(t.Context(), f); err != nil || n != 1 {
		t.Fatalf("Delete = %d, %v, want 1", n, err)
	}
	t.gives(g)
}

func testPauseResume(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(job(1))
	t.resumeNothing(g)
	t.pause(g, t.q.Domain, t.q.Type)
	t.pause(g, t.q.Domain, t.q.Type+"s")
	t.pause(g, "", t.q.Type)
	t.resume(g, t.q.Domain, "", false)
	t.resume(g, "", "", false)
	t.resume(g, t.q.Domain, t.q.Type, true)
	t.gives(g)
	t.resume(g, t.q.Domain, t.q.Type, false)
	t.resume(g, "", t.q.Type, true)
	t.gives(g, 1)
	t.resume(g, t.q.Domain, t.q.Type+"s", true)
}

func (t *tester) resumeNothing(g *jobqueue.Group) {
	t.Helper()
	t.control()
	t.resume(g, t.q.Domain, t.q.Type, false)
}

func testPauseShown(t *tester) {
	t.control()
	g := t.group(jobqueue.Routes{})
	begin := time.Now().Truncate(time.Millisecond)
	want := []jobqueue.Pause{
		{Domain: "b", Reason: "moving house", By: "ann@host", At: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)},
		{Domain: "long name", Type: "a", Reason: "\"quoted\"\nlines", By: ""},
		{Type: "z", Reason: "é%_", By: "bob"},
	}
	for _, p := range want {
		t.ok(g.Pause(t.Context(), jobqueue.Pause{Domain: p.Domain, Type: p.Type, Reason: "before", By: "eve"}), "Pause")
		t.ok(g.Pause(t.Context(), p), "Pause")
	}
	got, err := t.group(jobqueue.Routes{}).Pauses(t.Context())
	t.ok(err, "Pauses")
	for i := range got {
		if i != 1 {
			if got[i].At.Before(begin) || got[i].At.After(time.Now()) {
				t.Fatalf("paused at %v, want about now", got[i].At)
			}
			got[i].At = time.Time{}
		}
	}
	want = []jobqueue.Pause{want[2], want[0], want[1]}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("Pauses (-want +got):\n%s", d)
	}
	for _, bad := range []jobqueue.Pause{{Type: "a\n"}, {Domain: "\xff"}} {
		if err := g.Pause(t.Context(), bad); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Pause of %q %q = %v, want %v", bad.Domain, bad.Type, err, jobqueue.ErrInvalid)
		}
		if _, err := g.Resume(t.Context(), bad.Domain, bad.Type); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Resume of %q %q = %v, want %v", bad.Domain, bad.Type, err, jobqueue.ErrInvalid)
		}
	}
}

func testPauseNames(t *tester) {
	t.control()
	g := t.group(jobqueue.Routes{})
	names := []jobqueue.Name{
		{Domain: "a", Type: "b"}, {Domain: "a/b", Type: "c"}, {Domain: "a", Type: "b/c"}, {Domain: "a%", Type: "b"},
		{Domain: "A", Type: "b"}, {Domain: "a ", Type: "b"}, {Domain: "1/a", Type: "b"},
	}
	for _, n := range names {
		_, err := g.Push(t.Context(), jobqueue.Spec{Domain: n.Domain, Type: n.Type})
		t.ok(err, "Push")
	}
	for i, n := range names {
		t.pause(g, n.Domain, n.Type)
		t.finds(g, names, slices.Delete(slices.Clone(names), i, i+1)...)
		t.resume(g, n.Domain, n.Type, true)
	}
}

func testPauseOtherBackends(t *tester) {
	t.control()
	other := t.another()
	g := t.group(jobqueue.Routes{Types: map[string]jobqueue.Backend{"elsewhere": other}})
	_, err := g.Push(t.Context(), t.spec(1), jobqueue.Spec{Type: "elsewhere", Params: job(2).Params})
	t.ok(err, "Push")
	t.pause(g, "", "elsewhere")
	t.pause(g, "", t.q.Type)
	wants := []jobqueue.Want{t.want(t.q.Type, 1), t.want("elsewhere", 1)}
	claims, err := g.Pop(t.Context(), newLease(), wants...)
	t.ok(err, "Pop")
	t.same(claims)
	// One that routes to the other alone has its pauses from where it is told.
	part := t.group(jobqueue.Routes{Default: other, Control: t.control()})
	claims, err = part.Pop(t.Context(), newLease(), wants...)
	t.ok(err, "Pop")
	t.same(claims)
	alone := t.group(jobqueue.Routes{Default: other})
	claims, err = alone.Pop(t.Context(), newLease(), wants...)
	t.ok(err, "Pop")
	t.same(claims, 2)
}

// plain hides the optional methods of a backend.
type plain struct{ jobqueue.Backend }

func testPauseUnsupported(t *tester) {
	g := t.group(jobqueue.Routes{Default: plain{t.b}})
	if err := g.Pause(t.Context(), jobqueue.Pause{Type: "a"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Pause = %v, want %v", err, errors.ErrUnsupported)
	}
	if _, err := g.Resume(t.Context(), "", "a"); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Resume = %v, want %v", err, errors.ErrUnsupported)
	}
	if p, err := g.Pauses(t.Context()); err != nil || len(p) > 0 {
		t.Fatalf("Pauses = %v, %v, want none", p, err)
	}
	t.stores(job(1))
	t.gives(g, 1)
}
