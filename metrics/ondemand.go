package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wikifarm/jobqueue/ondemand"
)

var (
	onDemandDomains  = desc("ondemand_domains", "Domains that wait for a run on demand in this process, or run.", "state")
	onDemandPokes    = desc("ondemand_pokes_total", "Requests after which a domain had to be run that did not wait for it already.")
	onDemandRuns     = desc("ondemand_runs_total", "Runs on demand by how they ended.", "outcome")
	onDemandRefused  = desc("ondemand_refused_total", "Looks at a lease of which both places were taken.")
	onDemandLaunches = desc("ondemand_launch_failures_total", "Processes for runs that could not be started.")
	onDemandOverruns = desc("ondemand_overruns_total", "Warnings of runs that go on for longer than they should.")
	onDemandLast     = desc("ondemand_last_run_timestamp_seconds", "When a run on demand last ended in this process; 0 if none has.")
)

// OnDemand has a Runner told of.
func (m *Metrics) OnDemand(r *ondemand.Runner) { m.onDemand.Store(r) }

func (m *Metrics) collectOnDemand(ch chan<- prometheus.Metric) {
	r := m.onDemand.Load()
	if r == nil {
		return
	}
	s := r.Stats()
	counter := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(ch, onDemandDomains, float64(s.Waiting), "waiting")
	gauge(ch, onDemandDomains, float64(s.Running), "running")
	counter(onDemandPokes, s.Pokes)
	counter(onDemandRefused, s.Refused)
	counter(onDemandLaunches, s.LaunchFailures)
	counter(onDemandOverruns, s.Overruns)
	for _, outcome := range []string{"ok", "failed", "lost"} {
		counter(onDemandRuns, s.Runs[outcome], outcome)
	}
	last := 0.0
	if !s.Last.IsZero() {
		last = float64(s.Last.UnixMilli()) / 1000
	}
	gauge(ch, onDemandLast, last)
}
