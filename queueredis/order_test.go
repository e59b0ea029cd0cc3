package queueredis_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// TestOrderOfOnePush has jobs stored and a delayed one made ready in one push, which are in that order.
func TestOrderOfOnePush(t *testing.T) {
	b := open(t, queueredis.Options{})
	r := jobs(5, 1)
	twin := r[4]
	twin.Digest, twin.Delay = jobqueue.KeyDigest("k"), time.Hour
	push(t, b, []jobqueue.Record{twin})
	twin.Delay = 0
	push(t, b, []jobqueue.Record{r[0], r[1], twin, r[2], twin, r[3]})
	claims, err := popAll(t.Context(), b, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, c := range claims {
		var p struct{ N int }
		if err := json.Unmarshal(c.Params, &p); err != nil {
			t.Fatal(err)
		}
		got = append(got, p.N)
	}
	if want := []int{0, 1, 4, 2, 3}; !slices.Equal(got, want) {
		t.Fatalf("Pop handed out the jobs %v, want %v", got, want)
	}
}

// TestLapsedMidway repeats the end of a long pop after its lease has ended.
func TestLapsedMidway(t *testing.T) {
	b := open(t, queueredis.Options{})
	push(t, b, jobs(1500, 1))
	l := jobqueue.Lease{Token: uuid.New(), TTL: time.Millisecond}
	claims, err := b.Pop(t.Context(), l, jobqueue.Want{Name: work, Max: 1500})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.Shift(time.Minute)
		if _, err := b.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Counts(t.Context(), work)
	if err != nil || c[0].Ready != 1500 || len(claims) > 1500 {
		t.Fatalf("Counts = %+v, %v after %d jobs were claimed, want all of them ready", c, err, len(claims))
	}
}
