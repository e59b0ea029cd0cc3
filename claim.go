package jobqueue

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// A Claim is a job handed over by a Pop. (Token, ID) is its fence: only this
// pair can settle it, and only while the lease lasts.
// Nobody but its backend and its group changes a Claim.
type Claim struct {
	Record               // Root.Time is filled in; Digest is zero, as claiming gives it up
	ID         string    // names the job in its backend, for good
	Token      uuid.UUID // the token of the Pop, or one that a backend made of several has made of it
	Attempt    int       // 1 the first time; filled in by [Group]
	QueuedAt   time.Time // when it was pushed, by the store's clock
	Expires    time.Time // when the lease ends, by the local monotonic clock; never later than in the store
	Failures   int       // runs that failed
	Expiries   int       // claims that ran out
	LastError  string    // why the last attempt failed; at most 4 KiB
	Superseded bool      // a newer root exists; [Group.Pop] settles it and keeps it to itself
	Inline     string    // why the job runs where it was pushed, such as [NotAsync]; then it is in no store, and nobody settles it

	backend Backend // where it was claimed, whatever the routes say by now
}

// Tries returns how many tries the job has used up. The first two expiries
// are free: only from the second on does a job run alone in its process, and
// only then is an expiry surely its own doing.
func (c *Claim) Tries() int { return c.Failures + max(0, c.Expiries-2) }

// Suspect reports whether a claim of the job has run out before, so that it
// may be what killed its process. A runner claims such a job only for a worker that is free.
func (c *Claim) Suspect() bool { return c.Expiries > 0 }

// Alone reports whether the job must run with no other job beside it in its process.
func (c *Claim) Alone() bool { return c.Expiries > 1 }

// An Action is what a settlement does with a job.
type Action uint8

const (
	ActionDone     Action = iota + 1 // delete it
	ActionRetry                      // count a failure; ready after Delay
	ActionGiveBack                   // count nothing; ready after Delay
	ActionAbandon                    // count a failure; keep it, never to be handed out, for Keep
)

// An Outcome settles one claim.
type Outcome struct {
	Claim *Claim
	Do    Action
	Delay time.Duration // retry and give back: how long to wait, by the store's clock
	Keep  time.Duration // abandon: how long to keep the job; 0 or less means for ever
	Err   string        // why; stored with the job, cut to 4 KiB; "" leaves what was there
}

// Check returns an [ErrInvalid] if there is no such action. A backend calls it first in Settle.
func (o *Outcome) Check() error {
	if o.Do < ActionDone || o.Do > ActionAbandon {
		return fmt.Errorf("%w: job %s: there is no action %d", ErrInvalid, o.Claim.ID, o.Do)
	}
	return nil
}

// A State is where a stored job stands. A job that is done is gone.
type State uint8

const (
	Ready     State = iota + 1 // a Pop would hand it out
	Delayed                    // waits for its release time
	Claimed                    // handed out
	Abandoned                  // out of tries; kept to be looked at
)

var stateNames = [...]string{Ready: "ready", Delayed: "delayed", Claimed: "claimed", Abandoned: "abandoned"}

// States lists every State in the order of a job's life.
func States() []State { return []State{Ready, Delayed, Claimed, Abandoned} }

func (s State) String() string {
	if int(s) < len(stateNames) && s != 0 {
		return stateNames[s]
	}
	return "unknown"
}

// ParseState is the inverse of [State.String].
func ParseState(s string) (State, bool) {
	for _, st := range States() {
		if st.String() == s {
			return st, true
		}
	}
	return 0, false
}
