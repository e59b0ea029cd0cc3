package queueredis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// Jobs of one block are of several queues, in several hands and in all states. Settling some of them, of several claims in any
// order, leaves the others as they are; and each claim that has ended is told as lost, unless it was settled.
func TestSettlePartsOfBlocks(t *testing.T) {
	const all, ttl = 300, time.Minute
	b := open(t, queueredis.Options{})
	b.StopClock(time.Now())
	names := []jobqueue.Name{{Domain: "wiki", Type: "a"}, {Domain: "wiki", Type: "b"}, {Domain: "wiki", Type: "c"}}
	records := make([]jobqueue.Record, all)
	for i := range records {
		records[i] = jobqueue.Record{Name: names[i%len(names)], Params: fmt.Appendf(nil, `{"n":%d}`, i)}
		if i%7 == 0 {
			records[i].Root = jobqueue.Root{Key: fmt.Sprint("root", i)}
		}
		if i%11 == 0 {
			records[i].Digest = jobqueue.KeyDigest(fmt.Sprint("key", i))
		}
	}
	pushed, err := b.Push(t.Context(), uuid.New(), records)
	must(t, err)
	left := map[string]bool{}
	for _, p := range pushed {
		left[p.ID] = true
	}
	random := rand.New(rand.NewPCG(1, 2))
	var settled []jobqueue.Outcome
	for n := 0; len(left) > 0; n++ {
		var claims []*jobqueue.Claim
		for _, name := range names {
			l := jobqueue.Lease{Token: uuid.New(), TTL: ttl, Owner: "test"}
			c, err := b.Pop(t.Context(), l, jobqueue.Want{Name: name, Max: 1 + random.IntN(20)})
			must(t, err)
			claims = append(claims, c...)
		}
		lapses := n%5 == 4
		for range 4 {
			if lapses { // in steps, or it would be taken for an absence of the store
				b.Shift(ttl/4 + time.Second)
				l := jobqueue.Lease{Token: uuid.New(), TTL: ttl, Owner: "test"}
				_, err := b.Pop(t.Context(), l, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "none"}, Max: 1})
				must(t, err)
			}
		}
		var outcomes []jobqueue.Outcome
		var want []string // lost
		for _, c := range claims {
			if !left[c.ID] {
				t.Fatalf("job %s was done and is claimed again", c.ID)
			}
			do := jobqueue.ActionDone
			if random.IntN(4) == 0 {
				do = []jobqueue.Action{jobqueue.ActionRetry, jobqueue.ActionGiveBack}[random.IntN(2)]
			}
			switch {
			case lapses:
				want = append(want, c.ID)
			case do == jobqueue.ActionDone:
				delete(left, c.ID)
			}
			outcomes = append(outcomes, jobqueue.Outcome{Claim: c, Do: do, Err: "why"})
		}
		random.Shuffle(len(outcomes), func(i, j int) { outcomes[i], outcomes[j] = outcomes[j], outcomes[i] })
		if !lapses {
			settled = append(settled, outcomes...)
		}
		// What was settled once may be said again, and nothing changes.
		again := settled[max(0, len(settled)-40):]
		lost, err := b.Settle(t.Context(), append(outcomes, again...)...)
		must(t, err)
		var got []string
		for _, c := range lost {
			got = append(got, c.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%d are lost, want %d", len(got), len(want))
		}
		counts, err := b.Counts(t.Context())
		must(t, err)
		stored := 0
		for _, c := range counts {
			stored += c.Ready + c.Claimed
		}
		if stored != len(left) {
			t.Fatalf("%d jobs are stored, want %d", stored, len(left))
		}
	}
}

// A job that failed before is deleted with what is kept of that, and the one beside it stays.
func TestSettleBesideAnother(t *testing.T) {
	b := open(t, queueredis.Options{})
	b.StopClock(time.Now().Truncate(time.Second)) // both are in one block
	other := jobqueue.Name{Domain: work.Domain, Type: "other"}
	push(t, b, []jobqueue.Record{{Name: work, Params: []byte("{}")}, {Name: other, Params: []byte("{}")}})
	for _, do := range []jobqueue.Action{jobqueue.ActionRetry, jobqueue.ActionDone} {
		claims, err := popAll(t.Context(), b, 1)
		must(t, err)
		lost, err := b.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: do, Err: "why"})
		must(t, err)
		if len(lost) > 0 {
			t.Fatalf("%d claims are lost", len(lost))
		}
	}
	l := jobqueue.Lease{Token: uuid.New(), TTL: time.Minute, Owner: "test"}
	if claims, err := b.Pop(t.Context(), l, jobqueue.Want{Name: other, Max: 1}); err != nil || len(claims) != 1 {
		t.Errorf("Pop = %d jobs, %v, want 1", len(claims), err)
	}
}
