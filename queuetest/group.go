package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

// What a Group promises, with the backend under test below it.
var groupRules = []testCase{
	{"queue", "Group.Queue is the same for every backend: Push, Pop, Ack, IsEmpty", testGroupQueue},
	{"mixed batch", "a piece that fails does not stop the others; Pushed says for every job whether it is in", testGroupMixed},
	{"invalid batch", "either every spec is valid or nothing is stored", testGroupInvalid},
	{"large batch", "Push splits the batch into pieces of at most MaxPush jobs", testGroupLarge},
	{"several backends", "Group routes each type to its backend, and asks all of them", testGroupSeveral},
	{"read-only", "read-only refuses push, pop, delete, requeue with the reason; live claims can still be settled and extended", testGroupReadOnly},
	{"attempts", "a failure counts; giving back does not, and neither do the first two expiries", testGroupAttempts},
	{"last try", "a job is abandoned when its last try is used up", testGroupLastTry},
	{"exhausted", "jobs whose tries are used up by claims that ran out are abandoned at Pop, with the reason", testGroupExhausted},
	{"superseded", "jobs that a newer root supersedes are settled at once and not returned", testGroupSuperseded},
	{"all superseded", "only when Pop returns no job is there none", testGroupAllSuperseded},
	{"lost", "the error is a LostError if any claim was no longer held; every other claim is settled", testGroupLost},
	{"any error", "Err is stored with the job, cut to 4 KiB, and what it holds does not keep a job from being settled", testGroupAnyError},
	{"kept", "an abandoned job is kept for Policy.Keep, by default 7 days", testGroupKept},
	{"runs now", "an immediate push onto a twin delayed by 7 days runs now", testGroupRunsNow},
	{"parameters", "parameters are kept byte for byte, up to 1 MiB; what is not UTF-8 is refused", testGroupParams},
}

// group returns a group at home in the tester's domain, by default on its backend.
func (t *tester) group(r jobqueue.Routes) *jobqueue.Group {
	if r.Default == nil {
		r.Default = t.b
	}
	return jobqueue.NewGroup(t.q.Domain, r)
}

func (t *tester) spec(n int) jobqueue.Spec {
	return jobqueue.Spec{Type: t.q.Type, Params: job(n).Params}
}

// gives pops from the tester's queue through a group and wants these jobs in this order.
func (t *tester) gives(g *jobqueue.Group, numbers ...int) []*jobqueue.Claim {
	t.Helper()
	claims, err := g.Pop(t.Context(), newLease(), t.want(t.q.Type, 10))
	t.ok(err, "Pop")
	t.same(claims, numbers...)
	return claims
}

func testGroupQueue(t *tester) {
	q := t.group(jobqueue.Routes{}).Queue(t.q.Type)
	t.isEmpty(q, true)
	pushed, err := q.Push(t.Context(), jobqueue.Spec{Params: job(1).Params}, t.spec(2), jobqueue.Spec{Params: job(3).Params, Delay: time.Hour})
	if err != nil || pushed.Stored() != 3 {
		t.Fatalf("Push = %+v, %v, want 3 stored", pushed, err)
	}
	t.isEmpty(q, false)
	claims, err := q.Pop(t.Context(), 5)
	t.ok(err, "Pop")
	t.same(claims, 1, 2)
	t.isEmpty(q, true) // Delayed and claimed jobs do not count.
	t.ok(q.Ack(t.Context(), claims...), "Ack")
	t.counts(0, 1, 0, 0)
	t.jump(2 * time.Hour)
	t.isEmpty(q, false)
}

func (t *tester) isEmpty(q jobqueue.Queue, want bool) {
	t.Helper()
	if empty, err := q.IsEmpty(t.Context()); err != nil || empty != want {
		t.Fatalf("IsEmpty = %v, %v, want %v", empty, err, want)
	}
}

func testGroupMixed(t *tester) {
	full := fmt.Errorf("%w: disk full", jobqueue.ErrInvalid)
	other := Faulty(t.another(), func(string) error { return full })
	g := t.group(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": other}})
	far := jobqueue.Spec{Type: "far"}
	near := t.spec(2)
	near.DedupeKey = "k"
	pushed, err := g.Push(t.Context(), t.spec(1), far, near, far, near)
	if !errors.Is(err, full) || pushed.Stored() != 2 || pushed.Duplicates() != 1 {
		t.Fatalf("Push = %+v, %v, want 2 stored, 1 duplicate and the reason of the others", pushed, err)
	}
	for i, p := range pushed {
		if failed := i == 1 || i == 3; failed != errors.Is(p.Err, full) {
			t.Fatalf("Push says of job %d: %+v", i, p)
		}
	}
	t.gives(g, 1, 2)
}

func testGroupInvalid(t *tester) {
	g := t.group(jobqueue.Routes{})
	if _, err := g.Push(t.Context(), t.spec(1), jobqueue.Spec{Type: ""}); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Fatalf("Push = %v, want ErrInvalid", err)
	}
	t.counts(0, 0, 0, 0)
}

