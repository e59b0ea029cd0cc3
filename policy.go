package jobqueue

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// NoLimit, for a duration of a [Policy], means that there is none.
const NoLimit time.Duration = -1

// A Policy says how the jobs of one type are treated. A zero field means the default.
type Policy struct {
	// MaxTries is how often a job is tried before it is abandoned. Default 3.
	// [Spec.MaxTries] goes before it.
	MaxTries int

	// Lease is how long a runner's claim lasts past its last heartbeat, and so
	// how long the jobs of a runner that died wait. Default 10 s.
	Lease time.Duration

	// ClaimTTL is how long a claim of [Queue] lasts, which nobody extends. Default 1 h.
	ClaimTTL time.Duration

	// Timeout is how long one run may take; its context ends then, and the
	// attempt has failed. Default 1 h. NoLimit is allowed.
	Timeout time.Duration

	// Backoff returns how long to wait after the attempt'th try failed, the
	// first being 1. Default [ExponentialBackoff](1 s, 1 h).
	Backoff func(attempt int) time.Duration

	// AtMostOnce settles a job as done just before it runs: it never runs
	// twice, and is lost if its process dies or it fails.
	AtMostOnce bool

	// NeverInline keeps jobs from running where they are pushed, see [Group.Push]: if one is not to be
	// stored it is refused. It is for work that would hold up whoever pushes it. [WithSynchronous] goes before it.
	NeverInline bool

	// Dedupe deduplicates every job of the type, as [Spec.Dedupe] does one.
	Dedupe bool

	// Rate is how many work items of the type may start per second. 0 is no limit.
	Rate float64

	// Keep is how long an abandoned job is kept. Default 7 days. NoLimit is allowed.
	Keep time.Duration

	// MaxSnooze is how long after it was queued a job may still snooze.
	// Default 7 days. NoLimit is allowed.
	MaxSnooze time.Duration
}

var defaultBackoff = ExponentialBackoff(time.Second, time.Hour)

// Check returns an [ErrInvalid] for a field that makes no sense.
func (p Policy) Check() error {
	for _, d := range []struct {
		name    string
		d       time.Duration
		noLimit bool
	}{
		{"Lease", p.Lease, false}, {"ClaimTTL", p.ClaimTTL, false},
		{"Timeout", p.Timeout, true}, {"Keep", p.Keep, true}, {"MaxSnooze", p.MaxSnooze, true},
	} {
		if d.d < 0 && !(d.noLimit && d.d == NoLimit) || 0 < d.d && d.d < time.Millisecond {
			return fmt.Errorf("%w: %s is %v, at least 1ms is needed", ErrInvalid, d.name, d.d)
		}
	}
	switch {
	case p.MaxTries < 0:
		return fmt.Errorf("%w: MaxTries is %d, at least 1 is needed", ErrInvalid, p.MaxTries)
	case !(p.Rate >= 0) || math.IsInf(p.Rate, 0):
		return fmt.Errorf("%w: Rate is %v, it must be a number of items per second", ErrInvalid, p.Rate)
	}
	return nil
}

// WithDefaults returns p with its zero fields set to the defaults, and with the
// longest lease, claim and keeping time there is where it has longer ones.
func (p Policy) WithDefaults() Policy {
	if p.MaxTries < 1 {
		p.MaxTries = 3 // fewer would abandon every job unrun
	}
	def(&p.Lease, 10*time.Second)
	def(&p.ClaimTTL, time.Hour)
	def(&p.Timeout, time.Hour)
	def(&p.Keep, DefaultKeep)
	def(&p.MaxSnooze, 7*24*time.Hour)
	if p.Backoff == nil {
		p.Backoff = defaultBackoff
	}
	p.Lease, p.ClaimTTL = min(p.Lease, MaxDelay), min(p.ClaimTTL, MaxDelay)
	if p.Keep > MaxDelay {
		p.Keep = NoLimit
	}
	return p
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ExponentialBackoff returns a back-off that starts at first, doubles with
// every attempt up to most, and takes away up to a third at random, so that
// jobs which failed together don't come back together.
// Negative times count as none.
func ExponentialBackoff(first, most time.Duration) func(attempt int) time.Duration {
	most = max(most, 0)
	first = min(max(first, 0), most)
	return func(attempt int) time.Duration {
		d := most
		// Shifting by more than 62, or past most, would overflow.
		if n := min(max(attempt, 1)-1, 62); first <= most>>n {
			d = first << n
		}
		return d - time.Duration(rand.Int64N(int64(d)/3+1))
	}
}
