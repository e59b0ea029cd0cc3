package federated_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// BenchmarkFederated compares a federation of memories with as many memories alone, both with a backlog and driven by as many
// goroutines, eight for each memory: they push 1,000 jobs, pop as many and settle them, in turns of the one and the other. "share" is how much of what
// the memories do alone the federation does.
func BenchmarkFederated(b *testing.B) {
	for _, n := range []int{2, 3} {
		for _, kind := range []string{"plain", "deduplicated"} {
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) {
				l := load{b, kind == "deduplicated", 8 * n}
				alone := memories(n)
				joined := federate(b, memories(n)...)
				l.fill(func(w int) jobqueue.Backend { return alone[w%n] })
				l.fill(func(int) jobqueue.Backend { return joined.Backend })
				var passed [2]time.Duration
				for b.Loop() {
					passed[0] += l.drive(func(w int) jobqueue.Backend { return alone[w%n] })
					passed[1] += l.drive(func(int) jobqueue.Backend { return joined.Backend })
				}
				b.ReportMetric(0, "ns/op")
				jobs := float64(b.N * l.workers * rounds * jobqueue.MaxPush)
				b.ReportMetric(jobs/passed[0].Seconds(), "alone/s")
				b.ReportMetric(jobs/passed[1].Seconds(), "federated/s")
				b.ReportMetric(passed[0].Seconds()/passed[1].Seconds(), "share")
			})
		}
	}
}

// A load is what is done to both.
type load struct {
	*testing.B
	unique  bool
	workers int
}

const (
	rounds  = 40 // how often a worker pushes, pops and settles in one turn: the garbage of many
	backlog = 10 // how many batches each worker has pushed before
)

// digests counts the digests that were given away.
var digests atomic.Uint64

// batch returns 1,000 records.
func (l load) batch() []jobqueue.Record {
	records := make([]jobqueue.Record, jobqueue.MaxPush)
	for i := range records {
		records[i] = record(i)
	}
	return records
}

func (l load) push(to jobqueue.Backend, records []jobqueue.Record) error {
	if l.unique {
		first := digests.Add(uint64(len(records)))
		for i := range records {
			binary.LittleEndian.PutUint64(records[i].Digest[:], first-uint64(i))
		}
	}
	_, err := to.Push(l.Context(), uuid.New(), records)
	return err
}

func (l load) fill(backend func(worker int) jobqueue.Backend) {
	records := l.batch()
	for w := range l.workers {
		for range backlog {
			if err := l.push(backend(w), records); err != nil {
				l.Fatal(err)
			}
		}
	}
}

// drive has all workers push, pop and settle, and returns how long they took.
func (l load) drive(backend func(worker int) jobqueue.Backend) time.Duration {
	batches := make([][]jobqueue.Record, l.workers)
	for w := range batches {
		batches[w] = l.batch()
	}
	runtime.GC() // Else that of the one is collected while the other is measured.
	began := time.Now()
	var all sync.WaitGroup
	for w, records := range batches {
		all.Go(func() {
			to := backend(w)
			for range rounds {
				if err := l.push(to, records); err != nil {
					l.Error(err)
					return
				}
				claims, err := to.Pop(l.Context(), lease(), jobqueue.Want{Name: name, Max: len(records)})
				if err != nil || len(claims) != len(records) {
					l.Errorf("Pop = %d claims, %v", len(claims), err)
					return
				}
				if lost, err := to.Settle(l.Context(), done(claims...)...); err != nil || len(lost) > 0 {
					l.Errorf("Settle = %d lost, %v", len(lost), err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
