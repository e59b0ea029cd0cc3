package ondemand_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/queuememory"
)

// slowly is work that takes five minutes in one domain.
func slowly(_ context.Context, domain string) (int, error) {
	if domain == "slow" {
		time.Sleep(5 * time.Minute)
	}
	return 0, nil
}

func single(o *ondemand.Options) { o.Concurrent = 1 }

// well fails if the audit finds a fault, where nobody has died.
func well(t *testing.T, s *site) {
	t.Helper()
	all, err := s.leases.All(t.Context())
	if broken := ondemand.Audit(all, s.leases.Rules).Broken(s.leases.Rules); err != nil || broken != nil {
		t.Errorf("the audit says %v, %v", broken, err)
	}
}

// Who does not wait for its turn any more leaves its place on deck.
func TestLeaves(t *testing.T) {
	for name, switched := range map[string]ondemand.Switch{"disabled": {Disabled: true}, "no delay": {NoDelay: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now atomic.Pointer[ondemand.Switch]
				now.Store(&ondemand.Switch{})
				s := newSite(t, queuememory.New(), func(context.Context, string) (int, error) { time.Sleep(70 * time.Second); return 0, nil },
					func(o *ondemand.Options) { o.Switch = func(string) ondemand.Switch { return *now.Load() } })
				s.Poke("wiki")
				synctest.Wait()
				s.Poke("wiki")
				pause(30 * time.Second)
				now.Store(&switched)
				pause(35 * time.Second)
				if r, err := s.leases.Read(t.Context(), "wiki"); err != nil || r.Next.ID != "" || s.Waiting() != 0 {
					t.Errorf("%+v, %v; %d wait", r, err, s.Waiting())
				}
				pause(5 * time.Minute)
				well(t, s)
			})
		})
	}
}

// Whose turn it is where there is no place for it leaves it to another process.
func TestNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := newSite(t, c, slowly, single), newSite(t, c, slowly)
		for _, s := range []*site{a, a, b} {
			s.Poke("wiki")
			synctest.Wait()
		}
		a.Poke("slow")
		pause(3 * time.Minute)
		b.began(t, time.Minute+time.Second)
		well(t, a)
		pause(10 * time.Minute)
	})
}

// Concurrent is kept where domains fall due while their leases are read.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queuememory.New()
		do, most := crowded(10 * time.Second)
		s := newSite(t, &faulty{Control: m, slow: 20 * time.Millisecond}, do, single)
		others := &lease.Store{Control: m}
		domains := []string{"a", "b", "c"}
		for _, d := range domains {
			g, err := others.Take(t.Context(), d, lease.Party{ID: "other"}, false)
			if err == nil {
				err = others.End(t.Context(), d, g.Token, "", 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		pause(50 * time.Second)
		s.Poke("first")
		pause(10*time.Second - 30*time.Millisecond)
		for _, d := range domains {
			s.Poke(d)
		}
		pause(5 * time.Minute)
		if most.Load() != 1 || len(s.runs) != 4 {
			t.Errorf("%d of %d ran at once", most.Load(), len(s.runs))
		}
	})
}

// Who is first in line for a place is the next, however many come.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		s := newSite(t, &faulty{Control: queuememory.New(), slow: 5 * time.Millisecond}, func(_ context.Context, domain string) (int, error) {
			order = append(order, domain)
			time.Sleep(time.Second)
			return 0, nil
		}, single)
		s.Poke("first")
		pause(100 * time.Millisecond)
		s.Poke("second")
		pause(100 * time.Millisecond)
		for n := range 200 {
			s.Poke(fmt.Sprint("new", n))
			pause(10 * time.Millisecond)
		}
		pause(10 * time.Minute)
		if len(order) != 202 || !slices.Equal(order[:2], []string{"first", "second"}) {
			t.Errorf("%d ran, %q first", len(order), order[:2])
		}
	})
}

// Where a TTL is longer than the interval, who is behind another process does not sleep for it.
func TestLongTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		rules := func(o *ondemand.Options) {
			o.Leases.Rules = lease.Rules{Interval: 10 * time.Second, TTL: 60 * time.Second}
		}
		a, b := newSite(t, c, nothing, rules), newSite(t, c, nothing, rules)
		for _, s := range []*site{a, a, b} {
			s.Poke("wiki")
			synctest.Wait()
		}
		pause(10*time.Second + time.Second/2)
		b.Poke("wiki") // the run of a began at 10 s
		pause(5 * time.Minute)
		a.began(t, 0, 10*time.Second)
		b.began(t, 20*time.Second)
	})
}
