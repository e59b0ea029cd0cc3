package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads are what came of reading the configuration.
type reloads struct {
	mu    sync.Mutex
	known bool
	good  bool      // the last time
	at    time.Time // of the last good one
}

// Reloaded notes whether the configuration of the process that was read just now is in force: err says why not.
// Until it is called nothing is told of that.
func (m *Metrics) Reloaded(err error) {
	r := &m.reloads
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known, r.good = true, err == nil
	if r.good {
		r.at = time.Now()
	}
}

func (r *reloads) collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return
	}
	gauge(ch, reloadGood, truth(r.good))
	if !r.at.IsZero() {
		gauge(ch, reloadTime, float64(r.at.UnixNano())/1e9)
	}
}
