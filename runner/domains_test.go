package runner_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A shifting farm has domains that come and go.
type shifting struct {
	mu    sync.Mutex
	here  map[string]bool
	told  map[string]time.Time // when a runner was told last that a domain is one of its own
	gone  map[string]time.Time // when it was told first that it is not any more
	first map[string]time.Time // when its first job began since it came
	ran   map[string]int       // by domain and number
	late  []string             // jobs that began after a runner knew that their domain was gone
}

func (s *shifting) domains() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for d := range s.here {
		list = append(list, d)
		s.told[d] = now
		delete(s.gone, d)
	}
	for d := range s.told {
		if _, known := s.gone[d]; !s.here[d] && !known {
			s.gone[d] = now
		}
	}
	return list
}

func (s *shifting) run(ctx context.Context, n int) error {
	domain := jobqueue.FromContext(ctx).Domain
	s.mu.Lock()
	now := time.Now()
	if gone, ok := s.gone[domain]; ok && now.After(gone) {
		s.late = append(s.late, fmt.Sprintf("%s/%d %v after", domain, n, now.Sub(gone)))
	}
	if s.first[domain].IsZero() {
		s.first[domain] = now
	}
	s.ran[fmt.Sprint(domain, "/", n)]++
	s.mu.Unlock()
	time.Sleep(time.Duration(5+n%20) * time.Millisecond)
	return nil
}

// Hundreds of domains come and go while a runner has jobs of them in hand. Those that come are served soon; of
// those that are gone nothing begins any more, and what waited in hand is there for whoever serves them next.
func TestDomainsComeAndGo(t *testing.T) {
	for _, rate := range []float64{0, 200} { // with one jobs are held in hand until their turn, too
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFarm(t, direct)
				s := &shifting{
					here: map[string]bool{}, told: map[string]time.Time{}, gone: map[string]time.Time{},
					first: map[string]time.Time{}, ran: map[string]int{},
				}
				f.add("a", jobqueue.Policy{Rate: rate}, s.run)
				pushed, next := 0, 0
				came := map[string]time.Time{}
				come := func() {
					d := fmt.Sprint("wiki", next)
					next++
					f.pushOn(d, "a", 30)
					pushed += 30
					s.mu.Lock()
					s.here[d], came[d] = true, time.Now()
					s.mu.Unlock()
				}
				for range 100 {
					come()
				}
				ctx, stop := context.WithCancel(t.Context())
				done := f.goRun(ctx, runner.Options{Workers: 8, Wait: true, Domains: s.domains})
				for range 15 {
					time.Sleep(777 * time.Millisecond)
					s.mu.Lock()
					left := 10
					for d := range s.here {
						if left--; left >= 0 {
							delete(s.here, d)
						}
					}
					s.mu.Unlock()
					for range 10 {
						come()
					}
				}
				time.Sleep(3 * time.Second)
				stop()
				res := <-done
				if len(s.late) > 0 {
					t.Errorf("%d jobs began although their domain was gone, such as %s", len(s.late), s.late[0])
				}
				served := 0
				for d, at := range came {
					began, ok := s.first[d]
					switch {
					case ok:
						served++
						if wait := began.Sub(at); wait > 5*time.Second && rate == 0 {
							t.Errorf("the first job of %s began after %v", d, wait)
						}
					case s.here[d] && rate == 0:
						t.Errorf("no job of %s began", d)
					}
				}
				if res.Counts.Done < 1000 || res.Counts.GivenBack == 0 || served < 150 {
					t.Errorf("%+v, %d domains served: want many done and some given back", res.Counts, served)
				}
				for typ, n := range s.ran {
					if n != 1 {
						t.Errorf("%s ran %d times", typ, n)
					}
				}
				// Nothing is lost: all the others are there.
				s.gone = map[string]time.Time{}
				rest := f.run(t.Context(), runner.Options{Workers: 8, NoThrottle: true})
				if rest.Counts.Done+res.Counts.Done != pushed || len(s.ran) != pushed {
					t.Errorf("%d and then %d of %d jobs ran", res.Counts.Done, rest.Counts.Done, pushed)
				}
				f.held(0)
			})
		})
	}
}

// Types that only the fallback knows are forgotten when they had no work for long.
func TestEndlessTypes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.reg.Fallback(func(typ string) jobqueue.Job { return &call{typ: typ, run: sleep(0)} }, jobqueue.Policy{})
		if n := runner.KnownTypes(f.group, f.reg, 20_000); n > 3000 || n < 600 {
			t.Errorf("%d types are known, want those of the last ten minutes and some", n)
		}
	})
}
