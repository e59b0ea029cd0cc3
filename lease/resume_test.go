package lease_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A run that has ended goes on with another token. When the next may begin, and who is next, stays.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New()}
		place := func(p string, want lease.Place) lease.Grant {
			t.Helper()
			g, err := s.Resume(t.Context(), "wiki", lease.Party{ID: p})
			if err != nil || g.Place != want {
				t.Fatalf("%s got %+v, %v", p, g, err)
			}
			return g
		}
		place("a", lease.Refused) // there is no record
		a, err := s.Take(t.Context(), "wiki", lease.Party{ID: "a"}, false)
		if err != nil || a.Place != lease.Current {
			t.Fatalf("%+v, %v", a, err)
		}
		if g := place("b", lease.Refused); g.Wait != time.Minute { // a is at work
			t.Errorf("b is to wait for %v", g.Wait)
		}
		if _, err := s.Take(t.Context(), "wiki", lease.Party{ID: "next"}, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := s.End(t.Context(), "wiki", a.Token, "3 jobs", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		b := place("b", lease.Current)
		if again := place("b", lease.Current); again.Token != b.Token || b.Token <= a.Token || b.Wait != 0 {
			t.Errorf("after %+v %+v, then %+v", a, b, again)
		}
		place("c", lease.Refused) // b is at work
		if err := s.Beat(t.Context(), "wiki", a.Token); !errors.Is(err, lease.ErrStale) {
			t.Errorf("the first beats: %v", err)
		}
		time.Sleep(20 * time.Second)
		if err := s.Beat(t.Context(), "wiki", b.Token); err != nil {
			t.Error(err)
		}
		r, err := s.Read(t.Context(), "wiki")
		if err != nil || r.Started != -40*time.Second || r.NotBefore != 20*time.Second || r.Over || r.Outcome != "" || r.Next.ID != "next" || r.Current.ID != "b" {
			t.Errorf("%+v, %v", r, err)
		}
		if err := s.End(t.Context(), "wiki", b.Token, "1 jobs", time.Second); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		place("c", lease.Refused) // its interval is over
		if err := s.Reset(t.Context(), "wiki"); err != nil {
			t.Fatal(err)
		}
		place("c", lease.Refused)
		if _, err := s.Resume(t.Context(), "wiki", lease.Party{}); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("a party without an id: %v", err)
		}
	})
}

// A run that was resumed took all the time since it began.
func TestResumeTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New()}
		first, err := s.Take(t.Context(), "wiki", lease.Party{ID: "a"}, false)
		if err == nil {
			time.Sleep(40 * time.Second)
			err = s.End(t.Context(), "wiki", first.Token, "jobs", 40*time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		again, err := s.Resume(t.Context(), "wiki", lease.Party{ID: "b"})
		if err != nil || again.Place != lease.Current {
			t.Fatal(again, err)
		}
		time.Sleep(31 * time.Second) // it gives no sign of life
		if g, err := s.Take(t.Context(), "wiki", lease.Party{ID: "c"}, false); err != nil || g.Place != lease.Current {
			t.Fatal(g, err)
		}
		time.Sleep(20 * time.Second)
		if err := s.End(t.Context(), "wiki", again.Token, "late", 51*time.Second); !errors.Is(err, lease.ErrStale) {
			t.Fatal(err)
		}
		r, err := s.Read(t.Context(), "wiki")
		if err != nil || len(r.Past) != 2 || r.Past[0].Took != 101*time.Second || r.Past[1].Gap != 81*time.Second {
			t.Errorf("%+v, %v", r.Past, err)
		}
	})
}
