package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// rest is for how long a system rests before each job, and how much more at random. River, which fetches ten times a second
// at most, is left alone for longer than that; asynq looks once a second, and the job comes at any time of it.
func rest(system string) (least, spread time.Duration) {
	switch system {
	case "river":
		return 100 * time.Millisecond, 100 * time.Millisecond
	case "asynq":
		return 0, time.Second
	}
	return 2 * time.Millisecond, 2 * time.Millisecond
}

// A waited is how long jobs waited, by turn of a system.
type waited map[string][][]float64

func (w waited) percentile(system string, p float64) float64 {
	return percentile(slices.Concat(w[system]...), p)
}

// A latencies is a measurement from push to start on an idle system, by store.
type latencies struct {
	b     *bench
	mu    sync.Mutex
	found map[string]waited
}

func newLatencies(b *bench) *latencies {
	return &latencies{b: b, found: map[string]waited{"postgres": {}, "redis": {}}}
}

// ours measures our system in turns with what a wake-up and a claim take.
func (l *latencies) ours(ctx context.Context) error {
	turns, each := l.b.sizeOf(10, 2), l.b.sizeOf(200, 60)
	for range turns {
		for _, store := range []string{"postgres", "redis"} {
			for _, system := range []string{own, "bare"} {
				if err := l.turn(ctx, system, store, each); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// peer measures a peer, which waits for most of the time: so many of it side by side, each in a store of its own.
func (l *latencies) peer(ctx context.Context, system, store string, times, each int) error {
	together := make([]func() error, times)
	for i := range together {
		together[i] = func() error { return l.turn(ctx, system, store, each) }
	}
	return sideBySide(together...)
}

func (l *latencies) turn(ctx context.Context, system, store string, jobs int) error {
	waits, err := l.b.waits(ctx, system, store, jobs)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found[store][system] = append(l.found[store][system], waits)
	return nil
}

func (l *latencies) report() {
	l.b.waitRows("PostgreSQL", "river", l.found["postgres"])
	l.b.waitRows("Redis", "asynq", l.found["redis"])
}

// waits measures so many jobs in a store of their own.
func (b *bench) waits(ctx context.Context, system, store string, jobs int) ([]float64, error) {
	at, err := b.beside(ctx, system, store)
	if err != nil {
		return nil, err
	}
	defer at.drop()
	t := sample.Task{System: system, Store: store, Do: "latency", URL: at.url, Jobs: jobs, Size: 100}
	t.Rest, t.Spread = rest(system)
	s, err := b.measured(ctx, t)
	return s.Waits, err
}

func (b *bench) waitRows(title, peer string, w waited) {
	for _, p := range []float64{50, 99, 99.9} {
		for _, system := range []string{own, peer, "bare"} {
			var rounds []float64
			for _, turn := range w[system] {
				rounds = append(rounds, percentile(turn, p))
			}
			label, note := system, fmt.Sprintf("%d samples", len(slices.Concat(w[system]...)))
			if system == "bare" {
				label = "bare wake-up and claim"
			}
			b.report.addAll(fmt.Sprintf("%s: push to start, idle, p%v", title, p), label, "ms", note, w.percentile(system, p), rounds)
		}
	}
	ours := w.percentile(own, 99)
	b.report.aim(title+": push to start, p99, more than bare, ms", 3, ours-w.percentile("bare", 99), true)
	b.report.aim(title+": push to start, p99, part of "+peer+"'s", 1, ours/w.percentile(peer, 99), true)
}
