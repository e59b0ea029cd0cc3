package queueredis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// until repeats do as long as the store is unavailable.
func until(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, jobqueue.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
}

// TestKilled kills the server again and again while jobs are pushed and run. Each call is repeated with the same
// id or token until it is answered. Nothing that was confirmed is lost, and nothing is done twice, if the server
// writes before it answers: with appendfsync everysec it may put that off while its disk is slow.
func TestKilled(t *testing.T) {
	t.Parallel()
	const pushers, runners, pushes, size = 3, 3, 60, 20
	s := private(t, "appendfsync always")
	b := open(t, queueredis.Options{URL: s.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var pushed atomic.Int64
	var mu sync.Mutex
	runs := map[string]int{}
	var all sync.WaitGroup
	for p := range pushers {
		all.Go(func() {
			for n := range pushes {
				records := make([]jobqueue.Record, size)
				for i := range records {
					records[i] = jobqueue.Record{Name: work, Params: fmt.Appendf(nil, `{"job":"%d-%d-%d"}`, p, n, i)}
				}
				id := uuid.New()
				if err := until(ctx, func() error { _, err := b.Push(ctx, id, records); return err }); err != nil {
					t.Error(err)
					return
				}
				pushed.Add(size)
			}
		})
	}
	const total = pushers * pushes * size
	var ran atomic.Int64
	for range runners {
		all.Go(func() {
			for ran.Load() < total && ctx.Err() == nil {
				l := jobqueue.Lease{Token: uuid.New(), TTL: time.Hour, Owner: "test"}
				var claims []*jobqueue.Claim
				if err := until(ctx, func() (err error) {
					claims, err = b.Pop(ctx, l, jobqueue.Want{Name: work, Max: 10})
					return err
				}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range claims {
					runs[string(c.Params)]++
				}
				mu.Unlock()
				if err := until(ctx, func() error { return settleAll(ctx, b, claims) }); err != nil {
					t.Error(err)
					return
				}
				ran.Add(int64(len(claims)))
			}
		})
	}
	for part := int64(1); part <= 4; part++ {
		for ran.Load() < part*total/5 && ctx.Err() == nil {
			if _, err := b.Counts(ctx, work); err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Error(err)
			}
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if pushed.Load() != total || len(runs) != total {
		t.Fatalf("%d jobs were pushed and %d different ones ran, want %d", pushed.Load(), len(runs), total)
	}
	for job, n := range runs {
		if n != 1 {
			t.Errorf("job %s ran %d times", job, n)
		}
	}
	audit(t, admin(t, s), queueredis.DefaultPrefix, 0)
}

// TestPowerCut cuts the end off the append-only file, as a power cut does. Every job then stands in one place, and what
// is missing is the end of what was done.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	s := private(t, "appendfsync always")
	b := open(t, queueredis.Options{URL: s.URL})
	var order []string
	for n := range 60 {
		r := jobs(5, 20)
		for i := range r {
			r[i].Params = fmt.Appendf(nil, `{"n":%d}`, 5*n+i)
			order = append(order, string(r[i].Params))
			switch i {
			case 1:
				r[i].Digest = jobqueue.KeyDigest(fmt.Sprint(n % 7))
			case 2:
				r[i].Delay = time.Hour
			case 3:
				r[i].Root.Key = fmt.Sprint(n % 3)
			}
		}
		if _, err := b.Push(t.Context(), uuid.New(), r); err != nil {
			t.Fatal(err)
		}
		if n%3 == 2 {
			settleSome(t, b)
		}
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Glob(filepath.Join(s.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(file) != 1 {
		t.Fatalf("the append-only files are %v, %v", file, err)
	}
	whole, err := os.ReadFile(file[0])
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	newest := map[int]int{} // job by how much is left
	for n := range 12 {
		cut := len(whole) - random.IntN(len(whole)/2)
		if err := os.WriteFile(file[0], whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart("aof-load-truncated yes"); err != nil {
			t.Fatal(err)
		}
		audit(t, admin(t, s), queueredis.DefaultPrefix, 0)
		newest[cut] = newestOf(t, b, order)
		if n == 11 {
			settleSome(t, b) // It goes on.
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after %d of %d bytes", cut, len(whole))
		}
	}
	cuts := slices.Sorted(maps.Keys(newest))
	for i, cut := range cuts[1:] {
		if newest[cut] < newest[cuts[i]] {
			t.Errorf("of %d bytes job %d is left, of %d only %d", cuts[i], newest[cuts[i]], cut, newest[cut])
		}
	}
	if first, last := newest[cuts[0]], newest[cuts[len(cuts)-1]]; first == last {
		t.Errorf("nothing was ever cut off: the newest job is %d", first)
	}
}

// settleSome pops 8 jobs and settles them in different ways.
func settleSome(t *testing.T, b jobqueue.Backend) {
	t.Helper()
	claims, err := popAll(t.Context(), b, 8)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []jobqueue.Outcome
	for i, c := range claims[:len(claims)-1] {
		outcomes = append(outcomes, jobqueue.Outcome{Claim: c, Do: jobqueue.Action(1 + i%4), Delay: time.Duration(i%2) * time.Hour, Err: "why"})
	}
	if lost, err := b.Settle(t.Context(), outcomes...); err != nil || len(lost) > 0 {
		t.Fatalf("Settle = %v, %v", lost, err)
	}
}

// newestOf returns the place of the newest job that is stored.
func newestOf(t *testing.T, b jobqueue.Backend, order []string) (newest int) {
	t.Helper()
	place := map[string]int{}
	for i, p := range order {
		place[p] = i
	}
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		newest = max(newest, place[string(e.Params)])
	}
	return newest
}
