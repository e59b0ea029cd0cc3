package main

import (
	"context"
	"fmt"
	"os"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// sizeOf returns the size for a whole run or for a quick one.
func (b *bench) sizeOf(whole, quick int) int {
	if b.quick {
		return quick
	}
	return whole
}

// measure measures all rows that were asked for. One that fails is noted, and the others go on.
func (b *bench) measure(ctx context.Context) {
	for _, r := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"postgres", b.postgres},
		{"postgres wal", b.wal},
		{"postgres snapshot", b.snapshot},
		{"postgres million", b.million},
		{"postgres singles", func(ctx context.Context) error { return b.singles(ctx, "postgres", "river") }},
		{"redis", b.redisRows},
		{"redis singles", func(ctx context.Context) error { return b.singles(ctx, "redis", "asynq") }},
		{"sqlite", b.sqlite},
		{"memory", b.memory},
		{"latency", b.latency},
		{"queues", b.queues},
		{"kill", b.kill},
	} {
		if !b.only.MatchString(r.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", r.name)
		if err := r.do(ctx); err != nil {
			b.report.Failures = append(b.report.Failures, fmt.Sprintf("%s: %v", r.name, err))
		}
	}
}

// An entrant takes part in a row: how it is called there, and what it is to do.
type entrant struct {
	label string
	task  sample.Task
	jobs  int // instead of those of the row
}

// A cycle is what pushing and draining has shown, by the label of who did it.
type cycle struct {
	push, drain             map[string][]float64
	pushPeak, drainPeak     map[string][]float64
	pushWAL, drainWAL       map[string][]float64 // bytes a job without full-page images, which are in images
	pushImages, drainImages map[string][]float64
}

func newCycle() *cycle {
	m := func() map[string][]float64 { return map[string][]float64{} }
	return &cycle{m(), m(), m(), m(), m(), m(), m(), m()}
}

// cycles has each entrant in turn fill an empty store and drain it, for some rounds.
func (b *bench) cycles(ctx context.Context, store string, rounds, jobs, size int, between func(place) (func(), error), entrants ...entrant) (*cycle, error) {
	c := newCycle()
	for range rounds {
		for _, e := range entrants {
			if err := b.cycle(ctx, c, store, jobs, size, between, e); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func (b *bench) cycle(ctx context.Context, c *cycle, store string, jobs, size int, between func(place) (func(), error), e entrant) error {
	at, err := b.fresh(ctx, store)
	if err != nil {
		return err
	}
	defer at.drop()
	t := e.task
	t.Store, t.URL, t.Size, t.Jobs = store, at.url, size, jobs
	if e.jobs > 0 {
		t.Jobs = e.jobs
	}
	if store == "postgres" {
		// What makes the tables is not measured.
		t.Do = "push"
		empty := t
		empty.Jobs = 0
		if _, err := b.measured(ctx, empty); err != nil {
			return err
		}
	}
	t.Do = "push"
	wal, err := b.walOf(ctx, store)
	if err != nil {
		return err
	}
	if store != "memory" {
		s, err := b.measured(ctx, t)
		if err != nil {
			return err
		}
		c.push[e.label] = append(c.push[e.label], s.Rate())
		c.pushPeak[e.label] = append(c.pushPeak[e.label], s.PeakMiB)
		if err := wal.end(ctx, t.Jobs, e.label, c.pushWAL, c.pushImages); err != nil {
			return err
		}
	}
	if between != nil {
		after, err := between(at)
		if err != nil {
			return err
		}
		defer after()
	}
	t.Do = "drain"
	if wal, err = b.walOf(ctx, store); err != nil {
		return err
	}
	s, err := b.measured(ctx, t)
	if err != nil {
		return err
	}
	c.drain[e.label] = append(c.drain[e.label], s.Rate())
	c.drainPeak[e.label] = append(c.drainPeak[e.label], s.PeakMiB)
	return wal.end(ctx, t.Jobs, e.label, c.drainWAL, c.drainImages)
}

// rates adds the lines of a cycle's pushes and drains.
func (b *bench) rates(store string, c *cycle, entrants ...entrant) {
	for _, e := range entrants {
		b.report.add(store+": push, batches of 1,000", e.label, "jobs/s", "", c.push[e.label])
	}
	for _, e := range entrants {
		b.report.add(store+": drain", e.label, "jobs/s", "", c.drain[e.label])
	}
	for _, e := range entrants {
		if e.task.System != "bare" {
			b.report.add(store+": memory of a draining process", e.label, "MiB", "", c.drainPeak[e.label])
		}
	}
}

const own = "jobqueue" // as a system and as a label

// bareOnes are the loops without runner and decoding, on one connection and on two.
func bareOnes() []entrant {
	return []entrant{
		{label: "bare loop, one", task: sample.Task{System: "bare", Conns: 1}},
		{label: "bare loop, two", task: sample.Task{System: "bare", Conns: 2}},
	}
}

// ceiling is what the better of the bare loops reached in a row.
func (b *bench) ceiling(row string) float64 {
	return max(b.report.of(row, "bare loop, one"), b.report.of(row, "bare loop, two"))
}
