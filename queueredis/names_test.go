package queueredis_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A job of a store of several shards has one id, and what only looks like it names nothing.
func TestIDsOfShards(t *testing.T) {
	b := open(t, queueredis.Options{Shards: 4})
	pushed, err := b.Push(t.Context(), uuid.New(), jobs(1, 10))
	must(t, err)
	id := pushed[0].ID
	number, shard, _ := strings.Cut(id, "-")
	ids := map[string]int{id: 1, number + "-0" + shard: 0, number + "-+" + shard: 0, "+" + id: 0, "0" + id: 0, number: 0, number + "-": 0, id + "-": 0}
	for id, want := range ids {
		found := 0
		for _, err := range b.List(t.Context(), jobqueue.Filter{IDs: []string{id}}) {
			must(t, err)
			found++
		}
		if found != want {
			t.Errorf("List(%q) = %d jobs, want %d", id, found, want)
		}
	}
}
