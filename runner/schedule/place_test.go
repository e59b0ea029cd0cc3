package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A buffer is places that were dealt and have not begun, in their order.
type buffer []*schedule.Place

func (b *buffer) add(places []schedule.Place) {
	for _, p := range places {
		*b = append(*b, &p)
	}
	schedule.Sort(*b, func(p *schedule.Place) *schedule.Place { return p })
}

func (b *buffer) domains() (all string) {
	for _, p := range *b {
		all += p.Domain
	}
	return all
}

// What a domain is charged moves those of its places that were dealt before and after, at once.
func TestCharge(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "a", "t")
	s.Learn(start, name("a", "t"), 4*time.Millisecond)
	s.Learn(start, name("b", "t"), 4*time.Millisecond)
	var b buffer
	b.add(s.Deal(start, 5, all))
	running := *b[0]
	b = b[1:]
	s.Begun(running)
	ready(s, "b", "t")
	b.add(s.Deal(start, 4, all))
	running.Charge(9 * time.Millisecond)
	b.add(s.Deal(start, 3, all))
	// The job of a has used 13 ms, those of b begin at 0, 4, 8 and 12.
	if got, want := b.domains()[:5], "bbbba"; got != want {
		t.Errorf("the order is %s, want %s first", b.domains(), want)
	}
	if first, other := *b[0], *b[4]; !first.Before(other) || schedule.Sorted(slices.Values([]schedule.Place{other, first})) {
		t.Error("a place of a goes before the first of b")
	}
	running.Charge(-11 * time.Millisecond)
	b.add(nil)
	if got, want := b.domains()[:4], "baba"; got != want {
		t.Errorf("the order is %s, want %s first", b.domains(), want)
	}
}

// A domain that is forgotten while a job of it goes on owes for it when it is back.
func TestChargeForgotten(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "long", "t")
	long := s.Deal(start, 1, all)[0]
	s.Begun(long)
	s.Remove(long.Name)
	ready(s, "other", "t")
	deal(s, 100, domainOf, quick)
	for i := range 200 {
		s.Add(start, 1, name(fmt.Sprint("w", i), "t"))
	}
	s.Replace(start, 1, nil)
	if n := s.Known(); n != 1 {
		t.Fatalf("%d domains are known, want 1", n)
	}
	ready(s, "long", "t")
	long.Charge(50 * time.Millisecond)
	if got := deal(s, 40, domainOf, quick)["long"]; got > 1 {
		t.Errorf("who owes 50 places got %d of 40", got)
	}
}

// Places may be charged while others are dealt.
func TestChargeAtOnce(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "a", "t", "b", "t")
	var wait sync.WaitGroup
	var used [2]atomic.Int64
	for range 100 {
		places := s.Deal(start, 10, all)
		for _, p := range places {
			wait.Go(func() {
				p.Charge(time.Millisecond)
				used[p.Domain[0]-'a'].Add(1)
				_ = p.Before(places[0])
			})
		}
	}
	wait.Wait()
	a, b := used[0].Load(), used[1].Load()
	for _, p := range s.Deal(start, 1000, all) {
		if p.Domain == "a" {
			a++
		} else {
			b++
		}
	}
	if a+b != 2000 || !near(int(a), int(b), 1) {
		t.Errorf("they got %d and %d places, want as many", a, b)
	}
}

// However long jobs of a flood take now and then, and whatever was dealt to it ahead: what another domain has
// to do ends when the flood has used as much as that, and a worker has run one more long job.
func TestFlood(t *testing.T) {
	const longest = 100 * time.Millisecond
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		workers, each := 1<<rng.IntN(4), time.Duration(1+rng.IntN(400))*time.Millisecond
		often, row := 1+rng.IntN(100), 1+rng.IntN(5) // so many long ones in a row
		s := schedule.New(seed, schedule.Plan{})
		ready(s, "a", "t")
		type run struct {
			place      schedule.Place
			took, ends time.Duration
		}
		var b buffer
		var running []run
		var now, came time.Duration
		for n, left := 0, 0; came == 0 || left > 0; n++ {
			if n == 100 {
				ready(s, "b", "other")
				came, left = now, 10
				b.add(s.Deal(start, left, func(p schedule.Place) schedule.Answer {
					if p.Domain == "a" {
						return schedule.NoDomain
					}
					return schedule.Admit
				}))
				s.Remove(name("b", "other"))
			}
			if len(b) < 20 {
				b.add(s.Deal(start, 40, all))
			}
			for len(running) < workers {
				r := run{place: *b[0], took: each}
				if r.place.Domain == "a" {
					r.took = time.Duration(1+rng.IntN(5)) * time.Millisecond
					if rng.IntN(often) == 0 || n%often < row {
						r.took = longest
					}
				}
				r.ends = now + r.took
				s.Begun(r.place)
				running, b = append(running, r), b[1:]
			}
			slices.SortFunc(running, func(a, b run) int { return int(a.ends - b.ends) })
			r := running[0]
			running, now = running[1:], r.ends
			r.place.Charge(r.took - r.place.Cost)
			s.Learn(start, r.place.Name, r.took)
			b.add(nil)
			if r.place.Domain == "b" {
				left--
			}
		}
		limit := 2*9*each/time.Duration(workers) + each + longest + 10*time.Millisecond
		if now-came > limit {
			t.Errorf("seed %d: %d workers have done ten jobs of %v after %v, want %v", seed, workers, each, now-came, limit)
		}
	}
}
