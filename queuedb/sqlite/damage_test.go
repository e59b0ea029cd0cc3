package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// lapse lets every lease of a minute end, in a store that is in use.
func lapse(t *testing.T, b interface {
	jobqueue.Backend
	Shift(time.Duration)
}) {
	t.Helper()
	for range 6 {
		b.Shift(15 * time.Second)
		if _, err := b.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func popFor(t *testing.T, b jobqueue.Backend, ttl time.Duration, n int) []*jobqueue.Claim {
	t.Helper()
	cs, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: ttl}, jobqueue.Want{Name: queue, Max: n})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// A claim that cannot be read stops nothing, and its jobs come back.
func TestDamagedClaim(t *testing.T) {
	for what, damage := range map[string]string{
		"cut":          "update claim set held = x'02'",
		"too many":     "update claim set held = x'02ffffffffffffffff7f'",
		"empty":        "update claim set held = x''",
		"settled jobs": "update claim set settled = x'ff'",
		"token":        "update claim set token = x'00'",
	} {
		t.Run(what, func(t *testing.T) {
			path := newFile(t)
			b := openFile(t, path, nil)
			push(t, b, records(3)...)
			popFor(t, b, time.Minute, 2)
			execute(t, raw(t, path), damage)
			counts(t, b)
			for _, err := range b.List(t.Context(), jobqueue.Filter{}) {
				if err != nil {
					t.Error(err)
				}
			}
			for _, err := range b.Ready(t.Context()) {
				if err != nil {
					t.Error(err)
				}
			}
			if n, err := b.Delete(t.Context(), jobqueue.Filter{IDs: []string{"7"}, States: jobqueue.States()}); n != 0 || err != nil {
				t.Errorf("Delete = %d, %v", n, err)
			}
			lapse(t, b)
			if n := len(popFor(t, b, time.Minute, 5)); n != 3 {
				t.Errorf("Pop returned %d jobs, want 3", n)
			}
		})
	}
}

// The digest of a job whose row is gone is free.
func TestDigestOfNoJob(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	rs := records(3)
	for i := range rs {
		rs[i].Digest = jobqueue.KeyDigest("same")
	}
	push(t, b, rs[0])
	execute(t, raw(t, path), "delete from job")
	pushed := push(t, b, rs...)
	if pushed[0].Duplicate || !pushed[1].Duplicate || !pushed[2].Duplicate || pushed[2].ID != pushed[0].ID {
		t.Errorf("Push = %+v, want the first stored and the others its duplicates", pushed)
	}
	if again := push(t, b, rs[1]); again[0].ID != pushed[0].ID {
		t.Errorf("Push = %+v, want a duplicate of %s", again, pushed[0].ID)
	}
	if n := len(pop(t, b, 5)); n != 1 {
		t.Errorf("Pop returned %d jobs, want 1", n)
	}
}

// A job that is in no table but that of jobs comes back.
func TestJobThatIsNowhere(t *testing.T) {
	path := newFile(t)
	b := openFile(t, path, nil)
	push(t, b, records(10)...)
	held := popFor(t, b, time.Hour, 1)
	execute(t, raw(t, path), "delete from ready where job > 4")
	m, err := b.Maintain(t.Context())
	if err != nil || m.Recycled != 6 {
		t.Errorf("Maintain = %+v, %v, want 6 recycled", m, err)
	}
	if c := counts(t, b); c.Ready != 9 || c.Claimed != 1 {
		t.Errorf("Counts = %+v, want 9 ready and 1 claimed", c)
	}
	if lost := settle(t, b, outcomes(jobqueue.ActionDone, held...)...); len(lost) > 0 {
		t.Errorf("Settle lost %v", lost)
	}
}
