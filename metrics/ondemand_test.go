package metrics_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// What runs on demand did is told, how they ended, and what waits.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		get := func() map[string]float64 {
			return nonzero(values(t, m, "jobqueue_ondemand_domains", "jobqueue_ondemand_runs_total", "jobqueue_ondemand_pokes_total",
				"jobqueue_ondemand_refused_total", "jobqueue_ondemand_overruns_total", "jobqueue_ondemand_launch_failures_total", "jobqueue_ondemand_last_run_timestamp_seconds"))
		}
		if got := get(); len(got) > 0 {
			t.Errorf("without a runner: %v", got)
		}
		leases := &lease.Store{Control: queuememory.New()}
		fail := true
		r := ondemand.New(ondemand.Options{Leases: leases, Logger: quiet(), Work: []ondemand.Work{{Name: "jobs", Do: func(context.Context, string) (int, error) {
			if fail {
				fail = false
				return 0, errors.New("no luck")
			}
			time.Sleep(2 * time.Minute)
			return 1, nil
		}}}})
		defer r.Close(context.Background())
		m.OnDemand(r)
		r.Poke("wiki")
		synctest.Wait()
		at := float64(time.Now().UnixMilli()) / 1000
		r.Poke("wiki")
		r.Poke("wiki")
		synctest.Wait()
		want := map[string]float64{"jobqueue_ondemand_runs_total failed": 1, "jobqueue_ondemand_pokes_total": 2, "jobqueue_ondemand_domains waiting": 1,
			"jobqueue_ondemand_last_run_timestamp_seconds": at}
		if diff := cmp.Diff(want, get()); diff != "" {
			t.Errorf("while it waits (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute + 91*time.Second)
		want = map[string]float64{"jobqueue_ondemand_runs_total failed": 1, "jobqueue_ondemand_pokes_total": 2, "jobqueue_ondemand_domains running": 1,
			"jobqueue_ondemand_last_run_timestamp_seconds": at, "jobqueue_ondemand_overruns_total": 1}
		if diff := cmp.Diff(want, get()); diff != "" {
			t.Errorf("while it runs (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		if got := get(); got["jobqueue_ondemand_runs_total ok"] != 1 || got["jobqueue_ondemand_domains running"] != 0 {
			t.Errorf("after it: %v", got)
		}
	})
}
