package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var queue = jobqueue.Name{Domain: "enwiki", Type: "refreshLinks"}

func records(n int) []jobqueue.Record {
	rs := make([]jobqueue.Record, n)
	for i := range rs {
		rs[i] = jobqueue.Record{Name: queue, Params: fmt.Appendf(nil, `{"title":"Page %d of the test wiki","namespace":0,"prioritize":true,"triggering":%d}`, i, i)}
	}
	return rs
}

func push(t testing.TB, b jobqueue.Backend, rs ...jobqueue.Record) jobqueue.Pushed {
	t.Helper()
	p, err := b.Push(t.Context(), uuid.New(), rs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pop(t testing.TB, b jobqueue.Backend, n int) []*jobqueue.Claim {
	t.Helper()
	cs, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute, Owner: "test"}, jobqueue.Want{Name: queue, Max: n})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func outcomes(do jobqueue.Action, cs ...*jobqueue.Claim) []jobqueue.Outcome {
	os := make([]jobqueue.Outcome, len(cs))
	for i, c := range cs {
		os[i] = jobqueue.Outcome{Claim: c, Do: do}
	}
	return os
}

func settle(t testing.TB, b jobqueue.Backend, os ...jobqueue.Outcome) []*jobqueue.Claim {
	t.Helper()
	lost, err := b.Settle(t.Context(), os...)
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

func counts(t testing.TB, b jobqueue.Backend) jobqueue.Counts {
	t.Helper()
	cs, err := b.Counts(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return cs[0]
}

func TestFence(t *testing.T) {
	b := open(t)
	push(t, b, records(3)...)
	first := pop(t, b, 3)
	if lost := settle(t, b, outcomes(jobqueue.ActionGiveBack, first[0])...); len(lost) > 0 {
		t.Fatalf("Settle lost %v", lost)
	}
	second := pop(t, b, 1)
	if len(second) != 1 || second[0].ID != first[0].ID {
		t.Fatalf("Pop = %v, want job %s", second, first[0].ID)
	}
	// The first token settled the job already; it must not end the second claim.
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, first[0])...); len(lost) > 0 {
		t.Errorf("a repeated Settle lost %v", lost)
	}
	if c := counts(t, b); c.Claimed != 3 {
		t.Errorf("Counts = %+v, want 3 claimed", c)
	}
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, second[0], first[1], first[2])...); len(lost) > 0 {
		t.Errorf("Settle lost %v", lost)
	}
	if c := counts(t, b); c.Total() != 0 {
		t.Errorf("Counts = %+v, want none", c)
	}
}
