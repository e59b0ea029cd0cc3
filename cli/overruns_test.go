package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// A run on demand that goes on for too long is a warning, also where nobody visits.
func TestCheckOverruns(t *testing.T) {
	t.Chdir(t.TempDir())
	b, err := sqlite.Open("jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := (&lease.Store{Control: b}).Take(t.Context(), "wiki", lease.Party{ID: "a", Owner: "web1:7"}, false); err != nil {
		t.Fatal(err)
	}
	checks(t, 0, `"overruns": 0`, "--json", "--no-runners")
	values, err := b.Values(t.Context(), "lease/")
	if err != nil || len(values) != 1 {
		t.Fatal(values, err)
	}
	for over, want := range map[time.Duration]int{20 * time.Second: 0, 40 * time.Second: 1} {
		var r lease.Record
		if err := json.Unmarshal(values[0].Data, &r); err != nil {
			t.Fatal(err)
		}
		r.Started, r.NotBefore = -time.Minute-over, -over // and its last sign of life is of this moment
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := b.SetValue(t.Context(), jobqueue.Value{Key: values[0].Key, Data: data, Version: jobqueue.AnyVersion}); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if want == 0 {
			checks(t, 0, `"overruns": 0`, "--json", "--no-runners")
			continue
		}
		checks(t, 1, `"overruns": 1`, "--json", "--no-runners")
		checks(t, 1, "WARNING: the run on demand of wiki: web1:7 has been at work for 1m40s, which is longer than 1m0s |", "--no-runners")
	}
}
