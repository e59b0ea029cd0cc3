package metrics

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// stillTime is after how long without a sign of life the loop of a runner counts as stuck.
const stillTime = 2 * time.Minute

// health is what is known of the process itself.
type health struct {
	runs     atomic.Bool // there are runners, which beat
	stopping atomic.Bool
	beaten   atomic.Pointer[time.Time]
}

func (h *health) beat() {
	now := time.Now()
	h.beaten.Store(&now)
}

// Stopping has [Metrics.Ready] say that the process stops, and [Metrics.Healthy] expect no more sign of life.
func (m *Metrics) Stopping() { m.health.stopping.Store(true) }

// Healthy returns nil unless there is a runner whose loop has shown no sign of life for two minutes.
func (m *Metrics) Healthy() error {
	if !m.health.runs.Load() || m.health.stopping.Load() {
		return nil
	}
	if still := time.Since(*m.health.beaten.Load()); still > stillTime {
		return fmt.Errorf("the runner has shown no sign of life for %v", still.Round(time.Second))
	}
	return nil
}

// Gatherer returns these metrics and those of the Go runtime and of the process.
func (m *Metrics) Gatherer() prometheus.Gatherer {
	m.handler.Do(func() {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		m.gather = r
	})
	return m.gather
}

// Handler serves /metrics, /services, /healthz and /readyz. The latter two answer 200 or, with the reason, 503: see
// [Metrics.Healthy] and [Metrics.Ready], where jobs may wait for ten minutes.
func (m *Metrics) Handler() http.Handler { return m.HandlerFor(10 * time.Minute) }

// HandlerFor is Handler with another age for /readyz; 0 allows any.
func (m *Metrics) HandlerFor(maxAge time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: 10}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, m.Healthy()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, m.Ready(r.Context(), maxAge)) })
	mux.HandleFunc("GET /services", m.serveServices)
	return mux
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}
