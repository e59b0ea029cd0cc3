package queuetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// BenchmarkBackend measures a backend: the same rows for every one, in jobs
// or queues per second. It calls open for each row.
func BenchmarkBackend(b *testing.B, open func(testing.TB) jobqueue.Backend) {
	for _, row := range []struct {
		name string
		run  func(b *bench)
	}{
		{"push/1", func(b *bench) { b.pushes(1) }},
		{"push/1000", func(b *bench) { b.pushes(1000) }},
		{"push/parallel", (*bench).parallelPushes},
		{"push/duplicate", (*bench).duplicates},
		{"pop+settle/1", func(b *bench) { b.popsAndSettles(1) }},
		{"pop+settle/100", func(b *bench) { b.popsAndSettles(100) }},
		{"pop+settle/1000", func(b *bench) { b.popsAndSettles(1000) }},
		{"pop+settle/behind 100000", (*bench).behind},
		{"pop+settle/beside 10000 delayed", (*bench).besideDelayed},
		{"pop/2000 queues", (*bench).manyQueues},
		{"ready/10000 empty queues", (*bench).emptyQueues},
		{"extend/100 claims", (*bench).extends},
		{"round trip", (*bench).roundTrip},
	} {
		b.Run(row.name, func(b *testing.B) {
			row.run(&bench{b, open(b), jobqueue.Name{Domain: "bench-" + uuid.NewString(), Type: "work"}})
		})
	}
}

// A bench measures one row.
type bench struct {
	*testing.B
	b jobqueue.Backend
	q jobqueue.Name
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// rate reports how many things a second were done.
func (b *bench) rate(n int, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit+"/s")
}

// records returns n records of a queue.
func (b *bench) records(n int) []jobqueue.Record {
	records := make([]jobqueue.Record, n)
	for i := range records {
		records[i] = jobqueue.Record{Name: b.q, Params: fmt.Appendf(nil, `{"page":%d,"title":"Main page"}`, i)}
	}
	return records
}

func (b *bench) push(records []jobqueue.Record) {
	for len(records) > 0 {
		n := min(len(records), jobqueue.MaxPush)
		_, err := b.b.Push(b.Context(), uuid.New(), records[:n])
		b.ok(err)
		records = records[n:]
	}
}

// pop pops from the given queues and wants n jobs.
func (b *bench) pop(n int, wants ...jobqueue.Want) []jobqueue.Outcome {
	claims, err := b.b.Pop(b.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour, Owner: "bench"}, wants...)
	b.ok(err)
	if len(claims) != n {
		b.Fatalf("Pop handed out %d jobs, want %d", len(claims), n)
	}
	return each(claims, jobqueue.Outcome{Do: jobqueue.ActionDone})
}

func (b *bench) settle(outcomes []jobqueue.Outcome) {
	lost, err := b.b.Settle(b.Context(), outcomes...)
	if b.ok(err); len(lost) > 0 {
		b.Fatalf("%d claims are lost", len(lost))
	}
}

func (b *bench) pushes(n int) {
	records := b.records(n)
	for b.Loop() {
		b.push(records)
	}
	b.rate(n*b.N, "jobs")
}

func (b *bench) parallelPushes() {
	records := b.records(1)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := b.b.Push(b.Context(), uuid.New(), records); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.rate(b.N, "jobs")
}

// duplicates pushes a batch of which nine in ten are duplicates of what waits.
func (b *bench) duplicates() {
	records := b.records(1000)
	fresh := 0
	for i := range records {
		records[i] = unique(records[i], fmt.Sprint("waits", i))
	}
	b.push(records)
	for b.Loop() {
		for i := 0; i < len(records); i += 10 {
			fresh++
			records[i] = unique(records[i], fmt.Sprint("fresh", fresh))
		}
		b.push(records)
	}
	b.rate(len(records)*b.N, "jobs")
}

func (b *bench) popsAndSettles(n int) {
	fill := b.records(max(n, 1000))
	for left := 0; b.Loop(); left -= n {
		if left < n {
			b.StopTimer()
			b.push(fill)
			left += len(fill)
			b.StartTimer()
		}
		b.settle(b.pop(n, jobqueue.Want{Name: b.q, Max: n}))
	}
	b.rate(n*b.N, "jobs")
}

// behind drains a queue that is long.
func (b *bench) behind() {
	b.push(b.records(100_000))
	b.popsAndSettles(100)
}

// besideDelayed drains a queue of which most jobs are not due.
func (b *bench) besideDelayed() {
	records := b.records(10_000)
	for i := range records {
		records[i].Delay = time.Hour
	}
	b.push(records)
	b.popsAndSettles(100)
}

// manyQueues pops from 2,000 queues at once, of which one in four has jobs.
func (b *bench) manyQueues() {
	var wants []jobqueue.Want
	fill := b.records(500)
	for i, typ := range numbered("type", 2000) {
		n := jobqueue.Name{Domain: b.q.Domain, Type: typ}
		wants = append(wants, jobqueue.Want{Name: n, Max: 1})
		if i%4 == 0 {
			fill[i/4].Name = n
		}
	}
	for b.Loop() {
		b.StopTimer()
		b.push(fill)
		b.StartTimer()
		claims := b.pop(len(fill), wants...)
		b.StopTimer()
		b.settle(claims)
		b.StartTimer()
	}
	b.rate(len(fill)*b.N, "jobs")
}

// emptyQueues asks which queues have work when 10,000 had some once and three do.
func (b *bench) emptyQueues() {
	records := b.records(10_000)
	for i, typ := range numbered("type", len(records)) {
		records[i].Name = jobqueue.Name{Domain: b.q.Domain, Type: typ}
	}
	b.push(records)
	for at := 0; at < len(records); at += 1000 {
		var wants []jobqueue.Want
		for _, r := range records[at : at+1000] {
			wants = append(wants, jobqueue.Want{Name: r.Name, Max: 1})
		}
		b.settle(b.pop(len(wants), wants...))
	}
	b.push(records[7:10])
	for b.Loop() {
		n := 0
		for _, err := range b.b.Ready(b.Context()) {
			b.ok(err)
			n++
		}
		if n != 3 {
			b.Fatalf("Ready yields %d queues, want 3", n)
		}
	}
	b.rate(b.N, "calls")
}

func (b *bench) extends() {
	b.push(b.records(100))
	var tokens []uuid.UUID
	for range 100 {
		tokens = append(tokens, b.pop(1, jobqueue.Want{Name: b.q, Max: 1})[0].Claim.Token)
	}
	for b.Loop() {
		lost, err := b.b.Extend(b.Context(), time.Hour, tokens...)
		if b.ok(err); len(lost) > 0 {
			b.Fatalf("%d tokens are lost", len(lost))
		}
	}
	b.rate(len(tokens)*b.N, "claims")
}

// roundTrip pushes, pops and settles one job at a time, from several goroutines.
func (b *bench) roundTrip() {
	record := b.records(1)
	var lost atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := b.b.Push(b.Context(), uuid.New(), record)
			if err != nil {
				b.Error(err)
				return
			}
			claims, err := b.b.Pop(b.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: b.q, Max: 1})
			if err != nil {
				b.Error(err)
				return
			}
			gone, err := b.b.Settle(b.Context(), each(claims, jobqueue.Outcome{Do: jobqueue.ActionDone})...)
			if err != nil {
				b.Error(err)
				return
			}
			lost.Add(int64(len(gone)))
		}
	})
	if lost.Load() > 0 {
		b.Fatalf("%d claims are lost", lost.Load())
	}
	b.rate(b.N, "jobs")
}
