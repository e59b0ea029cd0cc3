package sqlite_test

import (
	"strings"
	"testing"

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
