// Package schedule decides which queues a runner asks next. It does no I/O and
// reads no clock: the same seed and the same questions give the same answers,
// so that it can be simulated.
package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A Dealer shares out places for jobs over the queues that have work: to one domain
// after the other, however many jobs or types each has, and within a domain to one type after
// the other. A deal begins at the domain after the one at which the last deal ended,
// so that no domain starves even if every deal has a single place.
//
// A Dealer is not safe for concurrent use.
type Dealer struct {
	rand *rand.Rand
	last string // the domain that got the last place
}

// New returns a Dealer. The seed decides with which type a domain begins.
func New(seed uint64) *Dealer {
	return &Dealer{rand: rand.New(rand.NewPCG(seed, seed))}
}

// A turn is a domain in a deal, with the places of its queues in the question.
type turn struct {
	domain string
	queues []int
	next   int
}

// Deal gives out at most n places to the queues in ready, and returns how many each
// got. It asks admit before each place; a queue that is not admitted gets no more in this deal.
func (d *Dealer) Deal(ready []jobqueue.Name, n int, admit func(i int) bool) []int {
	shares := make([]int, len(ready))
	for turns := d.turns(ready); n > 0 && len(turns) > 0; {
		still := turns[:0]
		for _, t := range turns {
			if n == 0 {
				break
			}
			if i, ok := t.place(admit); ok {
				shares[i]++
				n--
				d.last = t.domain
				still = append(still, t)
			}
		}
		turns = still
	}
	return shares
}

// turns returns the domains in the order in which they are served.
func (d *Dealer) turns(ready []jobqueue.Name) []turn {
	order := make([]int, len(ready))
	for i := range order {
		order[i] = i
	}
	if !slices.IsSortedFunc(ready, Compare) {
		slices.SortFunc(order, func(i, j int) int { return Compare(ready[i], ready[j]) })
	}
	turns := make([]turn, 0, len(ready))
	for k := 0; k < len(order); {
		domain, from := ready[order[k]].Domain, k
		for k < len(order) && ready[order[k]].Domain == domain {
			k++
		}
		queues := order[from:k:k]
		// A fixed first type could be the only one that is ever served,
		// if each deal ends before the second.
		turns = append(turns, turn{domain, queues, d.rand.IntN(len(queues))})
	}
	first, _ := slices.BinarySearchFunc(turns, d.last, func(t turn, last string) int {
		if t.domain <= last {
			return -1
		}
		return 1
	})
	return slices.Concat(turns[first:], turns[:first])
}

// Compare orders names by domain, then by type. A deal over names in this order is quicker.
func Compare(a, b jobqueue.Name) int {
	if c := cmp.Compare(a.Domain, b.Domain); c != 0 {
		return c
	}
	return cmp.Compare(a.Type, b.Type)
}

// place gives one place to the domain's next queue that is admitted.
func (t *turn) place(admit func(int) bool) (int, bool) {
	for len(t.queues) > 0 {
		if t.next >= len(t.queues) {
			t.next = 0
		}
		i := t.queues[t.next]
		if admit(i) {
			t.next++
			return i, true
		}
		t.queues = slices.Delete(t.queues, t.next, t.next+1)
	}
	return 0, false
}
