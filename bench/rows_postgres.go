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
		{label: own, task: sample.Task{System: "jobqueue"}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}, bareOnes()...)
	c, err := b.cycles(ctx, "postgres", b.sizeOf(3, 1), b.sizeOf(200_000, 20_000), 100, nil, entrants...)
	if err != nil {
		return err
	}
	slow := entrant{riverDefault, sample.Task{System: "river"}, b.sizeOf(5000, 2000)}
	if err := b.cycle(ctx, c, "postgres", 0, 100, nil, slow); err != nil {
		return err
	}
	delete(c.push, riverDefault)
	b.rates("PostgreSQL", c, append(entrants, slow)...)
	r := &b.report
	push, drain := "PostgreSQL: push, batches of 1,000", "PostgreSQL: drain"
	r.aim("PostgreSQL: push, times River", 2.5, r.of(push, own)/r.of(push, riverTuned), false)
	r.aim("PostgreSQL: drain, times River at its benchmark's settings", 4, r.of(drain, own)/r.of(drain, riverTuned), false)
	r.aim("PostgreSQL: drain, times River at its defaults", 50, r.of(drain, own)/r.of(drain, riverDefault), false)
	r.aim("PostgreSQL: drain, part of the bare loop", 0.55, r.of(drain, own)/b.ceiling(drain), false)
	return nil
}

// wal measures the bytes of log for small and for large jobs.
func (b *bench) wal(ctx context.Context) error {
	entrants := []entrant{
		{label: own, task: sample.Task{System: "jobqueue"}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	for _, size := range []int{100, 2000} {
		jobs := b.sizeOf(50_000, 10_000)
		c, err := b.cycles(ctx, "postgres", b.sizeOf(2, 1), jobs, size, nil, entrants...)
		if err != nil {
			return err
		}
		row := fmt.Sprintf("PostgreSQL: log of %d byte jobs", size)
		sum := map[string]float64{}
		for _, e := range entrants {
			for i := range c.pushWAL[e.label] {
				sum[e.label] = max(sum[e.label], c.pushWAL[e.label][i]+c.drainWAL[e.label][i])
			}
			b.report.add(row+", push", e.label, "B/job", images(c.pushImages[e.label]), c.pushWAL[e.label])
		}
		for _, e := range entrants {
			b.report.add(row+", drain", e.label, "B/job", images(c.drainImages[e.label]), c.drainWAL[e.label])
		}
		if size == 100 {
			b.report.aim(row+", part of River's", 0.25, sum[own]/sum[riverTuned], true)
		} else {
			b.report.aim(row+", more than the parameters", 700, sum[own]-float64(size), true)
		}
	}
	return nil
}

func images(rounds []float64) string {
	return fmt.Sprintf("and %s B/job of full-page images", figure(percentile(rounds, 100)))
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
		{label: own, task: sample.Task{System: "jobqueue"}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	jobs, rounds := b.sizeOf(300_000, 30_000), b.sizeOf(2, 1)
	without, with := newCycle(), newCycle()
	for range rounds {
		for _, e := range entrants {
			if err := b.cycle(ctx, without, "postgres", jobs, 100, nil, e); err != nil {
				return err
			}
			if err := b.cycle(ctx, with, "postgres", jobs, 100, func(at place) (func(), error) { return holdSnapshot(ctx, at.url) }, e); err != nil {
				return err
			}
		}
	}
	row, held := fmt.Sprintf("PostgreSQL: drain of %s", figure(float64(jobs))), "the same, an old snapshot held"
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
		{label: own, task: sample.Task{System: "jobqueue"}},
		{label: riverTuned, task: sample.Task{System: "river", Tuned: true}},
	}
	jobs := b.sizeOf(1_000_000, 50_000)
	c, err := b.cycles(ctx, "postgres", 1, jobs, 100, nil, entrants...)
	for _, e := range entrants {
		b.report.add(fmt.Sprintf("PostgreSQL: drain of %s", figure(float64(jobs))), e.label, "jobs/s", "", c.drain[e.label])
	}
	return err
}

// singles pushes jobs one by one from many goroutines.
func (b *bench) singles(ctx context.Context, store, peer string) error {
	row := store + ": single pushes from 50 goroutines"
	rates := map[string][]float64{}
	jobs := map[string]int{"postgres": b.sizeOf(20_000, 3000), "redis": b.sizeOf(50_000, 5000)}[store]
	for range b.sizeOf(3, 1) {
		for _, system := range []string{own, peer} {
			at, err := b.fresh(ctx, store)
			if err != nil {
				return err
			}
			t := sample.Task{System: system, Store: store, URL: at.url, Do: "push", Size: 100}
			if store == "postgres" { // for the tables
				if _, err := b.measured(ctx, t); err != nil {
					return err
				}
			}
			t.Do, t.Jobs = "singles", jobs
			s, err := b.measured(ctx, t)
			if err != nil {
				return err
			}
			rates[system] = append(rates[system], s.Rate())
			at.drop()
		}
	}
	b.report.add(row, own, "jobs/s", "", rates[own])
	b.report.add(row, peer, "jobs/s", "", rates[peer])
	return nil
}
