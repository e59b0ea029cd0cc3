package schedule

import (
	"cmp"
	"slices"
)

// Sort puts jobs into the order in which they should begin, by the places that they got in one or more
// deals. Those of a later deal may go before others of an earlier one that have not begun.
func Sort[T any](jobs []T, place func(T) Place) {
	type turn struct {
		slot  float64
		class int
	}
	var turns []turn
	classes := map[int][]T{}
	for _, j := range jobs {
		p := place(j)
		turns = append(turns, turn{p.slot, p.class})
		classes[p.class] = append(classes[p.class], j)
	}
	for _, list := range classes {
		slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(place(a).start, place(b).start) })
	}
	// The class keeps its turns; only, another domain of it may take them.
	slices.SortStableFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.class, b.class))
	})
	for i, t := range turns {
		jobs[i] = classes[t.class][0]
		classes[t.class] = classes[t.class][1:]
	}
}
