package queueredis

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A settlement is an outcome and the number of its job.
type settlement struct {
	*jobqueue.Outcome
	id jobID
}

// Settle implements [jobqueue.Backend].
func (b *Backend) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	for i := range outcomes {
		if err := outcomes[i].Check(); err != nil {
			return nil, err
		}
	}
	all := make([]settlement, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		if id, ok := b.parseID(o.Claim.ID); ok {
			all = append(all, settlement{o, id})
		} else {
			lost = append(lost, o.Claim)
		}
	}
	missing := make([][]*jobqueue.Claim, b.shards)
	err = each(byShard(b, all, func(s settlement) int { return s.id.shard }), func(shard int, all []settlement) error {
		for len(all) > 0 {
			n := min(len(all), mostWeight)
			v, err := b.turn(ctx, shard, n, orderOf(all[:n]))
			if err != nil {
				return err
			}
			if gone := fencesOf(list(v)); len(gone) > 0 {
				for _, s := range all[:n] {
					if gone[fence{s.Claim.Token, s.id.number}] {
						missing[shard] = append(missing[shard], s.Claim)
					}
				}
			}
			all = all[n:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range missing {
		lost = append(lost, m...)
	}
	return lost, nil
}

var letters = map[jobqueue.Action]string{jobqueue.ActionRetry: "r", jobqueue.ActionGiveBack: "g", jobqueue.ActionAbandon: "a"}

// A fence is what a settlement needs to hold.
type fence struct {
	token  uuid.UUID
	number int64
}

// fencesOf returns what is in an answer of settle.lua.
func fencesOf(a []any) map[fence]bool {
	all := map[fence]bool{}
	for i := 0; i+1 < len(a); i += 2 {
		var f fence
		copy(f.token[:], text(a[i]))
		f.number = unhex(text(a[i+1]))
		all[f] = true
	}
	return all
}

// orderOf returns what turn.lua is told of settlements.
func orderOf(all []settlement) []any {
	order := make([]any, 2, 5+len(all)/4)
	order[0] = "s"
	runs := 0
	for len(all) > 0 {
		if all[0].Do == jobqueue.ActionDone {
			var finished []*finish
			finished, all = finishOf(all)
			runs += len(finished)
			for _, f := range finished {
				order = f.append(order)
			}
			continue
		}
		s := all[0]
		keep := ""
		if s.Keep > 0 {
			keep = micros(s.Keep)
		}
		token := s.Claim.Token
		order = append(order, token[:], letters[s.Do], hex(s.id.number), micros(max(s.Delay, 0)), keep, cut(s.Err))
		runs++
		all = all[1:]
	}
	order[1] = runs
	return order
}

// A finish is the jobs of a token that are done. They are told by their blocks, sixteen at a time.
type finish struct {
	token  uuid.UUID
	blocks []int64
	which  map[int64]int // of the jobs of a block, a bit for each
}

// finishOf returns the settlements up to the first whose job is not done, by their tokens, and the rest.
func finishOf(all []settlement) (finished []*finish, rest []settlement) {
	byToken := map[uuid.UUID]*finish{}
	var f *finish
	for i, s := range all {
		if s.Do != jobqueue.ActionDone {
			return finished, all[i:]
		}
		if f == nil || f.token != s.Claim.Token {
			if f = byToken[s.Claim.Token]; f == nil {
				f = &finish{token: s.Claim.Token, which: map[int64]int{}}
				byToken[f.token] = f
				finished = append(finished, f)
			}
		}
		b := s.id.number >> 4
		if f.which[b] == 0 {
			f.blocks = append(f.blocks, b)
		}
		f.which[b] |= 1 << (s.id.number & 15)
	}
	return finished, nil
}

func (f *finish) append(order []any) []any {
	order = append(order, f.token[:], "d", len(f.blocks))
	for _, b := range f.blocks {
		prefix := ""
		if b > 0 {
			prefix = hex(b)
		}
		order = append(order, prefix, f.which[b])
	}
	return order
}

// cut shortens an error to what is stored.
func cut(s string) string {
	if len(s) <= jobqueue.MaxError {
		return s
	}
	return strings.ToValidUTF8(s[:jobqueue.MaxError], "")
}
