package aggregator_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A farm is two backends with an aggregator. The type "x" is in one that may fail.
type farm struct {
	*jobqueue.Group
	hints aggregator.Memory
	away  error
}

func newFarm() *farm {
	f := new(farm)
	x := queuetest.Faulty(queuememory.New(), func(string) error { return f.away })
	f.Group = jobqueue.NewGroup("home", jobqueue.Routes{
		Default: queuememory.New(), Types: map[string]jobqueue.Backend{"x": x},
	})
	return f
}

func (f *farm) push(t *testing.T, s jobqueue.Spec) {
	t.Helper()
	if _, err := f.Push(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func (f *farm) sweep(t *testing.T, want aggregator.Swept) {
	t.Helper()
	if got, err := aggregator.Sweep(t.Context(), f.Group, &f.hints); got != want || err != nil {
		t.Fatalf("Sweep = %+v, %v, want %+v", got, err, want)
	}
}

// entries returns what the aggregator has, as domain/type.
func (f *farm) entries(t *testing.T) (all []string) {
	t.Helper()
	for q := range f.hints.Ready(t.Context()) {
		all = append(all, q.Name.String())
	}
	slices.Sort(all)
	return all
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.sweep(t, aggregator.Swept{})
		f.push(t, jobqueue.Spec{Domain: "en", Type: "x"})
		f.push(t, jobqueue.Spec{Domain: "de", Type: "y"})
		f.push(t, jobqueue.Spec{Domain: "fr", Type: "y", Delay: time.Minute})
		f.sweep(t, aggregator.Swept{Added: 2})
		if got, want := f.entries(t), []string{"de/y", "en/x"}; !slices.Equal(got, want) {
			t.Errorf("entries are %v, want %v", got, want)
		}
		f.sweep(t, aggregator.Swept{})

		time.Sleep(time.Minute) // The delayed job is due.
		f.sweep(t, aggregator.Swept{Added: 1})
		claims, err := f.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour},
			jobqueue.Want{Name: jobqueue.Name{Domain: "de", Type: "y"}, Max: 1})
		if len(claims) != 1 || err != nil {
			t.Fatalf("Pop = %v, %v", claims, err)
		}
		f.sweep(t, aggregator.Swept{Cleared: 1})
		if got, want := f.entries(t), []string{"en/x", "fr/y"}; !slices.Equal(got, want) {
			t.Errorf("entries are %v, want %v", got, want)
		}
	})
}

// What a backend that is away holds is not forgotten; the others are swept all the same.
func TestSweepBackendAway(t *testing.T) {
	f := newFarm()
	f.push(t, jobqueue.Spec{Domain: "en", Type: "x"})
	f.push(t, jobqueue.Spec{Domain: "de", Type: "y"})
	if err := f.hints.Notify(t.Context(), queue("en"), jobqueue.Backlog{Name: jobqueue.Name{Domain: "old", Type: "y"}}); err != nil {
		t.Fatal(err)
	}
	f.away = fmt.Errorf("%w: gone", jobqueue.ErrUnavailable)
	got, err := aggregator.Sweep(t.Context(), f.Group, &f.hints)
	if want := (aggregator.Swept{Added: 1, Cleared: 1, Kept: 1}); got != want || !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("Sweep = %+v, %v, want %+v", got, err, want)
	}
	if got, want := f.entries(t), []string{"de/y", "en/x"}; !slices.Equal(got, want) {
		t.Errorf("entries are %v, want %v", got, want)
	}
}

// Ages that went wrong are put right.
func TestSweepAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.push(t, jobqueue.Spec{Domain: "en", Type: "x"})
		wrong := queue("en")
		wrong.Age = time.Hour
		if err := f.hints.Notify(t.Context(), wrong); err != nil {
			t.Fatal(err)
		}
		f.sweep(t, aggregator.Swept{Aged: 1})
		for q := range f.hints.Ready(t.Context()) {
			if q.Age > time.Second {
				t.Errorf("the age is %v", q.Age)
			}
		}
	})
}

// A notification that comes while a sweep asks the backends is not cleared by it.
func TestSweepNewer(t *testing.T) {
	f := newFarm()
	var once bool
	b := queuetest.Faulty(queuememory.New(), func(op string) error {
		if op == "ready" && !once {
			once = true
			return errors.Join(f.hints.Notify(t.Context(), queue("en")))
		}
		return nil
	})
	f.Group = jobqueue.NewGroup("home", jobqueue.Routes{Default: b})
	if err := f.hints.Notify(t.Context(), queue("en")); err != nil {
		t.Fatal(err)
	}
	f.sweep(t, aggregator.Swept{Cleared: 1})
	if got := f.entries(t); !slices.Equal(got, []string{"en/x"}) {
		t.Errorf("entries are %v: the newer notification is lost", got)
	}
	f.sweep(t, aggregator.Swept{Cleared: 1})
	if got := f.entries(t); len(got) != 0 {
		t.Errorf("entries are %v, want none", got)
	}
}

// Of those who take turns one sweeps, and another when its turn is over.
func TestSweepInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFarm()
		f.push(t, jobqueue.Spec{Type: "a"})
		turn := func(who string, want aggregator.Swept) {
			t.Helper()
			if got, err := aggregator.SweepInTurn(t.Context(), f.Group, &f.hints, who); got != want || err != nil {
				t.Fatalf("SweepInTurn = %+v, %v, want %+v", got, err, want)
			}
		}
		turn("one", aggregator.Swept{Added: 1})
		f.push(t, jobqueue.Spec{Type: "b"})
		turn("two", aggregator.Swept{})
		time.Sleep(2500 * time.Millisecond)
		turn("two", aggregator.Swept{Added: 1})
	})
}
