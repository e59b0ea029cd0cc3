package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// Shuffle puts ready queues into a random order, for who serves one of them and remembers nothing. A class is first as often
// as its share says, in it a domain as often as its weight says, and of its types the one that has waited for longest is first.
// Whoever finds a queue to be empty goes on with the next, and the odds of those left are as if it had not been there.
func Shuffle(rng *rand.Rand, p Plan, ready []jobqueue.Backlog) {
	type flow struct {
		class  int
		domain string
	}
	classes := p.classes()
	// The least of times that are exponentially distributed belongs to each as often as its rate says.
	turns := make([]float64, len(classes))
	for i, c := range classes {
		turns[i] = rng.ExpFloat64() / c.share
	}
	flows := map[flow]float64{}
	of := func(q jobqueue.Backlog) flow { return flow{p.class(q.Type, len(classes)), q.Domain} }
	for _, q := range ready {
		if f := of(q); flows[f] == 0 {
			flows[f] = rng.ExpFloat64() / p.weight(q.Domain)
		}
	}
	slices.SortFunc(ready, func(a, b jobqueue.Backlog) int {
		f, g := of(a), of(b)
		return cmp.Or(cmp.Compare(turns[f.class], turns[g.class]), cmp.Compare(f.class, g.class), cmp.Compare(flows[f], flows[g]),
			cmp.Compare(a.Domain, b.Domain), cmp.Compare(b.Age, a.Age), cmp.Compare(a.Type, b.Type))
	})
}
