package schedule_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func name(domain, typ string) jobqueue.Name { return jobqueue.Name{Domain: domain, Type: typ} }

// ready says that queues have just become ready; the argument is domain, type, domain, type, …
func ready(s *schedule.Dealer, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		s.Add(start, 0, name(pairs[i], pairs[i+1]))
	}
}

func all(schedule.Place) schedule.Answer { return schedule.Admit }

// deal begins so many places one by one, each as soon as it is dealt, and counts them by a key.
func deal(s *schedule.Dealer, n int, key func(jobqueue.Name) string, took func(jobqueue.Name) time.Duration) map[string]int {
	got := map[string]int{}
	for range n {
		for _, p := range s.Deal(start, 1, all) {
			s.Begun(p)
			got[key(p.Name)]++
			p.Charge(took(p.Name) - p.Cost)
			s.Learn(start, p.Name, took(p.Name))
		}
	}
	return got
}

func domainOf(n jobqueue.Name) string   { return n.Domain }
func typeOf(n jobqueue.Name) string     { return n.Type }
func quick(jobqueue.Name) time.Duration { return time.Millisecond }
func near(got, want, within int) bool   { return got >= want-within && got <= want+within }
func counts(places []schedule.Place) (n map[jobqueue.Name]int) {
	n = map[jobqueue.Name]int{}
	for _, p := range places {
		n[p.Name]++
	}
	return n
}

// A domain has no more of the places for having more types, and within it one type has no more than another.
func TestDomainsThenTypes(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "big", "a", "big", "b", "big", "c", "small", "a")
	got := counts(s.Deal(start, 12, all))
	want := map[jobqueue.Name]int{name("big", "a"): 2, name("big", "b"): 2, name("big", "c"): 2, name("small", "a"): 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Domains get as much time, not as many places, and weights multiply it.
func TestTime(t *testing.T) {
	s := schedule.New(1, schedule.Plan{Weight: func(domain string) float64 {
		return map[string]float64{"heavy": 3, "odd": -1}[domain]
	}})
	ready(s, "slow", "a", "quick", "a", "heavy", "a", "odd", "a")
	got := deal(s, 5100, domainOf, func(n jobqueue.Name) time.Duration {
		if n.Domain == "slow" {
			return 10 * time.Millisecond
		}
		return time.Millisecond
	})
	if !near(got["slow"], 100, 3) || !near(got["quick"], 1000, 30) || !near(got["odd"], 1000, 30) || !near(got["heavy"], 3000, 90) {
		t.Errorf("places = %v, want slow 100, quick 1000, odd 1000, heavy 3000", got)
	}
}

// The type that has waited for longest goes first, and none hides another.
func TestAge(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	s.Replace(start, 0, []jobqueue.Backlog{
		{Name: name("w", "new"), Age: time.Second}, {Name: name("w", "old"), Age: time.Hour}, {Name: name("w", "older"), Age: 2 * time.Hour},
	})
	var order []string
	for i := range 6 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		order = append(order, s.Deal(now, 1, all)[0].Type)
		// That the oldest job of a type is still very old gives it nothing.
		s.Replace(now, 0, []jobqueue.Backlog{
			{Name: name("w", "new")}, {Name: name("w", "old"), Age: time.Hour}, {Name: name("w", "older"), Age: 2 * time.Hour},
		})
	}
	if want := []string{"older", "old", "new", "older", "old", "new"}; !slices.Equal(order, want) {
		t.Errorf("types were served in the order %v, want %v", order, want)
	}
}

// Whatever a class has to do, the others get their shares; a class without work leaves its to them.
func TestClasses(t *testing.T) {
	plan := schedule.Plan{Shares: []float64{6, 3, 1}, Class: func(typ string) int { return int(typ[0] - 'a') }}
	for _, test := range []struct {
		types string
		want  map[string]int
	}{
		{"abc", map[string]int{"a": 600, "b": 300, "c": 100}},
		{"ac", map[string]int{"a": 857, "c": 143}},
		{"c", map[string]int{"c": 1000}},
		{"xc", map[string]int{"x": 500, "c": 500}}, // a class there is not is the nearest
	} {
		s := schedule.New(1, plan)
		for _, typ := range test.types {
			ready(s, fmt.Sprint("of-", typ), string(typ))
			if typ == 'c' { // a class gets no more for having more domains
				ready(s, "other", "c")
			}
		}
		got := deal(s, 1000, typeOf, quick)
		for typ, want := range test.want {
			if typ == "x" || test.types == "xc" {
				continue
			}
			if !near(got[typ], want, 10) {
				t.Errorf("%s: places = %v, want %v", test.types, got, test.want)
			}
		}
	}
	s := schedule.New(1, schedule.Plan{Shares: []float64{0, 1}, Class: func(string) int { return -7 }})
	ready(s, "w", "t")
	if got := s.Deal(start, 2, all); len(got) != 2 {
		t.Errorf("a plan that makes no sense deals %v", got)
	}
}

