package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue/bench/sample"
)

const (
	riverDefault = "River, its defaults, 100 workers"
	riverTuned   = "River, its benchmark's settings"
)

func (b *bench) postgres(ctx context.Context) error {
	entrants := append([]entrant{
		{label: own, task: sample.Task{System: own}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}, bareOnes()...)
	entrants = append(entrants, twice(entrants[0]), twice(entrants[1]))
	c, err := b.cycles(ctx, "postgres", b.sizeOf(3, 1), b.sizeOf(200_000, 15_000), 100, nil, entrants...)
	if err != nil {
		return err
	}
	slow := entrant{label: riverDefault, task: sample.Task{System: "river"}, jobs: b.sizeOf(5000, 1000)}
	if err := b.cycle(ctx, c, "postgres", 0, 100, nil, slow); err != nil {
		return err
	}
	delete(c.push, riverDefault)
	b.rates("PostgreSQL", c, append(entrants, slow)...)
	r := &b.report
	row := "PostgreSQL: log, 100 B parameters"
	b.logs(row, c, entrants[:2]...)
	r.aim(row+", part of River's", 0.25, b.logOf(row, own)/b.logOf(row, riverTuned), true)
	push, drain := "PostgreSQL: push, batches of 1,000", "PostgreSQL: drain"
	r.aim("PostgreSQL: push, times River", 2.5, r.best(push, own)/r.best(push, riverTuned), false)
	r.aim("PostgreSQL: drain, times River at its benchmark's settings", 4, r.of(drain, own)/r.of(drain, riverTuned), false)
	r.aim("PostgreSQL: drain, times River at its defaults", 50, r.of(drain, own)/r.of(drain, riverDefault), false)
	r.aim("PostgreSQL: drain, part of the bare calls", 0.55, r.of(drain, own)/b.ceiling(drain), false)
	return nil
}

// wal measures the log of large jobs, which cannot be compressed.
func (b *bench) wal(ctx context.Context) error {
	entrants := []entrant{
		{label: own, task: sample.Task{System: own}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	const size = 2000
	c, err := b.cycles(ctx, "postgres", b.sizeOf(2, 1), b.sizeOf(50_000, 5000), size, nil, entrants...)
	if err != nil {
		return err
	}
	row := "PostgreSQL: log, 2 KB parameters"
	b.logs(row, c, entrants...)
	b.report.aim(row+", more than the parameters, B", 700, b.logOf(row, own)-size, true)
	return nil
}

// logs adds the lines of what cycles have logged.
func (b *bench) logs(row string, c *cycle, entrants ...entrant) {
	for _, e := range entrants {
		b.report.add(row+", push", e.label, "B/job", images(c.pushImages[e.label]), c.pushWAL[e.label])
	}
	for _, e := range entrants {
		b.report.add(row+", drain", e.label, "B/job", images(c.drainImages[e.label]), c.drainWAL[e.label])
	}
}

func images(rounds []float64) string {
	return fmt.Sprintf("and up to %s B/job of full-page images", figure(percentile(rounds, 100)))
}

// logOf is what a system has logged in a row for a job, from its push to its end.
func (b *bench) logOf(row, label string) float64 {
	return b.report.of(row+", push", label) + b.report.of(row+", drain", label)
}

// A logged is where the log of a server stood; nil if it has none.
type logged struct {
	b    *bench
	from string
}

// walOf begins to measure the log, just after a checkpoint.
func (b *bench) walOf(ctx context.Context, store string) (*logged, error) {
	if store != "postgres" {
		return nil, nil
	}
	l := &logged{b: b}
	if _, err := b.admin.Exec(ctx, "checkpoint"); err != nil {
		return nil, err
	}
	return l, b.admin.QueryRow(ctx, "select pg_current_wal_insert_lsn()").Scan(&l.from)
}

// end adds what has been written since.
func (l *logged) end(ctx context.Context, jobs int, label string, records, images map[string][]float64) error {
	if l == nil || jobs == 0 {
		return nil
	}
	var record, image float64
	if _, err := l.b.admin.Exec(ctx, "create extension if not exists pg_walinspect"); err != nil {
		return err
	}
	err := l.b.admin.QueryRow(ctx, `select coalesce(sum(record_size), 0), coalesce(sum(fpi_size), 0)
from pg_get_wal_stats($1::pg_lsn, pg_current_wal_flush_lsn())`, l.from).Scan(&record, &image)
	records[label] = append(records[label], record/float64(jobs))
	images[label] = append(images[label], image/float64(jobs))
	return err
}

// snapshot drains while a transaction sees how it was before.
func (b *bench) snapshot(ctx context.Context) error {
	entrants := []entrant{
		{label: own, task: sample.Task{System: own}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	jobs, rounds := b.sizeOf(300_000, 15_000), b.sizeOf(2, 1)
	without, with := newCycle(), newCycle()
	err := b.rounds(rounds, func() error {
		for _, e := range entrants {
			if err := b.cycle(ctx, without, "postgres", jobs, 100, nil, e); err != nil {
				return err
			}
			if err := b.cycle(ctx, with, "postgres", jobs, 100, func(at place) (func(), error) { return holdSnapshot(ctx, at.url) }, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	row := fmt.Sprintf("PostgreSQL: drain of %s", figure(float64(jobs)))
	held := row + ", an old snapshot held"
	for _, e := range entrants {
		b.report.add(row, e.label, "jobs/s", "", without.drain[e.label])
	}
	for _, e := range entrants {
		b.report.add(held, e.label, "jobs/s", "", with.drain[e.label])
	}
	b.report.aim("PostgreSQL: drain with an old snapshot held, part of without", 0.8, b.report.of(held, own)/b.report.of(row, own), false)
	return nil
}

// holdSnapshot keeps a transaction open that has looked at the database.
func holdSnapshot(ctx context.Context, url string) (func(), error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, "begin isolation level repeatable read; select count(*) from pg_class")
	return func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		c.Close(stop)
	}, err
}

func (b *bench) million(ctx context.Context) error {
	entrants := []entrant{
		{label: own, task: sample.Task{System: own}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	jobs := b.sizeOf(1_000_000, 20_000)
	c, err := b.cycles(ctx, "postgres", 1, jobs, 100, nil, entrants...)
	for _, e := range entrants {
		b.report.add(fmt.Sprintf("PostgreSQL: drain of %s", figure(float64(jobs))), e.label, "jobs/s", "", c.drain[e.label])
	}
	return err
}

// singles pushes jobs one by one from many goroutines.
func (b *bench) singles(ctx context.Context, store, peer string) error {
	row := titles[store] + ": single pushes from 50 goroutines"
	rates := map[string][]float64{}
	jobs := map[string]int{"postgres": b.sizeOf(20_000, 3000), "redis": b.sizeOf(50_000, 5000)}[store]
	err := b.rounds(b.sizeOf(3, 1), func() error {
		for _, system := range []string{own, peer} {
			at, err := b.fresh(ctx, system, store)
			if err != nil {
				return err
			}
			s, err := b.measured(ctx, sample.Task{System: system, Store: store, URL: at.url, Do: "singles", Jobs: jobs, Size: 100})
			at.drop()
			if err != nil {
				return err
			}
			rates[system] = append(rates[system], s.Rate())
		}
		return nil
	})
	for _, system := range []string{own, peer} {
		b.report.add(row, system, "jobs/s", "", rates[system])
	}
	return err
}
