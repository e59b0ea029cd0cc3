package jobqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
	"github.com/wikifarm/jobqueue/runner"
)

func newLease() jobqueue.Lease { return jobqueue.Lease{Token: uuid.New(), TTL: time.Minute} }

func want(typ string, n int) jobqueue.Want {
	return jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: typ}, Max: n}
}

func mustPush(t *testing.T, g *jobqueue.Group, specs ...jobqueue.Spec) jobqueue.Pushed {
	t.Helper()
	pushed, err := g.Push(t.Context(), specs...)
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

func TestNewGroupPanics(t *testing.T) {
	for domain, b := range map[string]jobqueue.Backend{"wiki": nil, "": queuememory.New(), "a\x00": queuememory.New()} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.HasPrefix(got, "jobqueue: new group: ") {
					t.Errorf("NewGroup(%q, %v) panics with %q", domain, b, got)
				}
			}()
			jobqueue.NewGroup(domain, jobqueue.Routes{Default: b})
		}()
	}
}

// A group that cannot do as it is told is none.
func TestNewGroupWithoutInline(t *testing.T) {
	async, fallback := func(jobqueue.Name) bool { return true }, func(string) bool { return true }
	for _, r := range []jobqueue.Routes{
		{Default: queuememory.New(), Async: async}, {Default: queuememory.New(), Fallback: fallback},
		{Types: map[string]jobqueue.Backend{"a": queuememory.New()}, Inline: runner.Inline(&jobqueue.Registry{}, nil)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewGroup(%+v) does not panic", r)
				}
			}()
			jobqueue.NewGroup("wiki", r)
		}()
	}
}

func TestGroupRoutes(t *testing.T) {
	a, b := queuememory.New(), queuememory.New()
	g := newGroup(jobqueue.Routes{Default: a, Types: map[string]jobqueue.Backend{"x": b, "y": b, "z": a}, Exclude: []string{"y"}})
	if g.Backend("x") != b || g.Backend("z") != a || g.Backend("other") != a {
		t.Error("types are routed elsewhere")
	}
	if all := g.Backends(); len(all) != 2 || all[0] != a || all[1] != b {
		t.Errorf("there are %d backends, want each once, the default first", len(all))
	}
	if !g.Excluded("y") || g.Excluded("x") {
		t.Error("other types are excluded than y")
	}
	if on := g.On("other"); on.Domain() != "other" || g.Domain() != "wiki" || on.Backend("x") != b {
		t.Errorf("On is at home in %s, with other routes", on.Domain())
	}
	mustPush(t, g.On("other"), jobqueue.Spec{Type: "x"})
	if counts, err := b.Counts(t.Context()); err != nil || len(counts) != 1 || counts[0].Domain != "other" {
		t.Errorf("Counts = %+v, %v, want one job on the other domain", counts, err)
	}
}

// sizes returns how large the pieces were that a push was split into.
func sizes(t *testing.T, specs ...jobqueue.Spec) (jobs, bytes []int) {
	t.Helper()
	g := newGroup(jobqueue.Routes{MaxParams: jobqueue.MaxPushBytes, Trace: &jobqueue.Trace{
		Pushed: func(_ context.Context, records []jobqueue.Record, pushed jobqueue.Pushed, err error) {
			size := 0
			for _, r := range records {
				size += len(r.Params)
			}
			jobs, bytes = append(jobs, len(records)), append(bytes, size)
		},
	}})
	if pushed := mustPush(t, g, specs...); pushed.Stored() != len(specs) {
		t.Errorf("%d jobs are stored of %d", pushed.Stored(), len(specs))
	}
	return jobs, bytes
}

