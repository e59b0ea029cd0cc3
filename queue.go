package jobqueue

import "context"

// A Queue is the jobs of one type on one domain. [Group.Queue] returns one,
// the same for every backend.
type Queue interface {
	// Name returns the queue's name.
	Name() Name

	// Push is [Group.Push] for jobs of this queue; a Spec of another type or domain is an [ErrInvalid].
	Push(ctx context.Context, jobs ...Spec) (Pushed, error)

	// Pop claims up to n jobs for [Policy.ClaimTTL], oldest first. Nobody extends these
	// claims: Ack each job before that, or it runs again.
	// No jobs and no error means that none is ready.
	Pop(ctx context.Context, n int) ([]*Claim, error)

	// Ack settles claims as done. The error is a [LostError] if any was
	// no longer held; the others are settled.
	// To fail or give back a job use [Group.Settle].
	Ack(ctx context.Context, claims ...*Claim) error

	// IsEmpty reports whether a Pop would find no job now. Delayed and claimed
	// jobs do not count.
	IsEmpty(ctx context.Context) (bool, error)
}
