package queuedb

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Settle implements [jobqueue.Backend].
func (b *Backend) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	var tokens []uuid.UUID
	seen := map[uuid.UUID]struct{}{}
	for i := range outcomes {
		if err := outcomes[i].Check(); err != nil {
			return nil, err
		}
		token := outcomes[i].Claim.Token
		if i > 0 && token == tokens[len(tokens)-1] {
			continue
		}
		if _, again := seen[token]; !again {
			seen[token] = struct{}{}
			tokens = append(tokens, token)
		}
	}
	err = b.write(ctx, func(t tx) (err error) {
		lost, err = t.settle(tokens, outcomes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

func (t tx) settle(tokens []uuid.UUID, outcomes []jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	ledgers, err := t.findLedgers(tokens)
	if err != nil {
		return nil, err
	}
	var s settling
	for i := range outcomes {
		o := &outcomes[i]
		l, id := ledgers[o.Claim.Token], parseID(o.Claim.ID)
		switch {
		case l == nil:
			lost = append(lost, o.Claim)
		case l.settle(id):
			s.add(o, id, t.now())
		case !l.settled.has(id) && !slices.Contains(l.done, id):
			lost = append(lost, o.Claim)
		}
	}
	if err := s.write(t); err != nil {
		return nil, err
	}
	for _, l := range ledgers {
		if l.changed() {
			if err := l.write(t); err != nil {
				return nil, err
			}
		}
	}
	return lost, nil
}

// A settling sorts outcomes by what is to be done.
type settling struct {
	done  Numbers
	ready struct {
		failures, ids []int64
		reasons       []string
	}
	delayed, abandoned struct {
		failures, ids, at []int64
		reasons           []string
	}
}

func (s *settling) add(o *jobqueue.Outcome, id, now int64) {
	failure := int64(1)
	if o.Do == jobqueue.ActionGiveBack {
		failure = 0
	}
	switch {
	case o.Do == jobqueue.ActionDone:
		s.done = append(s.done, id)
	case o.Do == jobqueue.ActionAbandon:
		s.abandoned.ids, s.abandoned.failures = append(s.abandoned.ids, id), append(s.abandoned.failures, failure)
		s.abandoned.reasons = append(s.abandoned.reasons, cut(o.Err))
		at := int64(0)
		if o.Keep > 0 {
			at = now + micros(o.Keep)
		}
		s.abandoned.at = append(s.abandoned.at, at)
	case o.Delay > 0:
		s.delayed.ids, s.delayed.failures = append(s.delayed.ids, id), append(s.delayed.failures, failure)
		s.delayed.reasons = append(s.delayed.reasons, cut(o.Err))
		s.delayed.at = append(s.delayed.at, now+micros(o.Delay))
	default:
		s.ready.ids, s.ready.failures = append(s.ready.ids, id), append(s.ready.failures, failure)
		s.ready.reasons = append(s.ready.reasons, cut(o.Err))
	}
}

func (s *settling) write(t tx) error {
	if len(s.done) > 0 {
		slices.Sort(s.done) // so that it is few ranges
		if err := t.deleteJobs(s.done); err != nil {
			return err
		}
	}
	if n := len(s.ready.ids); n > 0 {
		err := t.putBackWith(s.ready.failures, make([]int64, n), s.ready.reasons, s.ready.ids, column(n, t.now()))
		if err != nil {
			return err
		}
	}
	if n := len(s.delayed.ids); n > 0 {
		zeros := make([]int64, n)
		if err := t.ExecEach("job_change", s.delayed.failures, zeros, s.delayed.reasons, zeros, s.delayed.ids); err != nil {
			return err
		}
		if err := t.delay(s.delayed.at, s.delayed.ids); err != nil {
			return err
		}
	}
	return t.abandon(s.abandoned.at, s.abandoned.failures, s.abandoned.reasons, s.abandoned.ids)
}

// abandon puts away jobs, which are nowhere, until some time each or, with 0, for ever.
func (t tx) abandon(until, failures []int64, reasons []string, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if err := t.ExecEach("abandoned_put", until, failures, reasons, ids); err != nil {
		return err
	}
	return t.deleteJobs(slices.Sorted(slices.Values(ids)))
}

// cut shortens an error to what is stored.
func cut(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), jobqueue.MaxError)], "\x00", ""), "")
}

// Extend implements [jobqueue.Backend].
func (b *Backend) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	if err := (jobqueue.Lease{TTL: ttl}).Check(); err != nil {
		return nil, err
	}
	rows := make([][]byte, len(tokens))
	for i := range tokens {
		rows[i] = tokens[i][:]
	}
	held := make(map[uuid.UUID]struct{}, len(tokens))
	us := micros(ttl)
	err = b.writeFirst(ctx, func(t tx) error {
		clear(held)
		return t.QueryEach("claim_extend", func(scan Scan) error {
			var token []byte
			if err := scan(&token); err != nil {
				return err
			}
			id, err := uuid.FromBytes(token)
			held[id] = struct{}{}
			return err
		}, rows, column(len(tokens), us), column(len(tokens), t.now()+us))
	})
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		if _, ok := held[token]; !ok {
			lost = append(lost, token)
		}
	}
	return lost, nil
}
