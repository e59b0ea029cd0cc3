package schedule_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// The first of shuffled queues is of each class and domain as often as the plan says, and the oldest of its types;
// so is the first of those that are left when some turn out to be empty.
func TestShuffle(t *testing.T) {
	queue := func(domain, typ string, age time.Duration) jobqueue.Backlog {
		return jobqueue.Backlog{Name: jobqueue.Name{Domain: domain, Type: typ}, Age: age}
	}
	ready := []jobqueue.Backlog{
		queue("a", "mail", time.Second), queue("a", "new", time.Hour), queue("b", "mail", 0),
		queue("a", "low", 0), queue("c", "low", 0), queue("d", "low", 0), queue("d", "lower", time.Minute),
	}
	plan := schedule.Plan{
		Shares: []float64{60, 30, 20},
		Class: func(typ string) int {
			if typ == "mail" || typ == "new" {
				return 0
			}
			return 2 // nothing is in the one between
		},
		Weight: func(domain string) float64 {
			if domain == "a" {
				return 3
			}
			return 0 // 1
		},
	}
	for _, test := range []struct {
		empty string
		want  map[string]float64
	}{
		{"", map[string]float64{"a/new": 0.75 * 0.75, "b/mail": 0.75 * 0.25, "a/low": 0.25 * 0.6, "c/low": 0.25 * 0.2, "d/lower": 0.25 * 0.2}},
		{"a/new a/low", map[string]float64{"a/mail": 0.75 * 0.75, "b/mail": 0.75 * 0.25, "c/low": 0.25 * 0.5, "d/lower": 0.25 * 0.5}},
		{"a/new a/mail b/mail", map[string]float64{"a/low": 0.6, "c/low": 0.2, "d/lower": 0.2}},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		const rounds = 20_000
		got := map[string]float64{}
		for range rounds {
			list := slices.Clone(ready)
			schedule.Shuffle(rng, plan, list)
			i := slices.IndexFunc(list, func(q jobqueue.Backlog) bool { return !slices.Contains(strings.Fields(test.empty), q.Name.String()) })
			got[list[i].Name.String()] += 1.0 / rounds
		}
		for name := range got {
			if _, ok := test.want[name]; !ok {
				t.Errorf("without %q: %s is chosen", test.empty, name)
			}
		}
		for name, want := range test.want {
			if math.Abs(got[name]-want) > 0.015 {
				t.Errorf("without %q: %s is chosen in %.3f of the cases, want %.3f", test.empty, name, got[name], want)
			}
		}
	}
}
