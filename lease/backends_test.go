package lease_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/postgres/pgtest"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
)

// closed closes what a test opened, when it ends.
func closed[B interface{ Close() error }](t *testing.T, b B, err error) B {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// unique names something no other run of this test has.
func unique() string { return fmt.Sprintf("lease_%x_%x", os.Getpid(), time.Now().UnixNano()) }

func TestOneCurrent(t *testing.T) {
	t.Run("memory", func(t *testing.T) { crowd(t, queuememory.New()) })
	t.Run("sqlite", func(t *testing.T) {
		b, err := sqlite.Open(filepath.Join(t.TempDir(), "q.db"), nil)
		crowd(t, closed(t, b, err))
	})
	t.Run("postgres", func(t *testing.T) {
		server, err := pgtest.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
		schema, drop := server.Schema()
		o := &postgres.Options{Schema: schema, Relaxed: true}
		if err := postgres.Migrate(t.Context(), server.URL, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
		b, err := postgres.Open(t.Context(), server.URL, o)
		crowd(t, closed(t, b, err))
	})
	t.Run("redis", func(t *testing.T) {
		server, err := redistest.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
		})
		b, err := queueredis.Open(t.Context(), &queueredis.Options{URL: server.URL, Prefix: unique()})
		crowd(t, closed(t, b, err))
	})
}

// crowd lets 50 parties ask at least 200 times each for one lease whose interval is next to nothing, until it was held
// 100 times. Every other time it is reset while it is held.
func crowd(t *testing.T, c jobqueue.Control) {
	s := &lease.Store{Control: c, Rules: lease.Rules{Interval: time.Microsecond, TTL: time.Hour}}
	var (
		wg      sync.WaitGroup
		holders atomic.Int64
		runs    atomic.Int64
		last    atomic.Int64 // the token given last
	)
	for i := range 50 {
		wg.Go(func() {
			for round := 0; round < 200 || runs.Load() < 100 && !t.Failed(); round++ {
				me := lease.Party{ID: fmt.Sprintf("%d/%d", i, round)}
				g, err := s.Take(t.Context(), "wiki", me, false)
				if err != nil {
					t.Error(err)
					return
				}
				if g.Place != lease.Current {
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lease at once", n)
				}
				if was := last.Swap(g.Token); was >= g.Token {
					t.Errorf("the token %d follows %d", g.Token, was)
				}
				if err := s.Beat(t.Context(), "wiki", g.Token); err != nil {
					t.Errorf("Beat of the holder: %v", err)
				}
				holders.Add(-1)
				if runs.Add(1)%2 == 0 {
					if err := s.Reset(t.Context(), "wiki"); err != nil {
						t.Error(err)
					}
					for what, err := range map[string]error{
						"Beat": s.Beat(t.Context(), "wiki", g.Token), "Check": s.Check(t.Context(), "wiki", g.Token), "End": s.End(t.Context(), "wiki", g.Token, "late", time.Second),
					} {
						if !errors.Is(err, lease.ErrStale) {
							t.Errorf("%s of a fenced holder: %v, want %v", what, err, lease.ErrStale)
						}
					}
				} else if err := s.End(t.Context(), "wiki", g.Token, "done", time.Second); err != nil {
					t.Errorf("End of the holder: %v", err)
				}
			}
		})
	}
	wg.Wait()
}
