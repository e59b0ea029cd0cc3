package federated_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// BenchmarkFederated compares a federation of memories with as many memories alone, both driven by as many
// goroutines, four for each memory: they push 1,000 jobs, pop as many and settle them, in turns of the one and the other. "share" is how much of what
// the memories do alone the federation does.
func BenchmarkFederated(b *testing.B) {
	for _, n := range []int{2, 3} {
		for _, kind := range []struct {
			name   string
			record func(worker, i int) jobqueue.Record
		}{
			{"plain", func(_, i int) jobqueue.Record { return record(i) }},
			{"deduplicated", func(worker, i int) jobqueue.Record { return unique(worker*10_000 + i) }},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, kind.name), func(b *testing.B) {
				batches := make([][]jobqueue.Record, 4*n)
				for w := range batches {
					for i := range 1000 {
						r := kind.record(w, i)
						r.Type = fmt.Sprint("worker", w)
						batches[w] = append(batches[w], r)
					}
				}
				alone := memories(n)
				joined := federate(b, memories(n)...)
				var passed [2]time.Duration
				for b.Loop() {
					passed[0] += drive(b, batches, func(w int) jobqueue.Backend { return alone[w%n] })
					passed[1] += drive(b, batches, func(int) jobqueue.Backend { return joined.Backend })
				}
				b.ReportMetric(0, "ns/op")
				jobs := float64(b.N * len(batches) * rounds * 1000)
				b.ReportMetric(jobs/passed[0].Seconds(), "alone/s")
				b.ReportMetric(jobs/passed[1].Seconds(), "federated/s")
				b.ReportMetric(passed[0].Seconds()/passed[1].Seconds(), "share")
			})
		}
	}
}

// rounds is how often a worker pushes, pops and settles in one turn.
const rounds = 10

// drive has a goroutine for each batch push, pop and settle, and returns how long they took.
func drive(b *testing.B, batches [][]jobqueue.Record, backend func(worker int) jobqueue.Backend) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for w := range batches {
		all.Go(func() {
			to, ctx := backend(w), b.Context()
			for range rounds {
				if _, err := to.Push(ctx, uuid.New(), batches[w]); err != nil {
					b.Error(err)
					return
				}
				claims, err := to.Pop(ctx, lease(), jobqueue.Want{Name: batches[w][0].Name, Max: 1000})
				if err != nil || len(claims) != 1000 {
					b.Errorf("Pop = %d claims, %v", len(claims), err)
					return
				}
				if lost, err := to.Settle(ctx, done(claims...)...); err != nil || len(lost) > 0 {
					b.Errorf("Settle = %d lost, %v", len(lost), err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
