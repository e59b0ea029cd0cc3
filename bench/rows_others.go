package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func (b *bench) redisRows(ctx context.Context) error {
	// With how many workers asynq is fastest depends on the machine.
	best, most := 0, 0.0
	for _, workers := range []int{10, 50, 200, 500} {
		c := newCycle()
		if err := b.cycle(ctx, c, "redis", b.sizeOf(10_000, 1000), 100, nil, entrant{label: "", task: sample.Task{System: "asynq", Workers: workers}}); err != nil {
			return err
		}
		if rate := c.drain[""][0]; rate > most {
			best, most = workers, rate
		}
	}
	asynq := entrant{label: fmt.Sprintf("asynq, %d workers", best), task: sample.Task{System: "asynq", Workers: best}, jobs: b.sizeOf(30_000, 2000)}
	entrants := append([]entrant{{label: own, task: sample.Task{System: own}}, asynq}, bareOnes()...)
	entrants = append(entrants, twice(entrants[0]))
	c, err := b.cycles(ctx, "redis", b.sizeOf(3, 1), b.sizeOf(200_000, 15_000), 100, nil, entrants...)
	if err != nil {
		return err
	}
	b.rates("Redis", c, entrants...)
	r := &b.report
	push, drain := "Redis: push, batches of 1,000", "Redis: drain"
	r.aim("Redis: push, times asynq", 5, r.best(push, own)/r.of(push, asynq.label), false)
	r.aim("Redis: drain, times asynq", 20, r.of(drain, own)/r.of(drain, asynq.label), false)
	r.aim("Redis: drain, part of the bare calls", 0.45, r.of(drain, own)/b.ceiling(drain), false)
	return nil
}

func (b *bench) sqlite(ctx context.Context) error {
	most := time.Until(b.until)
	for _, relaxed := range []bool{false, true} {
		b.until = time.Now().Add(most / 2)
		name := "SQLite, synchronous=FULL"
		if relaxed {
			name = "SQLite, synchronous=NORMAL"
		}
		river := entrant{label: riverTuned, task: sample.Task{System: "riversqlite", Tuned: true}, jobs: b.sizeOf(20_000, 2000)}
		entrants := append([]entrant{
			{label: own, task: sample.Task{System: own}},
			river,
			{label: "backlite, 10 workers", task: sample.Task{System: "backlite"}, jobs: b.sizeOf(500, 60)},
		}, bareOnes()...)
		for i := range entrants {
			entrants[i].task.Relaxed = relaxed
		}
		c, err := b.cycles(ctx, "sqlite", b.sizeOf(3, 1), b.sizeOf(100_000, 10_000), 100, nil, entrants...)
		if err != nil {
			return err
		}
		b.rates(name, c, entrants...)
		drain := name + ": drain"
		b.report.aim(drain+", times River", 10, b.report.of(drain, own)/b.report.of(drain, riverTuned), false)
		b.report.aim(drain+", part of the bare calls", 0.5, b.report.of(drain, own)/b.ceiling(drain), false)
	}
	return nil
}

func (b *bench) memory(ctx context.Context) error {
	channel := entrant{label: "a channel and goroutines", task: sample.Task{System: "channel"}}
	entrants := []entrant{{label: own, task: sample.Task{System: own}}, channel}
	c, err := b.cycles(ctx, "memory", b.sizeOf(5, 2), b.sizeOf(500_000, 50_000), 100, nil, entrants...)
	if err != nil {
		return err
	}
	for _, e := range entrants {
		b.report.add("memory: drain", e.label, "jobs/s", "", c.drain[e.label])
	}
	b.report.aim("memory: drain, part of the channel", 0.4, b.report.of("memory: drain", own)/b.report.of("memory: drain", channel.label), false)
	return nil
}
