package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// A many is a system with many queues, most of which are empty, and what it showed.
type many struct {
	system, store string
	queues        int
	samples       int

	found *sample.Sample
}

// A queues is a measurement of systems with many queues.
type queues struct {
	b   *bench
	all []*many
}

func newQueues(b *bench) *queues {
	n := b.sizeOf(300, 60)
	return &queues{b: b, all: []*many{
		{system: own, store: "postgres", queues: 2000, samples: n},
		{system: "river", store: "postgres", queues: 2000, samples: b.sizeOf(100, 10)},
		{system: own, store: "redis", queues: 2000, samples: n},
		{system: "asynq", store: "redis", queues: 2000, samples: b.sizeOf(15, 1)},
		{system: own, store: "postgres", queues: 10_000, samples: n},
		{system: own, store: "redis", queues: 10_000, samples: n},
		{system: "asynq", store: "redis", queues: 10_000, samples: b.sizeOf(15, 1)},
	}}
}

// ours measures our system, which only waits, all sizes side by side.
func (q *queues) ours(ctx context.Context) error {
	var together []func() error
	for _, m := range q.all {
		if m.system == own {
			together = append(together, func() error { return q.one(ctx, m) })
		}
	}
	return sideBySide(together...)
}

// peers measures the peers, which look into each queue and so keep the machine busy, one after the other; in a quick run
// side by side.
func (q *queues) peers(ctx context.Context) error {
	var all []func() error
	for _, m := range q.all {
		if m.system != own {
			all = append(all, func() error { return q.one(ctx, m) })
		}
	}
	if q.b.quick {
		return sideBySide(all...)
	}
	for _, do := range all {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (q *queues) one(ctx context.Context, m *many) error {
	t := sample.Task{
		System: m.system, Store: m.store, Do: "idle", Queues: m.queues, Jobs: m.samples, Size: 100,
		Window: time.Duration(q.b.sizeOf(10, 2)) * time.Second,
	}
	t.Rest, t.Spread = rest(m.system)
	at, err := q.b.beside(ctx, t.System, t.Store)
	if err != nil {
		return err
	}
	defer at.drop()
	t.URL = at.url
	s, err := q.b.measured(ctx, t)
	if err == nil {
		m.found = &s
	}
	return err
}

func (q *queues) report() {
	r := &q.b.report
	row := func(m *many, of string) string {
		return fmt.Sprintf("%s: %s queues, most empty, %s", titles[m.store], figure(float64(m.queues)), of)
	}
	const sent = "requests a second while idle"
	for _, m := range q.all {
		if m.found != nil {
			r.add(row(m, sent), m.system, "1/s", "", []float64{m.found.Sent})
		}
	}
	for _, p := range []float64{50, 99} {
		for _, m := range q.all {
			if m.found != nil {
				note := fmt.Sprintf("%d samples", len(m.found.Waits))
				r.add(row(m, fmt.Sprintf("push to start, p%v", p)), m.system, "ms", note, []float64{percentile(m.found.Waits, p)})
			}
		}
	}
	for _, m := range q.all {
		if m.found != nil && m.system == own && m.queues == 10_000 {
			r.aim(row(m, sent), 5, m.found.Sent, true)
			r.aim(row(m, "push to start, p99, ms"), 50, percentile(m.found.Waits, 99), true)
		}
	}
}