func TestPushSplits(t *testing.T) {
	sized := func(n int) jobqueue.Spec {
		return jobqueue.Spec{Type: "t", Params: json.RawMessage(`{"s":"` + strings.Repeat("x", n-8) + `"}`)}
	}
	const max, mib = jobqueue.MaxPushBytes, 1 << 20
	for what, tt := range map[string]struct {
		specs []jobqueue.Spec
		want  []int
	}{
		"nothing":            {nil, nil},
		"one":                {slices.Repeat([]jobqueue.Spec{sized(10)}, 1), []int{1}},
		"as many as allowed": {slices.Repeat([]jobqueue.Spec{sized(10)}, 1000), []int{1000}},
		"one more":           {slices.Repeat([]jobqueue.Spec{sized(10)}, 1001), []int{1000, 1}},
		"many":               {slices.Repeat([]jobqueue.Spec{sized(10)}, 2500), []int{1000, 1000, 500}},
		"as large":           {slices.Repeat([]jobqueue.Spec{sized(mib)}, 16), []int{16}},
		"larger":             {append(slices.Repeat([]jobqueue.Spec{sized(mib)}, 16), sized(10), sized(10)), []int{16, 2}},
		"very large":         {[]jobqueue.Spec{sized(10), sized(max), sized(10), sized(max - 10)}, []int{1, 1, 2}},
	} {
		jobs, bytes := sizes(t, tt.specs...)
		if !slices.Equal(jobs, tt.want) || len(bytes) > 0 && slices.Max(bytes) > max {
			t.Errorf("%s: pieces of %v jobs and %v bytes, want %v jobs", what, jobs, bytes, tt.want)
		}
	}
}

// A piece that fails does not stop the others.
func TestPushPieceFails(t *testing.T) {
	calls := 0
	broken := errors.New("broken")
	g := newGroup(jobqueue.Routes{Default: queuetest.Faulty(queuememory.New(), func(string) error {
		if calls++; calls == 2 {
			return broken
		}
		return nil
	})})
	pushed, err := g.Push(t.Context(), slices.Repeat([]jobqueue.Spec{{Type: "t"}}, 2500)...)
	e, ok := errors.AsType[*jobqueue.Error](err)
	if !ok || !errors.Is(err, broken) || e.Op != "push" || e.Queue != want("t", 0).Name {
		t.Errorf("Push = %v, want an Error of a push to wiki/t", err)
	}
	for i, p := range pushed {
		if failed := i >= 1000 && i < 2000; failed != (p.Err != nil) || failed != (p.ID == "") {
			t.Fatalf("Push says of job %d: %+v", i, p)
		}
	}
}

func TestPushed(t *testing.T) {
	p := jobqueue.Pushed{{ID: "1"}, {ID: "1", Duplicate: true}, {Err: errors.New("broken")}, {ID: "2"}}
	if p.Stored() != 2 || p.Duplicates() != 1 {
		t.Errorf("%d stored, %d duplicates, want 2 and 1", p.Stored(), p.Duplicates())
	}
}

func TestErrors(t *testing.T) {
	name := jobqueue.Name{Domain: "a b", Type: "t"}
	one := &jobqueue.LostError{Claims: []*jobqueue.Claim{{ID: "7", Record: jobqueue.Record{Name: name}}}}
	many := &jobqueue.LostError{Claims: append(one.Claims, one.Claims[0], one.Claims[0])}
	for want, err := range map[string]error{
		"jobqueue: pop a%20b/t: queue is read-only: moving": &jobqueue.Error{Op: "pop", Queue: name, Err: fmt.Errorf("%w: moving", jobqueue.ErrReadOnly)},
		"jobqueue: push: invalid":                           &jobqueue.Error{Op: "push", Err: jobqueue.ErrInvalid},
		"claim is no longer held: a%20b/t job 7":            one,
		"claim is no longer held: a%20b/t job 7 and 2 more": many,
	} {
		if err.Error() != want {
			t.Errorf("the error reads %q, want %q", err, want)
		}
	}
	if !errors.Is(one, jobqueue.ErrNotClaimed) || errors.Is(one, jobqueue.ErrInvalid) {
		t.Error("a LostError is not, or not only, an ErrNotClaimed")
	}
}

