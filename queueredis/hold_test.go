package queueredis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

func newHold() jobqueue.Hold { return jobqueue.Hold{ID: uuid.New(), Name: work, Label: "test"} }

func hold(t *testing.T, b *queueredis.Backend, h jobqueue.Hold) []jobqueue.Held {
	t.Helper()
	held, err := b.Hold(t.Context(), h, jobqueue.MaxPush)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// TestHoldDamaged has a job in the store that cannot be read when its queue is moved.
func TestHoldDamaged(t *testing.T) {
	t.Parallel()
	prefix := newPrefix(t, 1)
	b := open(t, queueredis.Options{URL: server.URL, Prefix: prefix, Compress: 100})
	if _, err := b.Push(t.Context(), uuid.New(), jobs(3, 1000)); err != nil {
		t.Fatal(err)
	}
	c := server.Client()
	defer c.Close()
	base := fmt.Sprintf("{%s:0}:", prefix)
	blocks, err := c.ZRange(t.Context(), base+"jz", 0, 0).Result()
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	body, err := c.HGet(t.Context(), base+"j"+blocks[0], "1").Result()
	if err != nil {
		t.Fatal(err)
	}
	do(t, c, "HSET", base+"j"+blocks[0], "1", body[:20]+"damage")
	if held := hold(t, b, newHold()); len(held) != 2 {
		t.Fatalf("Hold took %d jobs, want the two that can be read", len(held))
	}
	var found []jobqueue.Entry
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e)
	}
	if len(found) != 1 || found[0].State != jobqueue.Abandoned || found[0].Failures != 1 || !strings.Contains(found[0].LastError, "damaged") {
		t.Fatalf("the jobs are %+v, want the damaged one, abandoned, and why", found)
	}
}

// TestHoldCompressed holds jobs that are small as they are stored, and too large for one hold as they are.
func TestHoldCompressed(t *testing.T) {
	t.Parallel()
	b := open(t, queueredis.Options{Compress: 1000})
	const size = jobqueue.MaxPushBytes / 3
	for _, r := range jobs(5, size) {
		if _, err := b.Push(t.Context(), uuid.New(), []jobqueue.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 2, 1} {
		h := newHold()
		held := hold(t, b, h)
		if len(held) != want || h.Check(held...) != nil {
			t.Fatalf("Hold took %d jobs of %d bytes, want %d", len(held), size, want)
		}
	}
}

// TestHoldFull moves jobs out of a server that is full, and none into it.
func TestHoldFull(t *testing.T) {
	t.Parallel()
	s := private(t)
	b := open(t, queueredis.Options{URL: s.URL})
	for range 3 {
		if _, err := b.Push(t.Context(), uuid.New(), jobs(500, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	kept := newHold()
	if err := b.Keep(t.Context(), kept, hold(t, b, newHold())); err != nil {
		t.Fatal(err)
	}
	do(t, admin(t, s), "CONFIG", "SET", "maxmemory", "1mb")
	h := newHold()
	held := hold(t, b, h)
	if len(held) != 500 {
		t.Fatalf("Hold took %d jobs", len(held))
	}
	wants(t, b.Keep(t.Context(), newHold(), held), jobqueue.ErrUnavailable, "is full")
	_, _, err := b.Release(t.Context(), kept)
	wants(t, err, jobqueue.ErrUnavailable, "is full")
	if err := b.Drop(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	do(t, admin(t, s), "CONFIG", "SET", "maxmemory", "0")
	holds, err := b.Holds(t.Context())
	if err != nil || len(holds) != 2 || slices.ContainsFunc(holds, func(x jobqueue.Hold) bool { return x.ID == h.ID }) {
		t.Fatalf("Holds = %+v, %v, want the two that were not dropped", holds, err)
	}
	if stored, _, err := b.Release(t.Context(), kept); err != nil || stored != 1000 {
		t.Fatalf("Release = %d, %v, want 1000", stored, err)
	}
}

// readHolds checks that each hold has its jobs.
func (a *auditor) readHolds() {
	records := a.hash("h")
	for k := range a.keys {
		id, ok := strings.CutPrefix(k, "h")
		if !ok || id == "" {
			continue
		}
		if len(a.hash(k)) == 0 || records[id] == "" {
			a.fail("hold %s has jobs and the record %q", id, records[id])
		}
		delete(records, id)
	}
	for id := range records {
		a.fail("hold %s has no jobs", id)
	}
}
