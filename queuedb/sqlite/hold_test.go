package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A job that cannot be read is abandoned with the reason when its queue is moved, and the others are moved.
func TestHoldDamaged(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(3)...)
	execute(t, raw(t, path), "update job set params = cast('{\"n\":' as blob) where id = 2")
	h := jobqueue.Hold{ID: uuid.New(), Name: queue, Label: "test"}
	held, err := b.Hold(t.Context(), h, 10)
	if err != nil || len(held) != 2 {
		t.Fatalf("Hold = %v, %v, want the two that can be read", held, err)
	}
	var found []jobqueue.Entry
	for e, err := range b.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e)
	}
	if len(found) != 1 || found[0].State != jobqueue.Abandoned || !strings.Contains(found[0].LastError, "damaged") {
		t.Errorf("the jobs are %+v, want the damaged one, abandoned, and why", found)
	}
}

// Nothing is left of jobs that were held and dropped but that the hold has ended, and in the end not even that.
func TestHoldLeavesNothing(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	rs := records(3)
	rs[0].Digest, rs[1].Delay, rs[2].Root.Key = jobqueue.KeyDigest("k"), time.Hour, "page"
	push(t, b, rs...)
	h := jobqueue.Hold{ID: uuid.New(), Name: queue, Label: "test"}
	if held, err := b.Hold(t.Context(), h, 10); err != nil || len(held) != 3 {
		t.Fatalf("Hold = %v, %v", held, err)
	}
	if err := b.Drop(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	for _, table := range []string{"job", "ready", "later", "dedupe", "abandoned", "claim"} {
		if n := number(t, db, "select count(*) from "+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	if n := number(t, db, "select count(*) from hold where jobs = '' and ended is not null"); n != 1 {
		t.Errorf("%d holds have ended, want 1", n)
	}
	b.Shift(jobqueue.HoldMemory + time.Hour)
	if _, err := b.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := number(t, db, "select count(*) from hold"); n != 0 {
		t.Errorf("%d holds are remembered", n)
	}
}

// A hold that cannot be read says so, and is left as it is.
func TestDamagedHold(t *testing.T) {
	for what, damage := range map[string]string{
		"cut":    "update hold set jobs = substr(jobs, 1, 30)",
		"digest": `update hold set jobs = '[{"params":"{}","digest":"xy"}]'`,
	} {
		t.Run(what, func(t *testing.T) {
			path := newFile(t)
			b := openFile(t, path, nil)
			push(t, b, records(1)...)
			h := jobqueue.Hold{ID: uuid.New(), Name: queue, Label: "test"}
			if _, err := b.Hold(t.Context(), h, 10); err != nil {
				t.Fatal(err)
			}
			execute(t, raw(t, path), damage)
			if _, err := b.Held(t.Context(), h); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("Held = %v, want that it is damaged", err)
			}
			if _, _, err := b.Release(t.Context(), h); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("Release = %v, want that it is damaged", err)
			}
			if holds, err := b.Holds(t.Context()); err != nil || len(holds) != 1 {
				t.Errorf("Holds = %v, %v, want it to be there", holds, err)
			}
		})
	}
}
