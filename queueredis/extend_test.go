package queueredis_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
)

// scriptsRun returns how many scripts a server has run.
func scriptsRun(t *testing.T, c *redis.Client) (n int) {
	t.Helper()
	info, err := c.Info(t.Context(), "commandstats").Result()
	must(t, err)
	for line := range strings.Lines(info) {
		fmt.Sscanf(line, "cmdstat_evalsha:calls=%d", &n)
	}
	return n
}

// Each claim is extended in its own shard alone. What the tokens of claims end with is that of the Pop's, by which a federation knows its own.
func TestExtendWhereClaimed(t *testing.T) {
	t.Parallel()
	s := private(t)
	c := admin(t, s)
	b := open(t, queueredis.Options{URL: s.URL, Shards: 4})
	const shards = 3
	r := jobs(shards, 1)
	var wants []jobqueue.Want
	for i := range r {
		r[i].Domain = domainOf(i, 4)
		wants = append(wants, jobqueue.Want{Name: r[i].Name, Max: 1})
	}
	push(t, b, r)
	l := jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}
	claims, err := b.Pop(t.Context(), l, wants...)
	if err != nil || len(claims) != shards {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	for n := range shards {
		var tokens []uuid.UUID
		for _, c := range claims[:n+1] {
			if !bytes.Equal(c.Token[12:], l.Token[12:]) {
				t.Errorf("a claim of the Pop %v has the token %v", l.Token, c.Token)
			}
			tokens = append(tokens, c.Token)
		}
		before := scriptsRun(t, c)
		if lost, err := b.Extend(t.Context(), time.Hour, tokens...); err != nil || len(lost) > 0 {
			t.Fatalf("Extend = %v, %v", lost, err)
		}
		if ran := scriptsRun(t, c) - before; ran != n+1 {
			t.Errorf("Extend of the claims of %d shards took %d scripts", n+1, ran)
		}
	}
	// Nobody else has the token of a claim, nor that of the Pop in another shard.
	must(t, settleAll(t.Context(), b, claims[:1]))
	lost, err := b.Extend(t.Context(), time.Hour, claims[0].Token, claims[1].Token, l.Token)
	if err != nil || len(lost) != 1 || lost[0] != claims[0].Token {
		t.Errorf("Extend = %v, %v, want the first claim alone to be lost", lost, err)
	}
}

// A fail-over undoes a claim in one shard alone. Extend says so, though the same Pop has one in another.
func TestExtendUndone(t *testing.T) {
	t.Parallel()
	c := server.Client()
	defer c.Close()
	o := queueredis.Options{URL: server.URL, Shards: 2, Prefix: newPrefix(t, 2)}
	b, other := open(t, o), open(t, o)
	r := jobs(2, 1)
	r[0].Domain, r[1].Domain = domainOf(0, 2), domainOf(1, 2)
	push(t, b, r)
	keys, err := c.Keys(t.Context(), "{"+o.Prefix+":0}:*").Result()
	must(t, err)
	behind := map[string]string{}
	for _, k := range keys {
		behind[k] = c.Dump(t.Context(), k).Val()
	}
	claims, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: r[0].Name, Max: 1}, jobqueue.Want{Name: r[1].Name, Max: 1})
	if err != nil || len(claims) != 2 {
		t.Fatalf("Pop = %d, %v", len(claims), err)
	}
	keys, err = c.Keys(t.Context(), "{"+o.Prefix+":0}:*").Result()
	must(t, err)
	must(t, c.Del(t.Context(), keys...).Err())
	for k, v := range behind {
		must(t, c.Restore(t.Context(), k, 0, v).Err())
	}
	again, err := other.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Hour}, jobqueue.Want{Name: r[0].Name, Max: 1})
	if err != nil || len(again) != 1 || again[0].ID != claims[0].ID {
		t.Fatalf("Pop by another = %+v, %v", again, err)
	}
	lost, err := b.Extend(t.Context(), time.Hour, claims[0].Token, claims[1].Token)
	if err != nil || len(lost) != 1 || lost[0] != claims[0].Token {
		t.Fatalf("Extend = %v, %v, want the first claim to be lost", lost, err)
	}
	gone, err := b.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionDone}, jobqueue.Outcome{Claim: claims[1], Do: jobqueue.ActionDone})
	if err != nil || len(gone) != 1 || gone[0] != claims[0] {
		t.Fatalf("Settle = %v, %v, want the first claim to be lost", gone, err)
	}
	must(t, settleAll(t.Context(), other, again))
}
