package jobqueue

import (
	"context"
	"encoding/json"
	"time"
)

// A Job is one unit of deferred work.
//
// Its exported fields, as encoding/json sees them, are its parameters: they
// are stored when the job is pushed and filled in before it runs.
// A Job may have a method WorkItems() int, the number of items throttling
// charges for it; without one a job counts as 1.
type Job interface {
	// Type names the kind of work. It selects the constructor and the
	// backend, and must not depend on the parameters.
	Type() string

	// Run does the work. A nil error means that it is done. With any other
	// error, or a panic, the job is tried again after a back-off until its
	// tries are used up; [Abandon], [RetryIn], [Snooze] and [Fault] say otherwise.
	//
	// Run must return soon after ctx is done; [context.Cause] says why.
	// A job may run more than once, so Run should be idempotent.
	Run(ctx context.Context) error
}

// A Root is the edit or action that a tree of jobs comes from.
//
// Of two jobs of the same domain, type and root key, the one with the older
// Time is superseded: it is settled without running. Equal times are not
// older. A job that pushes children passes its own Root on to them, as
// [FromContext] returns it; a child with a zero Time would be a root of its own.
type Root struct {
	Key  string    // what was changed; "" means that the job has no root
	Time time.Time // when, at most a day ahead of the pusher's clock; zero means the time of the push by the store's clock
}

// A Spec says what to push.
type Spec struct {
	Job       Job               // what to run; or Type and Params
	Type      string            // the type, when Job is nil
	Params    json.RawMessage   // a JSON object, kept byte for byte; nil means {}
	Domain    string            // "" means the group's
	Delay     time.Duration     // how long to wait, by the store's clock
	ReleaseAt time.Time         // or the instant to wait for
	Dedupe    bool              // drop the job while an equal one waits
	DedupeKey string            // what "equal" means, instead of the parameters; implies Dedupe
	Root      Root              // what it comes from
	MaxTries  int               // 0 means the policy of the type where the job runs
	Headers   map[string]string // carried along, such as a request id or a W3C traceparent
}

// A Record is a checked [Spec] with its parameters encoded and its dedupe
// digest worked out: all that a [Backend] sees of a job. Its instants are in UTC
// and whole microseconds, which a backend keeps.
type Record struct {
	Name
	Params    json.RawMessage
	Digest    Digest        // zero: not deduplicated
	Delay     time.Duration // never negative; at most one of Delay and ReleaseAt is set
	ReleaseAt time.Time
	Root      Root
	MaxTries  int // 0: the policy of the type where the job runs
	Headers   map[string]string
}

type claimKey struct{}

// FromContext returns the claim of the job that ctx was made for:
// inside Run its domain, id, attempt, root and headers.
// It returns nil anywhere else.
func FromContext(ctx context.Context) *Claim {
	c, _ := ctx.Value(claimKey{}).(*Claim)
	return c
}

// NewContext returns a context that carries c for [FromContext].
// Runners call it; so may a test of a job's Run.
func NewContext(ctx context.Context, c *Claim) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}