func TestSettleLost(t *testing.T) {
	far := queuememory.New()
	g := newGroup(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": far}})
	mustPush(t, g, jobqueue.Spec{Type: "far"}, jobqueue.Spec{Type: "near"}, jobqueue.Spec{Type: "far"}, jobqueue.Spec{Type: "near"})
	claims, err := g.Pop(t.Context(), newLease(), want("far", 2), want("near", 2))
	if err != nil || len(claims) != 4 {
		t.Fatalf("Pop = %d claims, %v", len(claims), err)
	}
	for _, typ := range []string{"far", "near"} {
		gone := jobqueue.Filter{Type: typ, IDs: []string{claims[0].ID}, States: []jobqueue.State{jobqueue.Claimed}}
		if _, err := g.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	var outcomes []jobqueue.Outcome
	for _, i := range []int{3, 0, 2, 1} { // both backends, mixed
		outcomes = append(outcomes, jobqueue.Outcome{Claim: claims[i], Do: jobqueue.ActionDone})
	}
	err = g.Settle(t.Context(), outcomes...)
	lost, ok := errors.AsType[*jobqueue.LostError](err)
	if !ok || len(lost.Claims) != 2 {
		t.Errorf("Settle = %v, want a LostError of a claim in each backend", err)
	}
	if counts, err := g.Counts(t.Context()); err != nil || len(counts) > 0 {
		t.Errorf("Counts = %v, %v, want none left", counts, err)
	}
}

func TestExtendLost(t *testing.T) {
	g := newGroup(jobqueue.Routes{})
	mustPush(t, g, slices.Repeat([]jobqueue.Spec{{Type: "t"}}, 3)...)
	held, err := g.Pop(t.Context(), newLease(), want("t", 1))
	if err != nil {
		t.Fatal(err)
	}
	gone, err := g.Pop(t.Context(), newLease(), want("t", 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Delete(t.Context(), jobqueue.Filter{IDs: []string{gone[0].ID, gone[1].ID}, States: []jobqueue.State{jobqueue.Claimed}}); err != nil {
		t.Fatal(err)
	}
	lost, err := g.Extend(t.Context(), time.Minute, gone[0], held[0], gone[1])
	if err != nil || !slices.Equal(lost, gone) {
		t.Errorf("Extend = %v, %v, want both claims of the token that is lost", lost, err)
	}
}

// A sequence may be iterated again, and is the same then.
func TestListTwice(t *testing.T) {
	g := newGroup(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": queuememory.New()}})
	mustPush(t, g, slices.Repeat([]jobqueue.Spec{{Type: "near"}, {Type: "far"}}, 5)...)
	seq := g.List(t.Context(), jobqueue.Filter{Limit: 7})
	for range 3 {
		n := 0
		for _, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 7 {
			t.Errorf("List yields %d jobs, want 7", n)
		}
	}
}

func TestDeleteLimit(t *testing.T) {
	g := newGroup(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": queuememory.New()}})
	mustPush(t, g, slices.Repeat([]jobqueue.Spec{{Type: "near"}, {Type: "far"}}, 5)...)
	for _, want := range []int{3, 3, 3, 1, 0} {
		if n, err := g.Delete(t.Context(), jobqueue.Filter{Limit: 3}); err != nil || n != want {
			t.Errorf("Delete = %d, %v, want %d", n, err, want)
		}
	}
}

func TestReadyOfRoutedTypes(t *testing.T) {
	moved := queuememory.New()
	mustPush(t, newGroup(jobqueue.Routes{Default: moved}), jobqueue.Spec{Type: "moved"}, jobqueue.Spec{Type: "far"})
	g := newGroup(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": moved}})
	mustPush(t, g, jobqueue.Spec{Type: "near"})
	ready := func(names ...jobqueue.Name) (types []string) {
		for r, err := range g.Ready(t.Context(), names...) {
			if err != nil {
				t.Fatal(err)
			}
			types = append(types, r.Type)
		}
		slices.Sort(types)
		return types
	}
	if diff := cmp.Diff([]string{"far", "near"}, ready()); diff != "" {
		t.Errorf("Ready (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"far"}, ready(want("far", 0).Name, want("moved", 0).Name)); diff != "" {
		t.Errorf("Ready of far and moved (-want +got):\n%s", diff)
	}
}

func TestQueueRefusesOthers(t *testing.T) {
	q := newGroup(jobqueue.Routes{}).Queue("t")
	for _, s := range []jobqueue.Spec{{Type: "u"}, {Domain: "other"}, {Job: newMail()}} {
		_, err := q.Push(t.Context(), jobqueue.Spec{}, s)
		if !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), "job 1") {
			t.Errorf("Push of %+v = %v, want ErrInvalid of job 1", s, err)
		}
	}
	if empty, err := q.IsEmpty(t.Context()); err != nil || !empty {
		t.Errorf("IsEmpty = %v, %v, want true", empty, err)
	}
}

func TestFromContext(t *testing.T) {
	if c := jobqueue.FromContext(t.Context()); c != nil {
		t.Errorf("FromContext outside a job = %v", c)
	}
	c := &jobqueue.Claim{ID: "7"}
	if got := jobqueue.FromContext(jobqueue.NewContext(t.Context(), c)); got != c {
		t.Errorf("FromContext = %v, want %v", got, c)
	}
}
