package jobqueue

import (
	"context"
	"time"
)

// A Trace is a set of hooks that a [Group] calls. Any of them may be nil. They are
// called from any goroutine, after the fact, and must return soon and leave
// what they are given unchanged, but for what is said of Pushing.
type Trace struct {
	// Pushing is called as each Group.Push begins, before anything is stored. It may give records other Headers:
	// another map, as the one that is there is the caller's. What it returns, unless nil, is called at the end of the push.
	Pushing func(ctx context.Context, records []Record) (done func(pushed Pushed, err error))

	// Pushed is called for each Backend.Push, of one backend's share of a push.
	Pushed func(ctx context.Context, records []Record, pushed Pushed, err error)

	// Inline is called for each job that ran where it was pushed, why being Claim.Inline, with what failed it.
	Inline func(ctx context.Context, c *Claim, why string, took time.Duration, err error)

	// Popped is called for each Backend.Pop, with all it returned.
	Popped func(ctx context.Context, claims []*Claim, err error)

	// Superseded is called for each job that was settled unrun because of a newer root.
	Superseded func(ctx context.Context, c *Claim)

	// Exhausted is called for each job that was abandoned at its Pop because its tries
	// were used up by claims that ran out.
	Exhausted func(ctx context.Context, c *Claim, reason string)

	// Settled is called for each Backend.Settle.
	Settled func(ctx context.Context, outcomes []Outcome, lost []*Claim, err error)

	// Maintained is called for each Backend.Maintain.
	Maintained func(ctx context.Context, m Maintained, err error)

	// Notified is called for each Aggregator.Notify.
	Notified func(ctx context.Context, queues []Backlog, err error)
}
