package metrics

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wikifarm/jobqueue/service"
)

var (
	services        = desc("services", "Services of this process by what they do, one for each domain where they are for each.", "service", "status")
	serviceFailures = desc("service_failures_total", "Calls of services that failed.", "service")
)

// Services has those of a set told of: how many do what, and how often they failed. [Metrics.Handler] then serves
// /services, too, where each stands, as JSON.
func (m *Metrics) Services(set *service.Set) { m.services.Store(set) }

func (m *Metrics) collectServices(ch chan<- prometheus.Metric) {
	set := m.services.Load()
	if set == nil {
		return
	}
	type doing struct {
		name   string
		status service.Status
	}
	sums := map[doing]int{}
	for _, s := range set.States() {
		sums[doing{s.Name, s.Status}]++
	}
	for name, n := range set.Failures() {
		ch <- prometheus.MustNewConstMetric(serviceFailures, prometheus.CounterValue, float64(n), name)
		for _, status := range []service.Status{service.Running, service.Waiting, service.Ending, service.Over, service.Elsewhere} {
			gauge(ch, services, float64(sums[doing{name, status}]), name, string(status))
		}
	}
}

func (m *Metrics) serveServices(w http.ResponseWriter, _ *http.Request) {
	all := []service.State{}
	if set := m.services.Load(); set != nil {
		all = append(all, set.States()...)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// An error is one of the connection.
	_ = json.NewEncoder(w).Encode(struct {
		Services []service.State `json:"services"`
	}{all})
}