// Who was without work begins with what is to be served next: at once, and not with what it might have had.
func TestNewcomer(t *testing.T) {
	plan := schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int { return int(typ[0] - 'a') }}
	s := schedule.New(1, plan)
	for i := range 20 {
		ready(s, fmt.Sprint("w", i), "b")
	}
	deal(s, 10_000, domainOf, quick)
	ready(s, "late", "b")
	if got := deal(s, 21, domainOf, quick)["late"]; got < 1 || got > 2 {
		t.Errorf("a new domain got %d of 21 places, want 1", got)
	}
	if got := deal(s, 210, domainOf, quick)["late"]; !near(got, 10, 1) {
		t.Errorf("a new domain got %d of 210 places, want 10", got)
	}
	ready(s, "w0", "a")
	if got := deal(s, 1, typeOf, quick)["a"]; got != 1 {
		t.Errorf("a more urgent class does not get the first place")
	}
	s.Remove(name("late", "b"))
	deal(s, 1000, domainOf, quick)
	ready(s, "late", "b")
	s.Remove(name("w0", "a"))
	if got := deal(s, 210, domainOf, quick)["late"]; !near(got, 10, 1) {
		t.Errorf("a domain that is back got %d of 210 places, want 10", got)
	}
}

// What takes longer than expected is paid for, and ten minutes later forgiven.
func TestDebt(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "owes", "a", "other", "a")
	deal(s, 100, domainOf, quick)
	charge := func(more time.Duration) {
		p := s.Extra(start, name("owes", "a"))
		p.Charge(more)
	}
	charge(50 * time.Millisecond)
	if got := deal(s, 40, domainOf, quick); got["owes"] > 1 {
		t.Errorf("who owes 50 places got %d of 40", got["owes"])
	}
	if got := deal(s, 100, domainOf, quick); !near(got["owes"], 45, 2) {
		t.Errorf("who owed 10 places got %d of 100, want 45", got["owes"])
	}
	charge(-20 * time.Millisecond)
	if got := deal(s, 20, domainOf, quick); got["owes"] < 19 {
		t.Errorf("who was charged 20 places too much got %d of 20", got["owes"])
	}
	charge(time.Hour)
	both := []jobqueue.Backlog{{Name: name("owes", "a")}, {Name: name("other", "a")}}
	s.Replace(start.Add(10*time.Minute), 0, both)
	if got := deal(s, 20, domainOf, quick); got["owes"] != 0 {
		t.Errorf("who owes an hour got %d of 20 places", got["owes"])
	}
	s.Replace(start.Add(10*time.Minute+1), 0, both)
	if got := deal(s, 20, domainOf, quick); !near(got["owes"], 10, 1) {
		t.Errorf("who is forgiven got %d of 20 places, want 10", got["owes"])
	}
}

// Who was alone for long, with jobs that go on and on, does not pay for it when others come.
func TestAlone(t *testing.T) {
	plan := schedule.Plan{Shares: []float64{9, 1}, Class: func(typ string) int { return int(typ[0] - 'a') }}
	s := schedule.New(1, plan)
	ready(s, "alone", "b")
	deal(s, 100, domainOf, quick)
	alone := s.Extra(start, name("alone", "b"))
	alone.Charge(8 * time.Hour)
	s.Caught(start)
	ready(s, "other", "b", "urgent", "a")
	// They begin a second before, by their shares: 900 ms of the class and 1 s of the domain.
	got := deal(s, 1200, domainOf, quick)
	if got["other"] == 0 || got["urgent"] < 1000 {
		t.Errorf("places = %v, want most for the more urgent one, which was without", got)
	}
	got = deal(s, 20_000, domainOf, quick)
	if n := got["alone"] + got["other"]; !near(n, 2000, 100) || got["alone"] < 400 {
		t.Errorf("places = %v, want 2,000 for the less urgent two, and some for each", got)
	}
}

