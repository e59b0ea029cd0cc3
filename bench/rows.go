package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// sizeOf returns the size for a whole run or for a quick one.
func (b *bench) sizeOf(whole, quick int) int {
	if b.quick {
		return quick
	}
	return whole
}

// A section is rows that are measured together.
type section struct {
	name string
	most time.Duration // after which no more rounds begin; each has one
	do   func(context.Context) error
}

// sections returns those whose names match a regular expression.
func (b *bench) sections(only string) (some []section, err error) {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range []section{
		{"postgres", 100 * time.Second, b.postgres},
		{"postgres wal", 10 * time.Second, b.wal},
		{"postgres snapshot", 80 * time.Second, b.snapshot},
		{"postgres million", 0, b.million},
		{"postgres singles", 15 * time.Second, func(ctx context.Context) error { return b.singles(ctx, "postgres", "river") }},
		{"redis", 50 * time.Second, b.redisRows},
		{"redis singles", 15 * time.Second, func(ctx context.Context) error { return b.singles(ctx, "redis", "asynq") }},
		{"sqlite", 40 * time.Second, b.sqlite},
		{"memory", 20 * time.Second, b.memory},
		{"waiting", 0, b.waiting},
	} {
		names = append(names, s.name)
		if wanted.MatchString(s.name) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("nothing is called %q; there are %s", only, strings.Join(names, ", "))
	}
	return some, nil
}

// measure measures what was asked for. A section that fails is noted, and the others go on.
func (b *bench) measure(ctx context.Context) {
	began := time.Now()
	b.report.Command = "make bench"
	if b.quick {
		b.report.Command += " ARGS=--quick"
	}
	defer func() { b.report.Took = "took " + time.Since(began).Round(time.Second).String() }()
	for _, r := range b.some {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "%4.0f s: %s\n", time.Since(began).Seconds(), r.name)
		b.until = time.Now().Add(r.most)
		if err := r.do(ctx); err != nil {
			b.report.Failures = append(b.report.Failures, fmt.Sprintf("%s: %v", r.name, err))
		}
	}
}

// rounds does something so many times, but stops where another round would take too long.
func (b *bench) rounds(most int, round func() error) error {
	for i := range most {
		began := time.Now()
		if err := round(); err != nil {
			return err
		}
		if now := time.Now(); i+1 < most && now.Add(now.Sub(began)).After(b.until) {
			return nil
		}
	}
	return nil
}

// An entrant takes part in a row: how it is called there, and what it is to do.
type entrant struct {
	label string
	task  sample.Task
	jobs  int // instead of those of the row

	pushOnly bool
}

// twice is an entrant of whom two goroutines push, each a batch at a time: while the server works on one, the next is made.
func twice(e entrant) entrant {
	e.label += two
	e.task.Conns, e.pushOnly = 2, true
	return e
}

const two = ", two at a time"

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
	return c, b.rounds(rounds, func() error {
		for _, e := range entrants {
			if err := b.cycle(ctx, c, store, jobs, size, between, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) cycle(ctx context.Context, c *cycle, store string, jobs, size int, between func(place) (func(), error), e entrant) error {
	at, err := b.fresh(ctx, e.task.System, store)
	if err != nil {
		return err
	}
	defer at.drop()
	t := e.task
	t.Store, t.URL, t.Size, t.Jobs = store, at.url, size, jobs
	if e.jobs > 0 {
		t.Jobs = e.jobs
	}
	t.Do = "push"
	if err := b.rest(ctx, store); err != nil {
		return err
	}
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
	if e.pushOnly {
		return nil
	}
	if between != nil {
		after, err := between(at)
		if err != nil {
			return err
		}
		defer after()
	}
	t.Do = "drain"
	if err := b.rest(ctx, store); err != nil {
		return err
	}
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

// Labels of the calls of our backend alone, without runner and decoding.
const (
	bareOne = "bare calls, one at a time"
	bareTwo = "bare calls, two at a time"
)

// bareOnes are loops of bare calls, one and two, each on a connection.
func bareOnes() []entrant {
	return []entrant{
		{label: bareOne, task: sample.Task{System: "bare", Conns: 1}},
		{label: bareTwo, task: sample.Task{System: "bare", Conns: 2}},
	}
}

// best is what a system reached in a row of pushes, from one goroutine or from two.
func (r *report) best(row, system string) float64 {
	one, both := r.of(row, system), r.of(row, system+two)
	if math.IsNaN(both) {
		return one
	}
	return max(one, both)
}

// ceiling is what the better of the bare loops reached in a row.
func (b *bench) ceiling(row string) float64 {
	return max(b.report.of(row, bareOne), b.report.of(row, bareTwo))
}
