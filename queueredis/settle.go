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
			for _, i := range list(v) {
				missing[shard] = append(missing[shard], all[number(i)].Claim)
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

// orderOf returns what turn.lua is told of settlements.
func orderOf(all []settlement) []any {
	order := make([]any, 2, 5+len(all))
	order[0] = "s"
	runs := 0
	for len(all) > 0 {
		runs++
		s := all[0]
		token := s.Claim.Token
		if s.Do == jobqueue.ActionDone {
			n := doneTogether(all, token)
			order = append(order, token[:], "d", n)
			for _, s := range all[:n] {
				order = append(order, hex(s.id.number))
			}
			all = all[n:]
			continue
		}
		keep := ""
		if s.Keep > 0 {
			keep = micros(s.Keep)
		}
		order = append(order, token[:], letters[s.Do], hex(s.id.number), micros(max(s.Delay, 0)), keep, cut(s.Err))
		all = all[1:]
	}
	order[1] = runs
	return order
}

func doneTogether(all []settlement, token uuid.UUID) int {
	for i, s := range all {
		if s.Do != jobqueue.ActionDone || s.Claim.Token != token {
			return i
		}
	}
	return len(all)
}

// cut shortens an error to what is stored.
func cut(s string) string {
	if len(s) <= jobqueue.MaxError {
		return s
	}
	return strings.ToValidUTF8(s[:jobqueue.MaxError], "")
}
