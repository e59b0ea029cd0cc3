package queueredis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A snapshot is all that a store says of itself at an instant.
type snapshot struct {
	Clock   time.Duration // since the history began
	Entries []jobqueue.Entry
	Counts  []jobqueue.Counts
	Values  []jobqueue.Value
}

func shoot(t *testing.T, b *queueredis.Backend, clock time.Duration) (s snapshot) {
	t.Helper()
	s.Clock = clock
	var err error
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		must(t, err)
		s.Entries = append(s.Entries, e)
	}
	s.Counts, err = b.Counts(t.Context())
	must(t, err)
	s.Values, err = b.Values(t.Context(), "")
	must(t, err)
	return s
}

// history does one call after the other, of every kind that writes.
type history struct {
	b    *queueredis.Backend
	rand *rand.Rand
	held []*jobqueue.Claim

	clock time.Duration
}

// at moves the clock.
func (h *history) at(clock time.Duration) {
	h.b.Shift(clock - h.clock)
	h.clock = clock
}

func (h *history) step(ctx context.Context, n int) error {
	name := jobqueue.Name{Domain: fmt.Sprint("wiki", n%3), Type: "work"}
	switch h.rand.IntN(10) {
	case 0, 1, 2:
		records := make([]jobqueue.Record, 1+h.rand.IntN(12))
		for i := range records {
			r := jobqueue.Record{Name: name, Params: fmt.Appendf(nil, `{"n":%d,"i":%d}`, n, i)}
			switch h.rand.IntN(4) {
			case 1:
				r.Digest = jobqueue.KeyDigest(fmt.Sprint(h.rand.IntN(9)))
			case 2:
				r.Delay = time.Duration(h.rand.IntN(3)) * time.Minute
			case 3:
				r.Root.Key = fmt.Sprint(h.rand.IntN(3))
			}
			records[i] = r
		}
		_, err := h.b.Push(ctx, uuid.New(), records)
		return err
	case 3, 4:
		l := jobqueue.Lease{Token: uuid.New(), TTL: time.Duration(1+h.rand.IntN(3)) * time.Minute, Owner: "test"}
		claims, err := h.b.Pop(ctx, l, jobqueue.Want{Name: name, Max: 1 + h.rand.IntN(8)})
		h.held = append(h.held, claims...)
		return err
	case 5, 6:
		var outcomes []jobqueue.Outcome
		for i, c := range h.held {
			outcomes = append(outcomes, jobqueue.Outcome{Claim: c, Do: jobqueue.Action(1 + i%4), Delay: time.Duration(i%3) * time.Minute, Err: "why"})
		}
		h.held = nil
		_, err := h.b.Settle(ctx, outcomes...)
		return err
	case 7:
		_, err := h.b.Requeue(ctx, jobqueue.Filter{Domain: name.Domain, Limit: 3})
		return err
	case 8:
		_, err := h.b.Delete(ctx, jobqueue.Filter{Domain: name.Domain, Limit: 3})
		return err
	default:
		h.at(h.clock + time.Minute)
		_, _, err := h.b.SetValue(ctx, jobqueue.Value{Key: fmt.Sprint("k", n%5), Data: fmt.Append(nil, n), Version: jobqueue.AnyVersion})
		return err
	}
}

// TestCutAnywhere cuts the append-only file at many places, as a loss of power may. What the server then loads is what
// there was after one of the calls, the last one that is in the file as a whole: none is there in part, and only the end is missing.
func TestCutAnywhere(t *testing.T) {
	s := private(t, "appendfsync always", "auto-aof-rewrite-percentage 0", "aof-load-truncated yes")
	b := open(t, queueredis.Options{URL: s.URL})
	b.StopClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	files, err := filepath.Glob(filepath.Join(s.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the append-only files are %v, %v", files, err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := &history{b: b, rand: rand.New(rand.NewPCG(seed, 0))}
	var states []snapshot
	var ends []int // of the file with each
	for n := range 80 {
		must(t, h.step(t.Context(), n))
		info, err := os.Stat(files[0])
		must(t, err)
		states, ends = append(states, shoot(t, b, h.clock)), append(ends, int(info.Size()))
	}
	must(t, s.Kill())
	whole, err := os.ReadFile(files[0])
	must(t, err)
	inside := 0
	for range 40 {
		cut := ends[0] + h.rand.IntN(len(whole)-ends[0])
		last := 0
		for last+1 < len(ends) && ends[last+1] <= cut {
			last++
		}
		if cut != ends[last] {
			inside++
		}
		must(t, os.WriteFile(files[0], whole[:cut], 0o600))
		must(t, s.Restart())
		h.at(states[last].Clock)
		if d := cmp.Diff(states[last], shoot(t, b, h.clock)); d != "" {
			t.Fatalf("%d of %d bytes do not lead to what was after call %d (-want +got):\n%s", cut, len(whole), last, d)
		}
		audit(t, admin(t, s), queueredis.DefaultPrefix, 0)
		must(t, s.Kill())
	}
	if inside == 0 {
		t.Error("no cut was within a call")
	}
}
