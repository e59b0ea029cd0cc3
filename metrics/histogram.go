package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	waitSeconds = desc("wait_seconds", "From the push of a job to its first run, the delay that was asked for included.", "type", "mode")
	runSeconds  = desc("run_seconds", "How long runs took.", "type", "mode")
	runs        = desc("runs_total", "Runs of jobs, by how they went.", "type", "mode", "result")
)

// buckets reach from what a quick job takes to a day.
var buckets = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// shards is how many copies there are of what each job counts, so that processors do not wait for each other.
const shards = 8

// A shard counts runs of a type in one mode.
type shard struct {
	wait    histogram
	ok, bad histogram // how long runs took that went well, and all others
	_       [64]byte  // of another cache line
}

// A histogram costs two additions for each observation, as there are two of a job.
type histogram struct {
	counts [len(buckets) + 1]atomic.Uint64
	micros atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(buckets) && d > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(max(0, d).Microseconds())
}

// A sum is that of histograms.
type sum struct {
	counts [len(buckets) + 1]uint64
	micros int64
}

// add adds a histogram, and returns how much was observed.
func (s *sum) add(h *histogram) (n uint64) {
	for i := range h.counts {
		c := h.counts[i].Load()
		s.counts[i] += c
		n += c
	}
	s.micros += h.micros.Load()
	return n
}

func (s *sum) collect(ch chan<- prometheus.Metric, d *prometheus.Desc, labels ...string) {
	all, upTo := uint64(0), make(map[float64]uint64, len(buckets))
	for i := range buckets {
		all += s.counts[i]
		upTo[buckets[i].Seconds()] = all
	}
	all += s.counts[len(buckets)]
	ch <- prometheus.MustNewConstHistogram(d, all, float64(s.micros)/1e6, upTo, labels...)
}

// collect tells of all runs in a mode.
func (r *mode) collect(ch chan<- prometheus.Metric, typ string) {
	var wait, run sum
	ok := uint64(0)
	for i := range r.shards {
		s := &r.shards[i]
		wait.add(&s.wait)
		ok += run.add(&s.ok)
		run.add(&s.bad)
	}
	wait.collect(ch, waitSeconds, typ, r.where)
	run.collect(ch, runSeconds, typ, r.where)
	for result, n := range map[string]uint64{
		resultOK: ok, resultFailed: r.failed.Load(), resultPutOff: r.putOff.Load(), resultFault: r.fault.Load(), resultLost: r.lost.Load(),
	} {
		ch <- prometheus.MustNewConstMetric(runs, prometheus.CounterValue, float64(n), typ, r.where, result)
	}
}
