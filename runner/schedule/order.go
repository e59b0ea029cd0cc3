package schedule

import (
	"cmp"
	"iter"
	"slices"
)

// Before reports whether the job of p should begin before that of q.
func (p Place) Before(q Place) bool {
	if p.class == q.class {
		return p.start < q.start
	}
	return p.slot < q.slot
}

// Beside reports whether two places are of the same domain and class.
func (p Place) Beside(q Place) bool { return p.class == q.class && p.Domain == q.Domain }

// Sorted reports whether jobs with these places are about in the order in which they should begin.
func Sorted(places iter.Seq[Place]) bool {
	var last []Place // by class
	var before Place
	for p := range places {
		for p.class >= len(last) {
			last = append(last, Place{class: len(last)})
		}
		l := &last[p.class]
		if p.class != before.class && p.slot < before.slot || p.start < l.start && !p.Beside(*l) {
			return false
		}
		before, *l = p, p
	}
	return true
}

// Sort puts jobs into the order in which they should begin, by the places that they got in one or more
// deals. Those of a later deal may go before others of an earlier one that have not begun, but not
// if they are of the same domain and class. Each gets the turn at which it stands then.
func Sort[T any](jobs []T, place func(T) *Place) {
	type turn struct {
		at     float64
		class  int
		domain string
	}
	flows := map[turn][]T{} // with no time
	starts := map[int][]turn{}
	var slots []turn
	for _, j := range jobs {
		p := place(j)
		flow := turn{0, p.class, p.Domain}
		flows[flow] = append(flows[flow], j)
		starts[p.class] = append(starts[p.class], turn{p.start, p.class, p.Domain})
		slots = append(slots, turn{p.slot, p.class, ""})
	}
	byTime := func(a, b turn) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.class, b.class)) }
	for _, list := range starts {
		slices.SortStableFunc(list, byTime)
	}
	// The class keeps its turns; only, another domain of it may take them.
	slices.SortStableFunc(slots, byTime)
	for i, s := range slots {
		next := starts[s.class][0]
		starts[s.class] = starts[s.class][1:]
		next.at = 0
		jobs[i], flows[next] = flows[next][0], flows[next][1:]
		place(jobs[i]).slot = s.at
	}
}
