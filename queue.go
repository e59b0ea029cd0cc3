package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// A Queue is the jobs of one type on one domain. [Group.Queue] returns one,
// the same for every backend.
type Queue interface {
	// Name returns the queue's name.
	Name() Name

	// Push is [Group.Push] for jobs of this queue; a Spec of another type or domain is an [ErrInvalid].
	Push(ctx context.Context, jobs ...Spec) (Pushed, error)

	// Pop claims up to n jobs for [Policy.ClaimTTL], oldest first. Nobody extends these
	// claims: Ack each job before that, or it runs again.
	// No jobs and no error means that none is ready. A job whose claims ran out
	// twice may be what kills its process, so it comes alone: finish it before the next Pop.
	Pop(ctx context.Context, n int) ([]*Claim, error)

	// Ack settles claims as done. The error is a [LostError] if any was
	// no longer held; the others are settled.
	// To fail or give back a job use [Group.Settle].
	Ack(ctx context.Context, claims ...*Claim) error

	// IsEmpty reports whether a Pop would find no job now. Delayed and claimed
	// jobs do not count.
	IsEmpty(ctx context.Context) (bool, error)
}

// queue implements Queue.
type queue struct {
	g    *Group
	name Name
}

func (q *queue) Name() Name { return q.name }

func (q *queue) Push(ctx context.Context, jobs ...Spec) (Pushed, error) {
	specs := slices.Clone(jobs)
	for i := range specs {
		s := &specs[i]
		typ := s.Type
		if s.Job != nil {
			typ = s.Job.Type()
		} else if typ == "" {
			s.Type, typ = q.name.Type, q.name.Type
		}
		if typ != q.name.Type || s.Domain != "" && s.Domain != q.name.Domain {
			return nil, &Error{"push", q.name, fmt.Errorf("job %d: %w: it is for %v", i, ErrInvalid, Name{s.Domain, typ})}
		}
	}
	return q.g.Push(ctx, specs...)
}

func (q *queue) Pop(ctx context.Context, n int) ([]*Claim, error) {
	token, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	l := Lease{Token: token, TTL: q.g.Policy(q.name.Type).ClaimTTL}
	claims, err := q.g.Pop(ctx, l, Want{Name: q.name, Max: n})
	alone := slices.IndexFunc(claims, (*Claim).Alone)
	if err != nil || alone < 0 || len(claims) == 1 {
		return claims, err
	}
	var rest []Outcome
	for i, c := range claims {
		if i != alone {
			rest = append(rest, Outcome{Claim: c, Do: ActionGiveBack})
		}
	}
	// A claim that is lost already needs no giving back.
	if err := q.g.Settle(ctx, rest...); err != nil && !errors.Is(err, ErrNotClaimed) {
		return claims[alone : alone+1], err
	}
	return claims[alone : alone+1], nil
}

func (q *queue) Ack(ctx context.Context, claims ...*Claim) error {
	outcomes := make([]Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = Outcome{Claim: c, Do: ActionDone}
	}
	return q.g.Settle(ctx, outcomes...)
}

func (q *queue) IsEmpty(ctx context.Context) (bool, error) {
	for _, err := range q.g.Ready(ctx, q.name) {
		return false, err
	}
	return true, nil
}
