package jobqueue_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

const forEver = time.Duration(math.MaxInt64)

func TestPolicyCheck(t *testing.T) {
	if err := (jobqueue.Policy{Timeout: jobqueue.NoLimit, Keep: jobqueue.NoLimit, MaxSnooze: jobqueue.NoLimit}).Check(); err != nil {
		t.Errorf("Check of NoLimit = %v", err)
	}
	for field, p := range map[string]jobqueue.Policy{
		"MaxTries": {MaxTries: -1}, "Lease": {Lease: -1}, "ClaimTTL": {ClaimTTL: jobqueue.NoLimit}, "Timeout": {Timeout: -2},
		"Keep": {Keep: time.Microsecond}, "MaxSnooze": {MaxSnooze: -time.Hour}, "Rate": {Rate: math.NaN()},
	} {
		if err := p.Check(); !errors.Is(err, jobqueue.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("Check = %v, want one that names %s", err, field)
		}
	}
	if p := (jobqueue.Policy{MaxTries: -1}).WithDefaults(); p.MaxTries != 3 {
		t.Errorf("%d tries, want the default", p.MaxTries)
	}
}

// What is said to last for ever does, and does not wrap round to now.
func TestForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(jobqueue.Routes{Policy: func(string) jobqueue.Policy {
			return jobqueue.Policy{ClaimTTL: forEver, Keep: forEver, Lease: forEver, MaxSnooze: jobqueue.NoLimit}
		}})
		mustPush(t, g, jobqueue.Spec{Type: "t"}, jobqueue.Spec{Type: "t"}, jobqueue.Spec{Type: "t"})
		claims, err := g.Queue("t").Pop(t.Context(), 3)
		if err != nil || len(claims) != 3 {
			t.Fatalf("Pop = %v, %v", claims, err)
		}
		if err := g.Settle(t.Context(), g.Outcome(claims[0], jobqueue.Snooze(forEver)), g.Outcome(claims[1], jobqueue.Abandon(nil))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * 365 * 24 * time.Hour)
		for range 2 {
			if _, err := g.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := g.Queue("t").Pop(t.Context(), 3); err != nil || len(again) > 0 {
			t.Errorf("Pop = %v, %v, want nothing", again, err)
		}
		counts, err := g.Counts(t.Context(), jobqueue.Name{Domain: g.Domain(), Type: "t"})
		if err != nil || counts[0].Delayed != 1 || counts[0].Claimed != 1 || counts[0].Abandoned != 1 {
			t.Errorf("Counts = %v, %v", counts, err)
		}
	})
}

func TestSettleUnknownAction(t *testing.T) {
	g := newGroup(jobqueue.Routes{})
	mustPush(t, g, jobqueue.Spec{Type: "t"})
	claims, err := g.Queue("t").Pop(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []jobqueue.Action{0, jobqueue.ActionAbandon + 1} {
		if err := g.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: do}); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("Settle with action %d = %v, want an ErrInvalid", do, err)
		}
	}
	if err := g.Queue("t").Ack(t.Context(), claims...); err != nil {
		t.Errorf("Ack = %v", err)
	}
}

// IDs are those of one backend, and never touch another's jobs.
func TestIDsOfSeveralBackends(t *testing.T) {
	g := newGroup(jobqueue.Routes{Types: map[string]jobqueue.Backend{"far": queuememory.New()}})
	pushed := mustPush(t, g, jobqueue.Spec{Type: "near"}, jobqueue.Spec{Type: "far"})
	f := jobqueue.Filter{IDs: []string{pushed[0].ID}}
	if n, err := g.Delete(t.Context(), f); n != 0 || !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("Delete without a type = %d, %v, want an ErrInvalid", n, err)
	}
	f.Type = "near"
	if n, err := g.Delete(t.Context(), f); n != 1 || err != nil {
		t.Errorf("Delete of one = %d, %v", n, err)
	}
	for c, err := range g.List(t.Context(), jobqueue.Filter{}) {
		if err != nil || c.Type != "far" {
			t.Errorf("left is %v, %v", c, err)
		}
	}
}

