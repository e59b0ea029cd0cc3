package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// However domains come and go and jobs differ, who has work all the time is served in turn.
func TestComingAndGoing(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := schedule.New(seed, schedule.Plan{})
		ready(s, "always", "a")
		waited := 0
		for range 20_000 {
			n := name(fmt.Sprint("wiki", rng.IntN(30)), fmt.Sprint("type", rng.IntN(3)))
			switch rng.IntN(3) {
			case 0:
				s.Add(start, 0, n)
			case 1:
				s.Remove(n)
			}
			p := s.Deal(start, 1, all)[0]
			s.Begun(p)
			s.Learn(start, p.Name, time.Duration(1+rng.IntN(20))*time.Millisecond)
			if waited++; p.Domain == "always" {
				waited = 0
			}
			// Of two domains one is served at most as often as its cost is lower.
			if waited > 20*31 {
				t.Fatalf("seed %d: not served for %d places", seed, waited)
			}
		}
	}
}

// Domains without work are forgotten: those that owe nothing soon, the others after a while.
func TestForget(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "always", "a")
	for i := range 100_000 {
		n := name(fmt.Sprint("w", i), "a")
		now := start.Add(time.Duration(i) * 10 * time.Millisecond)
		s.Add(now, 1, n)
		for _, p := range s.Deal(now, 2, all) {
			s.Begun(p)
		}
		p := s.Extra(now, n)
		p.Charge(time.Duration(i%2) * time.Hour)
		s.Remove(n)
		if i%10 == 0 {
			s.Replace(now, 1, nil)
		}
	}
	// Half of those of the last ten minutes owe something.
	if n := s.Known(); n > 120_000 || n < 25_000 {
		t.Errorf("%d domains are known, want about 30,000 to 60,000", n)
	}
	later := start.Add(time.Hour)
	for i := range 2 {
		for k := range 70_000 {
			s.Add(later, 1, name(fmt.Sprint("other", k), "a"))
		}
		s.Replace(later, 1, nil)
		if n := s.Known(); i == 1 && n > 10 {
			t.Errorf("%d domains are known of those without work", n)
		}
	}
}

// Types without work are forgotten after a while, however many there are and whoever has other work all the time.
func TestForgetTypes(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "always", "a")
	now := start
	for i := range 50_000 {
		now = start.Add(time.Duration(i) * 100 * time.Millisecond)
		n := name("always", fmt.Sprint("t", i))
		s.Add(now, 1, n)
		for _, p := range s.Deal(now, 2, all) {
			s.Begun(p)
		}
		s.Learn(now, n, time.Millisecond)
		s.Remove(n)
		if i%100 == 0 {
			s.Replace(now, 1, nil)
		}
	}
	// 6,000 came in the last ten minutes.
	if types, queues := s.KnownTypes(); types > 20_000 || types < 6000 || queues != types {
		t.Errorf("%d types of %d queues are known, want 6,000 to 12,000", types, queues)
	}
	if got := s.Deal(now, 2, all); len(got) != 2 || got[0].Type != "a" {
		t.Errorf("places = %v, want two of a", got)
	}
}
