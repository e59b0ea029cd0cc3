package queueredis_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// TestCompressed pushes with one setting and pops with another. What is not smaller when compressed stays as it is.
func TestCompressed(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	packs, plain := open(t, queueredis.Options{URL: s.URL, Compress: 1000}), open(t, queueredis.Options{URL: s.URL})
	small, large := jobs(1, 10), jobs(1, 50_000)
	var random []byte
	for range 2000 {
		random = append(random, uuid.NewString()[:8]...)
	}
	noise := []jobqueue.Record{{Name: work, Params: []byte(`{"s":"` + string(random) + `"}`)}}
	for _, by := range []jobqueue.Backend{packs, plain} {
		for _, r := range [][]jobqueue.Record{small, large, noise} {
			if _, err := by.Push(t.Context(), uuid.New(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored := 0
	for keys := c.Scan(t.Context(), 0, "{jobqueue:0}:j*", 1000).Iterator(); keys.Next(t.Context()); {
		if strings.HasSuffix(keys.Val(), "jz") {
			continue
		}
		for _, v := range c.HVals(t.Context(), keys.Val()).Val() {
			stored += len(v)
		}
	}
	if least, most := len(large[0].Params)+len(noise[0].Params), len(large[0].Params)+3*len(noise[0].Params); stored < least || stored > most {
		t.Errorf("%d bytes are stored, want one of two large jobs compressed: %d to %d", stored, least, most)
	}
	for _, by := range []jobqueue.Backend{plain, packs} {
		claims, err := popAll(t.Context(), by, 3)
		if err != nil || len(claims) != 3 {
			t.Fatalf("Pop = %d, %v", len(claims), err)
		}
		for i, r := range [][]jobqueue.Record{small, large, noise} {
			if !bytes.Equal(claims[i].Params, r[0].Params) {
				t.Errorf("the parameters have %d bytes, and other ones: %.40s", len(claims[i].Params), claims[i].Params)
			}
		}
	}
}

// TestDamaged has a job in the store that cannot be read.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL, Compress: 100})
	if _, err := b.Push(t.Context(), uuid.New(), jobs(3, 1000)); err != nil {
		t.Fatal(err)
	}
	blocks, err := c.ZRange(t.Context(), "{jobqueue:0}:jz", 0, 0).Result()
	if err != nil || len(blocks) != 1 {
		t.Fatal(blocks, err)
	}
	key := "{jobqueue:0}:j" + blocks[0]
	body, err := c.HGet(t.Context(), key, "1").Result()
	if err != nil {
		t.Fatal(err)
	}
	do(t, c, "HSET", key, "1", body[:20]+"damage")
	claims, err := popAll(t.Context(), b, 3)
	if err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %d, %v, want the two jobs that can be read", len(claims), err)
	}
	var found []jobqueue.Entry
	for e, err := range b.List(t.Context(), jobqueue.Filter{States: []jobqueue.State{jobqueue.Abandoned}}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e)
	}
	if len(found) != 1 || !strings.Contains(found[0].LastError, "damaged") {
		t.Fatalf("the abandoned jobs are %+v, want the damaged one and why", found)
	}
}
