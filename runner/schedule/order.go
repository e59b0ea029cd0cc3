package schedule

import (
	"cmp"
	"iter"
	"slices"
)

// Before reports whether the job of p should begin before that of q, by what their domains and classes have used.
func (p Place) Before(q Place) bool {
	pSlot, pStart := p.begins()
	qSlot, qStart := q.begins()
	if p.flow.class == q.flow.class {
		return pStart < qStart
	}
	return pSlot < qSlot
}

// Sorted reports whether jobs with these places are about in the order in which they should begin.
func Sorted(places iter.Seq[Place]) bool {
	type turn struct {
		slot, start float64
		flow        *flow
	}
	var last []turn // by class
	var before turn
	for p := range places {
		slot, start := p.begins()
		t := turn{slot, start, p.flow}
		for p.flow.class.index >= len(last) {
			last = append(last, turn{start: ahead})
		}
		l := &last[p.flow.class.index]
		if before.flow != nil && before.flow.class != t.flow.class && t.slot < before.slot || t.start < l.start && t.flow != l.flow {
			return false
		}
		before, *l = t, t
	}
	return true
}

// Sort puts jobs into the order in which they should begin, by the places that they got in one or more
// deals. Those of a later deal may go before others of an earlier one that have not begun, but not
// if they are of the same domain and class. Each gets the turn at which it stands then.
func Sort[T any](jobs []T, place func(T) *Place) {
	type turn struct {
		at   float64
		slot float64
		flow *flow
	}
	flows := map[*flow][]T{}
	starts := map[*class][]turn{}
	var slots []turn
	for _, j := range jobs {
		p := place(j)
		slot, start := p.begins()
		flows[p.flow] = append(flows[p.flow], j)
		starts[p.flow.class] = append(starts[p.flow.class], turn{at: start, flow: p.flow})
		slots = append(slots, turn{slot, p.slot, p.flow})
	}
	byTime := func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.flow.class.index, b.flow.class.index))
	}
	for _, list := range starts {
		slices.SortStableFunc(list, byTime)
	}
	// The class keeps its turns; only, another domain of it may take them.
	slices.SortStableFunc(slots, byTime)
	for i, s := range slots {
		c := s.flow.class
		next := starts[c][0].flow
		starts[c] = starts[c][1:]
		jobs[i], flows[next] = flows[next][0], flows[next][1:]
		place(jobs[i]).slot = s.slot
	}
}
