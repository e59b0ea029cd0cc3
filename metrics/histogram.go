package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	waitSeconds = desc("wait_seconds", "From the push of a job to its first run, the delay that was asked for included.", "type", "mode")
	runSeconds  = desc("run_seconds", "How long runs took.", "type", "mode")
)

// buckets reach from what a quick job takes to a day.
var buckets = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
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

func (h *histogram) collect(ch chan<- prometheus.Metric, d *prometheus.Desc, labels ...string) {
	all, upTo := uint64(0), make(map[float64]uint64, len(buckets))
	for i := range buckets {
		all += h.counts[i].Load()
		upTo[buckets[i].Seconds()] = all
	}
	all += h.counts[len(buckets)].Load()
	ch <- prometheus.MustNewConstHistogram(d, all, float64(h.micros.Load())/1e6, upTo, labels...)
}
