package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

func always(int) bool { return true }

func names(pairs ...string) (all []jobqueue.Name) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, jobqueue.Name{Domain: pairs[i], Type: pairs[i+1]})
	}
	return all
}

func TestDeal(t *testing.T) {
	ready := names("big", "a", "big", "b", "big", "c", "small", "a")
	for _, test := range []struct {
		n     int
		admit func(int) bool
		want  []int
	}{
		{0, always, []int{0, 0, 0, 0}},
		{6, always, []int{1, 1, 1, 3}},
		{12, always, []int{2, 2, 2, 6}},
		{6, func(i int) bool { return i != 3 }, []int{2, 2, 2, 0}},
		{100, func(int) bool { return false }, []int{0, 0, 0, 0}},
	} {
		got := schedule.New(1).Deal(ready, test.n, test.admit)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Deal of %d (-want +got):\n%s", test.n, diff)
		}
	}
	if got := schedule.New(1).Deal(nil, 5, always); len(got) != 0 {
		t.Errorf("Deal of nothing = %v", got)
	}
}

// The same seed and questions give the same answers.
func TestSeed(t *testing.T) {
	deals := func(seed uint64) (all [][]int) {
		d := schedule.New(seed)
		for range 50 {
			all = append(all, d.Deal(names("x", "a", "x", "b", "x", "c", "y", "a"), 1, always))
		}
		return all
	}
	if diff := cmp.Diff(deals(1), deals(1)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(deals(1), deals(2)) {
		t.Error("two seeds give the same deals")
	}
}

// With one place a deal, and whatever queues come and go, no domain waits
// for more deals than there are domains, and every queue is served.
func TestNoDomainStarves(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := schedule.New(seed)
		var all []jobqueue.Name
		for i := range 30 {
			for k := range 1 + i%4 {
				all = append(all, jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: fmt.Sprint("type", k)})
			}
		}
		waited := map[string]int{}
		served := map[jobqueue.Name]bool{}
		for range 2000 {
			// Of the others half are ready; wiki7 always is.
			ready := slices.DeleteFunc(slices.Clone(all), func(n jobqueue.Name) bool { return n.Domain != "wiki7" && rng.IntN(2) == 0 })
			rng.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
			shares := d.Deal(ready, 1, always)
			got := slices.Index(shares, 1)
			served[ready[got]] = true
			for _, n := range ready {
				waited[n.Domain]++
			}
			waited[ready[got].Domain] = 0
			if waited["wiki7"] > 4*30 {
				t.Fatalf("seed %d: wiki7 has waited for %d places", seed, waited["wiki7"])
			}
		}
		if len(served) != len(all) {
			t.Errorf("seed %d: %d queues served of %d", seed, len(served), len(all))
		}
	}
}

func BenchmarkDeal(b *testing.B) {
	var ready []jobqueue.Name
	for i := range 10_000 {
		ready = append(ready, jobqueue.Name{Domain: fmt.Sprint("wiki", i), Type: "type"})
	}
	slices.SortFunc(ready, schedule.Compare)
	d := schedule.New(1)
	for b.Loop() {
		d.Deal(ready, 1000, always)
	}
}
