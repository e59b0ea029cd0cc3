package jobqueue

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Each sentinel stands for one decision that a caller takes.
var (
	// ErrNotClaimed: the claim is no longer the caller's; whatever it did is
	// not recorded, and the job is or was somebody else's. It is also the
	// cancellation cause of a running job whose claim is lost.
	ErrNotClaimed = errors.New("claim is no longer held")

	// ErrReadOnly: pushing, popping, deleting and requeueing are refused for
	// now; live claims can still be settled and extended.
	ErrReadOnly = errors.New("queue is read-only")

	// ErrUnavailable: the store cannot be reached or cannot take the call
	// now; repeating it later may work and does no harm.
	ErrUnavailable = errors.New("store is unavailable")

	// ErrUnknownType: no constructor is registered for the type.
	ErrUnknownType = errors.New("unknown job type")

	// ErrUnknownEvent: nothing says which jobs an event becomes. It is an ErrInvalid.
	ErrUnknownEvent = fmt.Errorf("%w: unknown event", ErrInvalid)

	// ErrInvalid: the input breaks a documented rule and always will.
	ErrInvalid = errors.New("invalid")

	// ErrTooLarge: the input is over a documented limit.
	ErrTooLarge = errors.New("too large")

	// ErrFault: the handler of a job type is broken or away, whatever the job; see [Fault].
	ErrFault = errors.New("handler at fault")
)

// An Error says what was being done, to which queue, and why it failed.
type Error struct {
	Op    string // push, pop, settle, …
	Queue Name   // zero when it concerns more than one
	Err   error
}

func (e *Error) Error() string {
	if e.Queue == (Name{}) {
		return "jobqueue: " + e.Op + ": " + e.Err.Error()
	}
	return "jobqueue: " + e.Op + " " + e.Queue.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// A LostError lists the claims of a call that were no longer held. What the
// call said of every other claim is done. It is an [ErrNotClaimed].
type LostError struct{ Claims []*Claim }

func (e *LostError) Error() string {
	c := e.Claims[0]
	if len(e.Claims) == 1 {
		return fmt.Sprintf("%v: %v job %s", ErrNotClaimed, c.Name, c.ID)
	}
	return fmt.Sprintf("%v: %v job %s and %d more", ErrNotClaimed, c.Name, c.ID, len(e.Claims)-1)
}

// Is reports whether target is [ErrNotClaimed].
func (e *LostError) Is(target error) bool { return target == ErrNotClaimed }

// A PartError says that parts of a [Backend] that is made of several could not be asked: what
// the call did, returned or yielded is right for all others. It is an [ErrUnavailable].
type PartError struct {
	Parts  []string    // their names
	Claims []*Claim    // of a Settle: those whose outcomes are not recorded
	Tokens []uuid.UUID // of an Extend: those that are neither extended nor lost
	Err    error       // why
}

func (e *PartError) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrUnavailable, strings.Join(e.Parts, ", "), e.Err)
}

// Is reports whether target is [ErrUnavailable].
func (e *PartError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the cause.
func (e *PartError) Unwrap() error { return e.Err }

// A verdict is an error from Run that says what to do with the job.
type verdict struct {
	do    Action
	delay time.Duration
	err   error
	fault bool
}

func (v *verdict) Error() string {
	switch {
	case v.err != nil:
		return v.err.Error()
	case v.fault:
		return ErrFault.Error()
	case v.do == ActionGiveBack:
		return "snoozed for " + v.delay.String()
	default:
		return "no reason given"
	}
}

func (v *verdict) Unwrap() error { return v.err }

// Is reports whether target is [ErrFault] and v is one.
func (v *verdict) Is(target error) bool { return v.fault && target == ErrFault }

// Abandon, returned by Run, abandons the job with the reason err:
// it is not tried again, and is kept for [Policy.Keep].
func Abandon(err error) error { return &verdict{do: ActionAbandon, err: err} }

// RetryIn, returned by Run, fails this attempt with the reason err and tries
// again after d instead of the policy's back-off. The attempt counts.
func RetryIn(d time.Duration, err error) error {
	return &verdict{do: ActionRetry, delay: max(d, 0), err: err}
}

// Snooze, returned by Run, tries again after d and does not count the
// attempt. A job is abandoned when a snooze would end later than
// [Policy.MaxSnooze] after it was queued.
func Snooze(d time.Duration) error { return &verdict{do: ActionGiveBack, delay: max(d, 0)} }

// Fault, returned by Run, says that not the job but what runs it is at fault:
// a missing program, an endpoint that is away. The job is given back with
// the reason err, uncounted, and a runner lets its type rest for a while,
// whatever the number of its jobs. It is an [ErrFault]. A job that is settled
// before it runs, see [Policy.AtMostOnce], is lost all the same.
func Fault(err error) error { return &verdict{do: ActionGiveBack, err: err, fault: true} }
