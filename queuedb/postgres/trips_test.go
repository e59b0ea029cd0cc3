package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// trips counts how often a backend waits for the server.
type trips struct{ atomic.Int64 }

func (n *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	n.Add(1)
	return ctx
}
func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
func (n *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	n.Add(1)
	return ctx
}
func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// How often each call waits for the server in the usual case, as the documentation says.
func TestTrips(t *testing.T) {
	n := new(trips)
	b, err := postgres.OpenTraced(t.Context(), server.URL, &postgres.Options{Schema: newSchema(t)}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	push(t, b, records(1)...)
	settle(t, b, outcomes(jobqueue.ActionDone, pop(t, b, 1)...)...)
	takes := func(call string, most int64, do func()) {
		t.Helper()
		// Wake-ups of the push go their own way, a hundred a second.
		least := int64(1000)
		for range 20 {
			before := n.Load()
			do()
			least = min(least, n.Load()-before)
		}
		if least > most {
			t.Errorf("%s takes %d round trips, want %d", call, least, most)
		}
	}
	takes("Push", 3, func() { push(t, b, records(100)...) })
	var cs []*jobqueue.Claim
	takes("Pop", 1, func() { cs = append(cs, pop(t, b, 50)...) })
	other := jobqueue.Name{Domain: "wiki", Type: "other"}
	least := int64(1000)
	for range 20 {
		push(t, b, job(other))
		before := n.Load()
		cs, err := b.Pop(t.Context(), lease(time.Minute), jobqueue.Want{Name: other, Max: 10})
		if err != nil || len(cs) != 1 {
			t.Fatalf("Pop = %v, %v", cs, err)
		}
		least = min(least, n.Load()-before)
	}
	if least > 1 {
		t.Errorf("Pop of a queue with fewer than are wanted takes %d round trips, as the last one did, want 1", least)
	}
	done := 0
	takes("Settle", 2, func() {
		settle(t, b, outcomes(jobqueue.ActionDone, cs[done:done+25]...)...)
		done += 25
	})
	takes("Settle with retries", 3, func() {
		settle(t, b, outcomes(jobqueue.ActionRetry, cs[done:done+5]...)...)
		done += 5
	})
	tokens := []uuid.UUID{cs[len(cs)-1].Token}
	takes("Extend", 3, func() {
		if lost, err := b.Extend(t.Context(), time.Minute, tokens...); err != nil || len(lost) > 0 {
			t.Fatalf("Extend = %v, %v", lost, err)
		}
	})
}
