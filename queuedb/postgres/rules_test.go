package postgres_test

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

func lease(ttl time.Duration) jobqueue.Lease {
	return jobqueue.Lease{Token: uuid.New(), TTL: ttl, Owner: "test"}
}

func pop(t testing.TB, b jobqueue.Backend, n int) []*jobqueue.Claim {
	t.Helper()
	cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: queue, Max: n})
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
