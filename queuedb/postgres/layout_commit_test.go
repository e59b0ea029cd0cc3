package postgres_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/runner"
)

// relax has claims in one statement commit without waiting for the disk until the benchmark ends.
func relax(b *testing.B) {
	const end = "+ $9::bigint as now\n"
	text := postgres.Statements["pop"]
	relaxed := strings.Replace(text, end, end+"where set_config('synchronous_commit', 'off', true) = 'off'\n", 1)
	if relaxed == text {
		b.Fatalf("pop.sql has no %q", end)
	}
	postgres.Statements["pop"] = relaxed
	b.Cleanup(func() { postgres.Statements["pop"] = text })
}

// BenchmarkLayoutCommit compares claims that wait for the disk with claims that do not: one job at a time, 50 at a
// time, and whole runners. Pushes and settlements always wait.
func BenchmarkLayoutCommit(b *testing.B) {
	for _, row := range []struct {
		name string
		run  func(m *meter, schema string)
	}{{"latency", latency}, {"fifties", fifties}, {"runner", runners(1)}, {"runners4", runners(4)}} {
		for _, commit := range []string{"sync", "async"} {
			b.Run(row.name+"/"+commit, func(b *testing.B) {
				schema := newSchema(b)
				m := newMeter(b, schema)
				if commit == "async" {
					relax(b)
				}
				row.run(m, schema)
			})
		}
	}
}

// latency pushes and claims one job at a time.
func latency(m *meter, schema string) {
	be := openSchema(m, &postgres.Options{Schema: schema})
	rs := records(1)
	push(m, be, rs...)
	settle(m, be, outcomes(jobqueue.ActionDone, pop(m, be, 1)...)...)
	var claims, starts []time.Duration
	m.start()
	for range m.N {
		before := time.Now()
		push(m, be, rs...)
		pushed := time.Now()
		cs := pop(m, be, 1)
		claims, starts = append(claims, time.Since(pushed)), append(starts, time.Since(before))
		settle(m, be, outcomes(jobqueue.ActionDone, cs...)...)
	}
	m.stop()
	slices.Sort(claims)
	slices.Sort(starts)
	m.ReportMetric(float64(claims[m.N/2].Microseconds()), "pop-µs")
	m.ReportMetric(float64(starts[m.N/2].Microseconds()), "push+pop-µs")
	m.report(m.N)
}

// fifties claims and settles 50 jobs at a time.
func fifties(m *meter, schema string) {
	const few = 50
	be := openSchema(m, &postgres.Options{Schema: schema})
	for range m.N*few/batch + 1 {
		push(m, be, records(batch)...)
	}
	settle(m, be, outcomes(jobqueue.ActionDone, pop(m, be, few)...)...)
	m.start()
	for range m.N {
		settle(m, be, outcomes(jobqueue.ActionDone, pop(m, be, few)...)...)
	}
	m.stop()
	m.report(m.N * few)
}

// runners runs 1,000 jobs at a time by so many runners with their default options, each with a backend of its own.
func runners(n int) func(*meter, string) {
	return func(m *meter, schema string) {
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job { return &decoded{} }, jobqueue.Policy{})
		groups := make([]*jobqueue.Group, n)
		for i := range groups {
			groups[i] = jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: openSchema(m, &postgres.Options{Schema: schema})})
		}
		be := openSchema(m, &postgres.Options{Schema: schema})
		for range m.N {
			push(m, be, records(batch)...)
		}
		var all sync.WaitGroup
		m.start()
		for _, g := range groups {
			all.Go(func() {
				if _, err := runner.Run(context.Background(), g, reg, nil); err != nil {
					m.Error(err)
				}
			})
		}
		all.Wait()
		m.stop()
		if got := counts(m, be); got.Total() != 0 {
			m.Fatalf("%d jobs are left", got.Total())
		}
		m.report(m.N * batch)
	}
}

// BenchmarkLayoutPooler compares a connection of the backend's own with PgBouncer in either mode, 1,000 jobs of 100 bytes at a time.
func BenchmarkLayoutPooler(b *testing.B) {
	for _, work := range []string{"push", "drain", "runner"} {
		for _, mode := range []string{"direct", "session", "transaction"} {
			b.Run(work+"/"+mode, func(b *testing.B) {
				schema := newSchema(b)
				m := newMeter(b, schema)
				url := server.URL
				if mode != "direct" {
					p, err := server.Pool(mode, 20)
					if err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { p.Stop() })
					url = p.URL
				}
				be, err := postgres.Open(b.Context(), url, &postgres.Options{Schema: schema})
				if err != nil {
					b.Fatal(err)
				}
				defer be.Close()
				reg := &jobqueue.Registry{}
				reg.Add(func() jobqueue.Job { return &decoded{} }, jobqueue.Policy{})
				g := jobqueue.NewGroup(queue.Domain, jobqueue.Routes{Default: be})
				rs := records(batch)
				push(b, be, rs...)
				settle(b, be, outcomes(jobqueue.ActionDone, pop(b, be, batch)...)...)
				if work != "push" {
					for range b.N {
						push(b, be, rs...)
					}
				}
				m.start()
				if work == "runner" {
					if _, err := runner.Run(b.Context(), g, reg, nil); err != nil {
						b.Error(err)
					}
				} else {
					for range b.N {
						if work == "push" {
							push(b, be, rs...)
						} else {
							settle(b, be, outcomes(jobqueue.ActionDone, pop(b, be, batch)...)...)
						}
					}
				}
				m.stop()
				m.report(b.N * batch)
			})
		}
	}
}
