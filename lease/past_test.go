package lease_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuememory"
)

// The history says of each run when it began, how long it was waited for, how long it took and how it ended, also
// of those that died, were reset, or went on when they should not.
func TestPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New(), Rules: lease.Rules{Keep: 4}}
		take := func(id string, waited time.Duration) lease.Grant {
			t.Helper()
			g, err := s.Take(t.Context(), "wiki", lease.Party{ID: id, Owner: "host:1", Waited: waited}, false)
			if err != nil || g.Place != lease.Current {
				t.Fatalf("%+v, %v", g, err)
			}
			return g
		}
		end := func(g lease.Grant, outcome string, took time.Duration, want error) {
			t.Helper()
			if err := s.End(t.Context(), "wiki", g.Token, outcome, took); !errors.Is(err, want) {
				t.Fatalf("End: %v, want %v", err, want)
			}
		}
		a := take("a", 0)
		time.Sleep(10 * time.Second)
		end(a, "3 jobs", 9*time.Second, nil)
		time.Sleep(time.Minute)
		b := take("b", 7*time.Second) // dies
		time.Sleep(2 * time.Minute)
		c := take("c", time.Hour) // beside which b goes on
		if c.Crashed != b.Token || b.Crashed != 0 {
			t.Errorf("crashed: %d and then %d, want 0 and then %d", b.Crashed, c.Crashed, b.Token)
		}
		end(b, "late", 130*time.Second, lease.ErrStale)
		end(b, "later", time.Second, lease.ErrStale)
		if err := s.Reset(t.Context(), "wiki"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		d := take("d", 0)
		want := []lease.Past{
			{Token: a.Token, Owner: "host:1", Took: 9 * time.Second, Outcome: "3 jobs"},
			{Token: b.Token, Owner: "host:1", Gap: 70 * time.Second, Waited: 7 * time.Second, Took: 130 * time.Second, Outcome: lease.Crashed},
			{Token: c.Token, Owner: "host:1", Gap: 2 * time.Minute, Waited: 2 * time.Minute, Took: -1, Outcome: lease.WasReset},
			{Token: d.Token, Owner: "host:1", Took: -1},
		}
		all, err := s.All(t.Context())
		if diff := cmp.Diff(want, all["wiki"].Past); err != nil || diff != "" || len(all) != 1 {
			t.Fatalf("%d domains, %v (-want +got):\n%s", len(all), err, diff)
		}
		end(d, "no-op", 0, nil)
		time.Sleep(time.Minute)
		e := take("e", 0)
		want = append(want[1:], lease.Past{Token: e.Token, Owner: "host:1", Gap: time.Minute, Took: -1})
		want[2].Took, want[2].Outcome = 0, "no-op"
		if r, err := s.Read(t.Context(), "wiki"); err != nil || !cmp.Equal(want, r.Past) {
			t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, r.Past))
		}
	})
}

// A history that is too long for the store loses its oldest runs; no lease is refused for it.
func TestPastFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New(), Rules: lease.Rules{Keep: 1 << 30}}
		const runs = 300
		var last int64
		for range runs {
			g, err := s.Take(t.Context(), "wiki", lease.Party{ID: "a", Owner: strings.Repeat("o", 1000)}, false)
			if err != nil || g.Place != lease.Current {
				t.Fatalf("%+v, %v", g, err)
			}
			if err := s.End(t.Context(), "wiki", g.Token, strings.Repeat("d", 1000), time.Second); err != nil {
				t.Fatal(err)
			}
			last = g.Token
			time.Sleep(time.Minute)
		}
		r, err := s.Read(t.Context(), "wiki")
		if n := len(r.Past); err != nil || n < 50 || n >= runs || r.Past[n-1].Token != last {
			t.Errorf("%d runs are kept of %d, %v", n, runs, err)
		}
	})
}

// The lease of a domain that was not run for 30 days is gone, and its next token is still a new one.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := queuememory.New()
		s := &lease.Store{Control: b}
		a := take(t, s, "a", false)
		if err := s.End(t.Context(), "wiki", a.Token, "done", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*24*time.Hour + time.Second)
		if all, err := s.All(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("there are %v, %v", all, err)
		}
		if g := take(t, s, "b", false); g.Place != lease.Current || g.Token <= a.Token {
			t.Errorf("%+v, want a token above %d", g, a.Token)
		}
	})
}

// What is no lease is left out, and one that cannot be read is a taken one.
func TestAll(t *testing.T) {
	b := queuememory.New()
	s := &lease.Store{Control: b}
	take(t, s, "a", false)
	for _, k := range []string{"lease/9/wiki", "lease/x", "lease/4/odd!"} {
		if _, ok, err := b.SetValue(t.Context(), jobqueue.Value{Key: k, Data: []byte("abc")}); err != nil || !ok {
			t.Fatal(err)
		}
	}
	all, err := s.All(t.Context())
	if err != nil || len(all) != 2 || all["wiki"].Current.ID != "a" || all["odd!"].Wait(lease.Rules{}.WithDefaults()) <= 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
