package metrics_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue/metrics"
)

// What came of reading the configuration is told, and when it last went well.
func TestReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const good, at = "jobqueue_config_last_reload_successful", "jobqueue_config_last_reload_success_timestamp_seconds"
		m := metrics.New(metrics.Options{})
		want := map[string]float64{}
		check := func() {
			t.Helper()
			if diff := cmp.Diff(want, values(t, m, good, at)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		check()
		for _, err := range []error{nil, errors.New("typo"), nil} {
			time.Sleep(time.Minute)
			m.Reloaded(err)
			if want[good] = 0; err == nil {
				want[good], want[at] = 1, float64(time.Now().Unix())
			}
			check()
		}
	})
}
