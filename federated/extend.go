package federated

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Extend implements [jobqueue.Backend]. The token of a claim names its partition; that of a Pop is asked about everywhere.
func (b *Backend) Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error) {
	if err := (jobqueue.Lease{TTL: ttl}).Check(); err != nil && len(tokens) > 0 {
		return nil, err
	}
	shares := b.all()
	for i, t := range tokens {
		if home := b.holder(t); home != nil {
			shares[home.place].places = append(shares[home.place].places, i)
			continue
		}
		for k := range shares {
			shares[k].places = append(shares[k].places, i)
		}
	}
	shares = slices.DeleteFunc(shares, func(s share) bool { return len(s.places) == 0 })
	held := make([][]bool, len(b.parts)) // by partition, and by the place in its share
	missing, err := scatter(shares, func(s share) (err error) {
		s.hurry()
		held[s.place], err = b.extend(ctx, s, ttl, tokens)
		return err
	})
	part, ok := errors.AsType[*jobqueue.PartError](err)
	if err != nil && !ok {
		return nil, err
	}
	known := make([]bool, len(tokens)) // of which tokens it is known where they stand
	for _, s := range shares {
		for k, h := range held[s.place] {
			known[s.places[k]] = known[s.places[k]] || h
		}
	}
	for _, s := range missing {
		for _, i := range s.places {
			if !known[i] || b.holder(tokens[i]) == nil {
				known[i] = true
				part.Tokens = append(part.Tokens, tokens[i])
			}
		}
	}
	for i, t := range tokens {
		if !known[i] {
			lost = append(lost, t)
		}
	}
	return lost, err
}

// extend extends the claims of the tokens in a share, and reports which hold any.
func (b *Backend) extend(ctx context.Context, s share, ttl time.Duration, tokens []uuid.UUID) ([]bool, error) {
	mine := make([]uuid.UUID, len(s.places))
	for k, i := range s.places {
		if mine[k] = tokens[i]; b.holder(mine[k]) == nil {
			mine[k] = s.token(mine[k])
		}
	}
	lost, err := ask(ctx, s.partition, func(ctx context.Context, b jobqueue.Backend) ([]uuid.UUID, error) {
		return b.Extend(ctx, ttl, mine...)
	})
	if err != nil {
		return nil, err
	}
	gone := make(map[uuid.UUID]struct{}, len(lost))
	for _, t := range lost {
		gone[t] = struct{}{}
	}
	held := make([]bool, len(mine))
	for k, t := range mine {
		_, is := gone[t]
		held[k] = !is
	}
	return held, nil
}
