package queueredis

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// token returns the token under which a Pop claims jobs of a shard: version 8, and bytes 10 and 11 name the shard. So it is known of each
// claim where it is, and that one is lost is not hidden by those of the same Pop that another shard has. What had
// to make room is mixed into other bytes. The last four stay, as they are another's to read.
func (b *Backend) token(t uuid.UUID, shard int) uuid.UUID {
	if b.shards == 1 {
		return t
	}
	h := fnv.New64a()
	h.Write(t[:])
	for i, x := range h.Sum(nil) {
		t[i+4] ^= x
	}
	binary.BigEndian.PutUint16(t[10:], uint16(shard))
	t[6] = t[6]&0x0f | 0x80
	t[8] = t[8]&0x3f | 0x80
	return t
}

// home returns the shard that the token of a claim names, and false for that of a Pop.
func (b *Backend) home(t uuid.UUID) (shard int, ok bool) {
	shard = int(binary.BigEndian.Uint16(t[10:]))
	return shard, t.Version() == 8 && shard < b.shards
}

// An extended is a token of a shard and its place in the call.
type extended struct {
	token uuid.UUID
	place int
}

// Extend implements [jobqueue.Backend]. The token of a claim is asked about in its shard, that of a Pop in all of them.
func (b *Backend) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	if err := (jobqueue.Lease{TTL: ttl}).Check(); err != nil {
		return nil, err
	}
	parts := map[int][]extended{}
	asked := make([]int, len(tokens)) // how many shards about each
	for i, t := range tokens {
		if shard, ok := b.home(t); ok && b.shards > 1 {
			parts[shard] = append(parts[shard], extended{t, i})
			asked[i] = 1
			continue
		}
		for shard := range b.shards {
			parts[shard] = append(parts[shard], extended{b.token(t, shard), i})
		}
		asked[i] = b.shards
	}
	gone := make([][]int, b.shards) // places
	err = each(parts, func(shard int, all []extended) error {
		for part := range slices.Chunk(all, batch) {
			order := []any{"e", micros(ttl), len(part)}
			for _, x := range part {
				order = append(order, x.token[:])
			}
			v, err := b.turn(ctx, shard, len(part), order)
			if err != nil {
				return err
			}
			for _, i := range list(v) {
				gone[shard] = append(gone[shard], part[number(i)].place)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, places := range gone {
		for _, i := range places {
			asked[i]--
		}
	}
	for i, t := range tokens {
		if asked[i] == 0 {
			lost = append(lost, t)
		}
	}
	return lost, nil
}