func testGroupLarge(t *tester) {
	g := t.group(jobqueue.Routes{})
	var specs []jobqueue.Spec
	for n := range 2*jobqueue.MaxPush + 10 {
		specs = append(specs, t.spec(n))
	}
	pushed, err := g.Push(t.Context(), specs...)
	if err != nil || pushed.Stored() != len(specs) {
		t.Fatalf("Push = %d stored, %v, want %d", pushed.Stored(), err, len(specs))
	}
	t.listsAll(0, len(specs)-1)
}

func testGroupSeveral(t *tester) {
	g := t.group(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": t.another()}})
	_, err := g.Push(t.Context(), jobqueue.Spec{Type: "far", Params: job(1).Params}, t.spec(2), jobqueue.Spec{Type: "far", Params: job(3).Params})
	t.ok(err, "Push")
	far := t.want("far", 5)
	if c, err := g.Counts(t.Context(), far.Name, t.q); err != nil || len(c) != 2 || c[0].Ready+c[1].Ready != 3 {
		t.Fatalf("Counts = %+v, %v, want 3 ready in all", c, err)
	}
	claims, err := g.Pop(t.Context(), newLease(), far, t.want(t.q.Type, 5))
	t.ok(err, "Pop")
	t.same(claims, 2, 1, 3)
	lost, err := g.Extend(t.Context(), lease, claims...)
	if err != nil || len(lost) > 0 {
		t.Fatalf("Extend = %v, %v, want none lost", lost, err)
	}
	// Where a claim came from counts, whatever the routes say by now.
	t.ok(t.group(jobqueue.Routes{}).Settle(t.Context(), each(claims, done(nil))...), "Settle")
	t.counts(0, 0, 0, 0)
	t.gives(g)
}

func testGroupReadOnly(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(jobs(1, 3)...)
	held := t.gives(g, 1, 2, 3)
	t.ok(g.Settle(t.Context(), abandon(held[2], 0)), "Settle")
	g = t.group(jobqueue.Routes{ReadOnly: "moving house"})
	_, push := g.Push(t.Context(), t.spec(4))
	_, pop := g.Pop(t.Context(), newLease(), t.want(t.q.Type, 1))
	_, del := g.Delete(t.Context(), jobqueue.Filter{Domain: t.q.Domain})
	_, requeue := g.Requeue(t.Context(), jobqueue.Filter{Domain: t.q.Domain})
	for _, err := range []error{push, pop, del, requeue} {
		if !errors.Is(err, jobqueue.ErrReadOnly) || !strings.Contains(err.Error(), "moving house") {
			t.Fatalf("a read-only group answers %v, want ErrReadOnly with the reason", err)
		}
	}
	if lost, err := g.Extend(t.Context(), lease, held[0]); err != nil || len(lost) > 0 {
		t.Fatalf("Extend = %v, %v", lost, err)
	}
	t.ok(g.Settle(t.Context(), done(held[0]), retry(held[1], 0)), "Settle")
	t.counts(1, 0, 0, 1)
}

func testGroupAttempts(t *tester) {
	g := t.group(jobqueue.Routes{Policy: func(string) jobqueue.Policy { return jobqueue.Policy{MaxTries: 9} }})
	t.stores(job(1))
	attempt := func(want int) *jobqueue.Claim {
		t.Helper()
		c := t.gives(g, 1)[0]
		if c.Attempt != want || c.MaxTries != 9 {
			t.Fatalf("this is attempt %d of %d, want %d of 9", c.Attempt, c.MaxTries, want)
		}
		return c
	}
	t.settle(giveBack(attempt(1), 0))
	t.settle(retry(attempt(1), 0))
	for _, n := range []int{2, 2, 2, 3} {
		attempt(n)
		t.advance(lease + lease/2)
	}
	attempt(4)
}

func testGroupLastTry(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(job(1))
	for range 3 {
		c := t.gives(g, 1)[0]
		t.ok(g.Settle(t.Context(), g.Outcome(c, errors.New("no luck"))), "Settle")
		t.jump(time.Hour)
	}
	t.gives(g)
	t.counts(0, 0, 0, 1)
	if e := t.list(jobqueue.Filter{})[0]; e.Failures != 3 || e.LastError != "no luck" {
		t.Fatalf("the job was abandoned after %d failures with %q, want 3 and %q", e.Failures, e.LastError, "no luck")
	}
}

func testGroupExhausted(t *tester) {
	var traced []string
	g := t.group(jobqueue.Routes{Trace: &jobqueue.Trace{
		Exhausted: func(_ context.Context, c *jobqueue.Claim, reason string) { traced = append(traced, c.ID) },
	}})
	r := job(1)
	r.MaxTries = 2
	id := t.stores(r)[0]
	for range 4 {
		t.gives(g, 1)
		t.advance(lease + lease/2)
	}
	t.gives(g)
	e := t.entry(id)
	if e.State != jobqueue.Abandoned || !strings.Contains(e.LastError, "tries used up: 0 failures, 4 claims ran out") || !slices.Equal(traced, []string{id}) {
		t.Fatalf("the job is %v with the reason %q, traced as %v", e.State, e.LastError, traced)
	}
}

func testGroupSuperseded(t *tester) {
	var traced []int
	g := t.group(jobqueue.Routes{Trace: &jobqueue.Trace{
		Superseded: func(_ context.Context, c *jobqueue.Claim) { traced = append(traced, numberOf(c.Params)) },
	}})
	t.stores(rooted(job(1), "page", day(1)), job(2), rooted(job(3), "page", day(2)))
	t.gives(g, 2, 3)
	t.counts(0, 0, 2, 0)
	if !slices.Equal(traced, []int{1}) {
		t.Fatalf("the jobs %v are traced as superseded, want 1", traced)
	}
}

func testGroupAllSuperseded(t *tester) {
	g := t.group(jobqueue.Routes{})
	for n := range 10 {
		t.stores(rooted(job(n), "page", day(1)))
	}
	t.mark("page", day(2))
	t.stores(job(10))
	claims, err := g.Pop(t.Context(), newLease(), t.want(t.q.Type, 3))
	t.ok(err, "Pop")
	t.same(claims, 10)
	t.gives(g)
}

func testGroupLost(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(jobs(1, 3)...)
	c := t.gives(g, 1, 2, 3)
	t.deletes(1, jobqueue.Filter{IDs: []string{c[1].ID}, States: []jobqueue.State{jobqueue.Claimed}})
	err := g.Settle(t.Context(), done(c[0]), done(c[1]), done(c[2]))
	lost, ok := errors.AsType[*jobqueue.LostError](err)
	if !ok || !errors.Is(err, jobqueue.ErrNotClaimed) || !slices.Equal(lost.Claims, c[1:2]) {
		t.Fatalf("Settle = %v, want a LostError of job 2", err)
	}
	t.counts(0, 0, 0, 0)
}

func testGroupAnyError(t *tester) {
	g := t.group(jobqueue.Routes{})
	t.stores(job(1))
	for _, text := range []string{"a NUL \x00", "no UTF-8 \xff\xc3", strings.Repeat("\xff", 5000), "x" + strings.Repeat("é", 5000)} {
		o := retry(t.pop(1)[0], 0)
		o.Err = text
		t.ok(g.Settle(t.Context(), o), "Settle")
	}
	c := t.hands(1)[0]
	if n := len(c.LastError); c.Failures != 4 || n > jobqueue.MaxError || n < jobqueue.MaxError-utf8.UTFMax || !utf8.ValidString(c.LastError) {
		t.Fatalf("after 4 failures the job has %d and %d bytes of an error, valid %v", c.Failures, n, utf8.ValidString(c.LastError))
	}
}

func testGroupKept(t *tester) {
	g := t.group(jobqueue.Routes{})
	id := t.stores(job(1))[0]
	c := t.gives(g, 1)[0]
	t.ok(g.Settle(t.Context(), g.Outcome(c, jobqueue.Abandon(errors.New("hopeless")))), "Settle")
	e := t.entry(id)
	if d := e.PruneAt.Sub(e.QueuedAt); e.State != jobqueue.Abandoned || d != jobqueue.DefaultKeep {
		t.Fatalf("the job is %v and kept for %v, want abandoned for %v", e.State, d, jobqueue.DefaultKeep)
	}
}

func testGroupRunsNow(t *tester) {
	g := t.group(jobqueue.Routes{})
	s := t.spec(1)
	s.Dedupe, s.Delay = true, 7*24*time.Hour
	_, err := g.Push(t.Context(), s)
	t.ok(err, "Push")
	t.gives(g)
	s.Delay = 0
	pushed, err := g.Push(t.Context(), s)
	if err != nil || pushed.Duplicates() != 1 {
		t.Fatalf("Push = %+v, %v, want a duplicate", pushed, err)
	}
	t.gives(g, 1)
}

func testGroupParams(t *tester) {
	g := t.group(jobqueue.Routes{})
	for _, p := range append(params, string(heavy(1, jobqueue.DefaultMaxParams)[0].Params)) {
		_, err := g.Push(t.Context(), jobqueue.Spec{Type: t.q.Type, Params: json.RawMessage(p)})
		t.ok(err, "Push")
		claims, err := g.Pop(t.Context(), newLease(), t.want(t.q.Type, 2))
		if err != nil || len(claims) != 1 || string(claims[0].Params) != p {
			t.Fatalf("Pop = %d claims, %v, want the parameters %.80q", len(claims), err, p)
		}
	}
	for p, want := range map[string]error{
		"{\"a\":\"\xff\"}":     jobqueue.ErrInvalid,
		"{\"a\":\"\xc3\x28\"}": jobqueue.ErrInvalid,
		string(heavy(1, jobqueue.DefaultMaxParams+1)[0].Params): jobqueue.ErrTooLarge,
	} {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: t.q.Type, Params: json.RawMessage(p)}); !errors.Is(err, want) {
			t.Fatalf("Push of %.20q = %v, want %v", p, err, want)
		}
	}
}
