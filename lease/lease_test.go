package lease_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuememory"
)

func take(t *testing.T, s *lease.Store, id string, onDeck bool) lease.Grant {
	t.Helper()
	g, err := s.Take(t.Context(), "wiki", lease.Party{ID: id, Owner: "test"}, onDeck)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New()}
		a := take(t, s, "a", true)
		b := take(t, s, "b", true)
		c := take(t, s, "c", true)
		if a.Place != lease.Current || b.Place != lease.OnDeck || b.Wait != time.Minute || c.Place != lease.Refused {
			t.Fatalf("three came: %+v, %+v, %+v", a, b, c)
		}
		if g := take(t, s, "a", true); g != a {
			t.Errorf("the holder asked again and got %+v, want %+v", g, a)
		}
		before, err := s.Read(t.Context(), "wiki")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.End(t.Context(), "wiki", a.Token, "done", time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Second)
		if g := take(t, s, "b", true); g.Place != lease.OnDeck || g.Wait != time.Second {
			t.Errorf("a second too early: %+v, want to wait for it on deck", g)
		}
		time.Sleep(time.Second)
		if g := take(t, s, "b", true); g.Place != lease.Current || g.Token <= before.Token {
			t.Errorf("after the interval: %+v, want a token above %d", g, before.Token)
		}
		if err := s.Check(t.Context(), "wiki", a.Token); !errors.Is(err, lease.ErrStale) {
			t.Errorf("Check of the first: %v, want %v", err, lease.ErrStale)
		}
	})
}

// A holder that beats is never taken over, one that does not is, and what it writes late is refused.
func TestLiveness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lease.Store{Control: queuememory.New()}
		a := take(t, s, "a", false)
		for range 20 {
			time.Sleep(29 * time.Second)
			if err := s.Beat(t.Context(), "wiki", a.Token); err != nil {
				t.Fatal(err)
			}
			if g := take(t, s, "b", false); g.Place != lease.Refused {
				t.Fatalf("beside a living holder: %+v", g)
			}
		}
		time.Sleep(30*time.Second + time.Microsecond)
		if g := take(t, s, "b", false); g.Place != lease.Current {
			t.Fatalf("after a dead holder: %+v", g)
		}
		if err := s.End(t.Context(), "wiki", a.Token, "late", time.Second); !errors.Is(err, lease.ErrStale) {
			t.Errorf("End: %v, want %v", err, lease.ErrStale)
		}
	})
}

// What cannot be read counts as taken, is mended once, and fences who had the lease before.
func TestGarbage(t *testing.T) {
	for _, garbage := range []string{"", "abc def", "{}", "null", `{"token":-3}`, `{"token":1,"beat":9223372036854775807}`, "\xff"} {
		t.Run(strconv.Quote(garbage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := queuememory.New()
				s := &lease.Store{Control: c, Logger: slog.New(slog.NewTextHandler(&log, nil))}
				a := take(t, s, "a", false)
				if _, ok, err := c.SetValue(t.Context(), jobqueue.Value{Key: "lease/4/wiki", Data: []byte(garbage), Version: jobqueue.AnyVersion}); err != nil || !ok {
					t.Fatal(ok, err)
				}
				if err := s.End(t.Context(), "wiki", a.Token, "done", time.Second); !errors.Is(err, lease.ErrStale) {
					t.Errorf("End: %v, want %v", err, lease.ErrStale)
				}
				time.Sleep(time.Minute - time.Microsecond)
				if g := take(t, s, "b", false); g.Place != lease.Refused {
					t.Errorf("at first: %+v", g)
				}
				time.Sleep(time.Microsecond)
				if g := take(t, s, "b", false); g.Place != lease.Current || g.Token <= a.Token {
					t.Errorf("after the interval: %+v, want a token above %d", g, a.Token)
				}
				if n := strings.Count(log.String(), "could not be read"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, &log)
				}
			})
		})
	}
}

func TestLeave(t *testing.T) {
	s := &lease.Store{Control: queuememory.New()}
	take(t, s, "a", true)
	take(t, s, "b", true)
	for _, id := range []string{"c", "b"} {
		if err := s.Leave(t.Context(), "wiki", lease.Party{ID: id}); err != nil {
			t.Fatal(err)
		}
		want := lease.Refused
		if id == "b" {
			want = lease.OnDeck
		}
		if g := take(t, s, "d", true); g.Place != want {
			t.Errorf("after %s left: %+v, want %v", id, g, want)
		}
	}
}

// A four is the lease as Fossil's backoffice has it, in four numbers, with who lives beside it. On deck
// one is expected for the TTL after its turn, where Fossil asks whether its process exists.
type four struct {
	cur, curExpires, next, nextExpires time.Duration
	beat                               time.Duration
	over                               bool
}

func (f *four) take(now, id, interval, ttl time.Duration) lease.Place {
	alive := f.cur != 0 && !f.over && now <= f.beat+ttl
	switch {
	case f.curExpires <= now && !alive:
		*f = four{cur: id, curExpires: now + interval, beat: now}
		return lease.Current
	case f.next != 0 && now <= f.nextExpires && f.next != id:
		return lease.Refused
	}
	f.next, f.nextExpires = id, max(now, f.curExpires)+ttl
	return lease.OnDeck
}

// TestModel compares random histories with those of the model.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			const interval, ttl = 60 * time.Second, 30 * time.Second
			rnd := rand.New(rand.NewPCG(seed, 9))
			s := &lease.Store{Control: queuememory.New()}
			begin := time.Now()
			var (
				model four
				token int64
				alive bool // the holder beats
			)
			for step := range 200 {
				switch now := time.Since(begin); rnd.IntN(5) {
				case 0, 1:
					id := time.Duration(step + 1)
					if rnd.IntN(2) == 0 && model.next != 0 {
						id = model.next
					}
					want := model.take(now, id, interval, ttl)
					g := take(t, s, strconv.Itoa(int(id)), true)
					if g.Place != want {
						t.Fatalf("seed %d, step %d at %v: %+v, want %v of %+v", seed, step, now, g, want, model)
					}
					if want == lease.Current {
						token, alive = g.Token, true
					}
				case 2:
					if alive {
						if err := s.End(t.Context(), "wiki", token, "done", time.Second); err != nil {
							t.Fatal(err)
						}
						model.over, alive = true, false
					}
				case 3:
					if rnd.IntN(3) == 0 {
						alive = false // killed
					}
				case 4:
					for range rnd.IntN(6) {
						time.Sleep(10 * time.Second)
						if alive {
							if err := s.Beat(t.Context(), "wiki", token); err != nil {
								t.Fatal(err)
							}
							model.beat = time.Since(begin)
						}
					}
				}
			}
		})
	}
}