// A job whose claims ran out twice comes alone, so that only its own crashes count.
func TestQueuePopAlone(t *testing.T) {
	b := queuememory.New()
	g := newGroup(jobqueue.Routes{Default: b, Policy: func(string) jobqueue.Policy { return jobqueue.Policy{ClaimTTL: time.Minute} }})
	for range 10 {
		mustPush(t, g, jobqueue.Spec{Type: "t"})
	}
	q := g.Queue("t")
	lapse := func() {
		for range 5 {
			b.Shift(15 * time.Second)
			if _, err := g.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if claims, err := q.Pop(t.Context(), 10); err != nil || len(claims) != 10 {
			t.Fatalf("Pop = %v, %v, want 10 claims", claims, err)
		}
		lapse()
	}
	for range 20 {
		claims, err := q.Pop(t.Context(), 10)
		if err != nil || len(claims) != 1 || !claims[0].Alone() {
			t.Fatalf("Pop = %v, %v, want one job alone", claims, err)
		}
		lapse()
	}
	for e, err := range g.List(t.Context(), jobqueue.Filter{}) {
		if err != nil || e.State == jobqueue.Abandoned || e.Expiries != 4 {
			t.Errorf("%v has run out %d times, %v, want 4 times", e, e.Expiries, err)
		}
	}
}

// What embeds a Name prints more than that.
func TestStrings(t *testing.T) {
	n := jobqueue.Name{Domain: "en wiki", Type: "t"}
	r := jobqueue.Record{Name: n, Params: []byte(`{"a":1}`)}
	for want, v := range map[string]any{
		`en%20wiki/t {"a":1}`:                                     r,
		`en%20wiki/t job 7 attempt 2`:                             &jobqueue.Claim{Record: r, ID: "7", Attempt: 2},
		`job 7 abandoned en%20wiki/t {"a":1} error="no\n"`:        jobqueue.Entry{Record: r, ID: "7", State: jobqueue.Abandoned, LastError: "no\n"},
		`en%20wiki/t: 1 ready, 2 delayed, 3 claimed, 4 abandoned`: jobqueue.Counts{Name: n, Ready: 1, Delayed: 2, Claimed: 3, Abandoned: 4},
		`en%20wiki/t: ready for 1s`:                               jobqueue.Backlog{Name: n, Age: time.Second},
		`en%20wiki/t up to 3`:                                     jobqueue.Want{Name: n, Max: 3},
		`en%20wiki/t job 7`:                                       jobqueue.Want{Name: n, ID: "7"},
		`en%20wiki/t root "k" at 0001-01-01 00:00:00 +0000 UTC`:   jobqueue.Mark{Name: n, Key: "k"},
	} {
		if got := fmt.Sprint(v); got != want {
			t.Errorf("%T prints as %s, want %s", v, got, want)
		}
	}
}

// The pieces of a push that is too large for one are one edit: they don't supersede each other.
func TestPushInPiecesIsOneRoot(t *testing.T) {
	g := newGroup(jobqueue.Routes{})
	specs := make([]jobqueue.Spec, 2*jobqueue.MaxPush+1)
	for i := range specs {
		specs[i] = jobqueue.Spec{Type: "t", Root: jobqueue.Root{Key: fmt.Sprint("page ", i%2)}}
	}
	mustPush(t, g, specs...)
	claims, err := g.Queue("t").Pop(t.Context(), len(specs))
	if err != nil || len(claims) != len(specs) {
		t.Errorf("Pop = %d jobs, %v, want all %d", len(claims), err, len(specs))
	}
	mustPush(t, g, specs[0])
	if claims, err := g.Queue("t").Pop(t.Context(), 2); err != nil || len(claims) != 1 {
		t.Errorf("Pop = %v, %v, want the newer edit", claims, err)
	}
}