// What is not admitted gets no place in this deal, and its turn in the next.
func TestAdmit(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	ready(s, "v", "a", "v", "b", "w", "a", "w", "b", "x", "a")
	asked := 0
	got := counts(s.Deal(start, 60, func(n schedule.Place) schedule.Answer {
		asked++
		switch {
		case n.Type == "a":
			return schedule.NoType
		case n.Domain == "v":
			return schedule.NoDomain
		}
		return schedule.Admit
	}))
	if diff := cmp.Diff(map[jobqueue.Name]int{name("w", "b"): 60}, got); diff != "" || asked != 62 {
		t.Errorf("asked %d times, want 62; places (-want +got):\n%s", asked, diff)
	}
	if got := s.Deal(start, 5, func(schedule.Place) schedule.Answer { return schedule.NoType }); got != nil {
		t.Errorf("nothing is admitted, and %v dealt", got)
	}
	if got := counts(s.Deal(start, 3, all)); got[name("w", "b")] > 0 || got[name("v", "a")]+got[name("v", "b")] == 0 || got[name("x", "a")] == 0 {
		t.Errorf("after that the places go to %v, want v and x first", got)
	}
}

// Replace replaces what is ready of a source, and no other.
func TestReplace(t *testing.T) {
	s := schedule.New(1, schedule.Plan{})
	s.Replace(start, 0, []jobqueue.Backlog{{Name: name("v", "a")}, {Name: name("w", "a")}, {Name: name("v", "a")}})
	s.Replace(start, 1, []jobqueue.Backlog{{Name: name("v", "b")}})
	s.Add(start, 0, name("x", "a"))
	s.Add(start, 0, name("x", "a"))
	check := func(want ...jobqueue.Name) {
		t.Helper()
		got := counts(s.Deal(start, 60, all))
		n := 0
		for _, queues := range s.Ready() {
			n += queues
		}
		if len(got) != len(want) || n != len(want) {
			t.Errorf("%d ready, dealt to %v, want %v", n, got, want)
		}
		for _, n := range want {
			if got[n] == 0 {
				t.Errorf("dealt to %v, want %v", got, want)
			}
		}
	}
	check(name("v", "a"), name("w", "a"), name("v", "b"), name("x", "a"))
	s.Remove(name("v", "a"))
	s.Remove(name("v", "a"))
	s.Remove(name("nobody", "a"))
	s.Remove(name("v", "nothing"))
	check(name("w", "a"), name("v", "b"), name("x", "a"))
	s.Replace(start, 0, []jobqueue.Backlog{{Name: name("v", "a")}})
	check(name("v", "a"), name("v", "b"))
	s.Replace(start, 1, nil)
	check(name("v", "a"))
	s.Replace(start, 0, nil)
	check()
}

// The same seed and calls give the same places, another seed others.
func TestSeed(t *testing.T) {
	deals := func(seed uint64) (all []jobqueue.Name) {
		s := schedule.New(seed, schedule.Plan{})
		for i := range 20 {
			ready(s, fmt.Sprint("w", i), "a")
		}
		for _, p := range s.Deal(start, 20, func(schedule.Place) schedule.Answer { return schedule.Admit }) {
			all = append(all, p.Name)
		}
		return all
	}
	if diff := cmp.Diff(deals(1), deals(1)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(deals(1), deals(2)) {
		t.Error("two seeds give the same places")
	}
}

// A deal of 1,000 places over 100,000 queues.
func BenchmarkDeal(b *testing.B) {
	s := schedule.New(1, schedule.Plan{})
	list := make([]jobqueue.Backlog, 100_000)
	for i := range list {
		list[i].Name = name(fmt.Sprint("wiki", i/3), fmt.Sprint("type", i%3))
	}
	s.Replace(start, 0, list)
	b.Run("deal", func(b *testing.B) {
		for b.Loop() {
			s.Begun(s.Deal(start, 1000, all)[999])
		}
	})
	b.Run("replace", func(b *testing.B) {
		for b.Loop() {
			s.Replace(start, 0, list)
		}
	})
}
