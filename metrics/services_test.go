package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/service"
)

// What services do is told, by name and not by domain, and how often they failed never becomes less.
func TestServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		set := &service.Set{}
		m.Services(set)
		set.Add(service.Service{Name: "link", PerDomain: true, Run: func(ctx context.Context, domain string) error {
			if domain == "bad" {
				return errors.New("no peer")
			}
			<-ctx.Done()
			return nil
		}})
		get := func() map[string]float64 {
			return nonzero(values(t, m, "jobqueue_services", "jobqueue_service_failures_total"))
		}
		if got := get(); len(got) > 0 {
			t.Errorf("before they run: %v", got)
		}
		var domains atomic.Pointer[[]string]
		domains.Store(&[]string{"a", "bad", "c"})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- set.Run(ctx, service.Options{Domains: func() []string { return *domains.Load() }, Logger: quiet()})
		}()
		time.Sleep(2500 * time.Millisecond)
		got := get()
		failed := got["jobqueue_service_failures_total link"]
		if got["jobqueue_services link running"] != 2 || got["jobqueue_services link waiting"] != 1 || failed < 2 || len(got) != 3 {
			t.Errorf("while they run: %v", got)
		}
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/services", nil))
		if text := w.Body.String(); !strings.Contains(text, `{"name":"link","domain":"bad","status":"waiting"`) || !strings.Contains(text, `"error":"no peer"`) {
			t.Errorf("/services: %s", text)
		}
		domains.Store(&[]string{"a"})
		time.Sleep(time.Minute)
		if got := get(); got["jobqueue_services link running"] != 1 || got["jobqueue_service_failures_total link"] < failed || len(got) != 2 {
			t.Errorf("without the domain that failed: %v, of %v failures", got, failed)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
