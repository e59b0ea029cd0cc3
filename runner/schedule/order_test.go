package schedule_test

import (
	"slices"
	"testing"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Jobs begin in the order of the places; later ones with better rights go before earlier ones.
func TestSort(t *testing.T) {
	plan := schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int { return int(typ[0] - 'a') }}
	s := schedule.New(1, plan)
	ready(s, "w", "b")
	first := s.Deal(start, 1, all)
	s.Begun(first[0])
	var buffer []*schedule.Place
	deal := func(n int) {
		for _, p := range s.Deal(start, n, all) {
			buffer = append(buffer, &p)
		}
	}
	deal(4)
	order := func() (list []string) {
		schedule.Sort(buffer, func(p *schedule.Place) *schedule.Place { return p })
		if last := buffer[len(buffer)-1]; last.Before(*buffer[0]) {
			t.Errorf("the last place, %v, goes before the first, %v", last, buffer[0])
		}
		for _, p := range buffer {
			list = append(list, p.Domain+p.Type)
		}
		return list
	}
	ready(s, "x", "b")
	deal(2)
	got := order()
	// x has the same rights as w, which has begun one.
	if want := []string{"xb", "wb", "xb", "wb", "wb", "wb"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	ready(s, "y", "a")
	deal(3)
	got = order()
	if want := []string{"ya", "ya", "ya", "xb", "wb", "xb", "wb", "wb", "wb"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}
