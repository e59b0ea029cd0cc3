package metrics

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wikifarm/jobqueue"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("jobqueue_"+name, help, labels, nil)
}

// What is read from the stores, and so is the same in every process.
var (
	storeUp       = desc("store_up", "Whether the last look at the store went well.", "store")
	storePartial  = desc("store_incomplete", "Whether the last look at the store lacked a part of it, such as a partition that is away.", "store")
	storeSeen     = desc("store_seen_seconds", "How long ago the store was looked at successfully: how old what follows is.", "store")
	oldestReady   = desc("oldest_ready_seconds", "How long the oldest ready job of a type has waited, in queues that are not paused; 0 without one.", "store", "type")
	readyQueues   = desc("ready_queues", "In how many domains a type has ready jobs, those left out where it is paused.", "store", "type")
	uncovered     = desc("uncovered_queues", "In how many domains a type has ready jobs that no live runner runs.", "store", "type")
	pausedQueues  = desc("paused_queues", "How many queues have ready jobs and are paused.", "store")
	domainOldest  = desc("domain_oldest_ready_seconds", "How long the oldest ready job of a domain has waited, in queues that are not paused; 0 without one.", "store", "domain")
	domainReady   = desc("domain_ready_queues", "How many types have ready jobs in a domain, those that are paused left out.", "store", "domain")
	storedJobs    = desc("stored_jobs", "Jobs by state.", "store", "type", "state")
	domainJobs    = desc("domain_stored_jobs", "Jobs of a domain by state.", "store", "domain", "state")
	controlUp     = desc("control_up", "Whether the last look at what runners, pauses and progress there are went well.")
	liveRunners   = desc("runners", "Live runners, those left out that only end what they run while their process has a newer one.")
	workers       = desc("workers", "How many jobs the live runners can run at once.")
	workersBusy   = desc("workers_busy", "How many jobs ran when the live runners last said it.")
	restingTypes  = desc("resting_types", "Types that rest in some live runner as their handler is at fault.")
	pauses        = desc("pauses", "Pauses in force.")
	sinceProgress = desc("progress_seconds", "How long ago runners last said that a run had ended.")

	// What follows is of the process.
	reloadGood = desc("config_last_reload_successful", "Whether the configuration that was read last is in force.")
	reloadTime = desc("config_last_reload_success_timestamp_seconds", "When the configuration was last read successfully.")
)

var descs = []*prometheus.Desc{
	onDemandDomains, onDemandPokes, onDemandRuns, onDemandRefused, onDemandLaunches, onDemandOverruns, onDemandLast,
	services, serviceFailures, waitSeconds, runSeconds, runs, storeUp, storePartial, storeSeen, oldestReady, readyQueues, uncovered, pausedQueues, domainOldest, domainReady, storedJobs, domainJobs,
	controlUp, liveRunners, workers, workersBusy, restingTypes, pauses, sinceProgress,
	reloadGood, reloadTime,
}

// Describe is of [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.vecs.all {
		c.Describe(ch)
	}
	for _, d := range descs {
		ch <- d
	}
}

// Collect is of [prometheus.Collector]. It waits for stores a second at most; of one that does not
// answer it tells what it said last.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	if s := m.sight.Load(); s != nil {
		s.look(context.Background())
		m.collectFarm(ch, s)
		for _, st := range s.stores {
			m.collectStore(ch, s, st)
		}
	}
	m.reloads.collect(ch)
	m.collectServices(ch)
	m.collectOnDemand(ch)
	for _, c := range m.vecs.all {
		c.Collect(ch)
	}
	for _, k := range m.types.all() {
		for _, p := range []*atomic.Pointer[mode]{&k.async, &k.inline} {
			if r := p.Load(); r != nil {
				r.collect(ch, k.name)
			}
		}
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

func (m *Metrics) collectFarm(ch chan<- prometheus.Metric, s *sight) {
	seen := s.farm.Last()
	if seen.Value.unknown || seen.Err == nil && seen.At.IsZero() {
		return
	}
	gauge(ch, controlUp, truth(seen.Err == nil))
	if seen.Err != nil {
		return
	}
	all, busy, resting := 0, 0, map[string]bool{}
	runners := 0
	for _, p := range seen.Value.runners {
		busy += p.Busy
		if p.Older {
			continue
		}
		runners++
		all += p.Workers
		for typ := range p.Faults {
			resting[typ] = true
		}
	}
	gauge(ch, liveRunners, float64(runners))
	gauge(ch, workers, float64(all))
	gauge(ch, workersBusy, float64(busy))
	gauge(ch, restingTypes, float64(len(resting)))
	gauge(ch, pauses, float64(len(seen.Value.pauses)))
	if seen.Value.worked {
		gauge(ch, sinceProgress, seen.Value.idle.Seconds())
	}
}

func (m *Metrics) collectStore(ch chan<- prometheus.Metric, s *sight, st *watched) {
	seen := st.queues.Last()
	gauge(ch, storeUp, truth(seen.Away() == nil && !seen.At.IsZero()), st.Name)
	if !seen.At.IsZero() {
		gauge(ch, storePartial, truth(seen.Part() != nil), st.Name)
		gauge(ch, storeSeen, time.Since(seen.At).Seconds(), st.Name)
		gauge(ch, pausedQueues, float64(seen.Value.paused), st.Name)
		control := !s.farm.Last().Value.unknown
		for _, k := range m.types.all() {
			t, ok := seen.Value.types[k]
			if !ok {
				if s.group.Backend(k.name) != st.Backend {
					continue
				}
				t = &summary{}
			}
			gauge(ch, oldestReady, t.oldest.Seconds(), st.Name, k.name)
			gauge(ch, readyQueues, float64(t.queues), st.Name, k.name)
			if control {
				gauge(ch, uncovered, float64(t.uncovered), st.Name, k.name)
			}
		}
		for _, d := range m.domains.all() {
			sum := seen.Value.domains[d]
			if sum == nil {
				sum = &summary{}
			}
			gauge(ch, domainOldest, sum.oldest.Seconds(), st.Name, d.name)
			gauge(ch, domainReady, float64(sum.queues), st.Name, d.name)
		}
	}
	if st.counts == nil {
		return
	}
	counted := st.counts.Last()
	if counted.At.IsZero() {
		return
	}
	for _, k := range m.types.all() {
		c := counted.Value.types[k]
		if c == nil && s.group.Backend(k.name) != st.Backend {
			continue
		}
		if c == nil {
			c = &jobqueue.Counts{} // What is gone is none, not unknown.
		}
		states(ch, storedJobs, c, st.Name, k.name)
	}
	for _, d := range m.domains.all() {
		c := counted.Value.domains[d]
		if c == nil {
			c = &jobqueue.Counts{}
		}
		states(ch, domainJobs, c, st.Name, d.name)
	}
}

// states tells how many jobs there are in each state.
func states(ch chan<- prometheus.Metric, d *prometheus.Desc, c *jobqueue.Counts, store, of string) {
	for state, n := range map[jobqueue.State]int{jobqueue.Ready: c.Ready, jobqueue.Delayed: c.Delayed, jobqueue.Claimed: c.Claimed, jobqueue.Abandoned: c.Abandoned} {
		gauge(ch, d, float64(n), store, of, state.String())
	}
}
