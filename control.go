package jobqueue

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Limits of a [Control] and a [Limiter].
const (
	MaxKey   = 1 << 10     // bytes of a key
	MaxValue = 64 << 10    // bytes of the data of a value
	MaxWait  = time.Second // a charge that would have to wait so long is refused
)

// AnyVersion sets a value whatever version the store has.
const AnyVersion int64 = -1

// A Value is a small named value in a store, apart from all queues.
type Value struct {
	Key     string        // 1 to MaxKey bytes of UTF-8 without control characters
	Data    []byte        // at most MaxValue bytes; nil: there is none
	Version int64         // a new one, higher than all before, each time the key is set; 0: there is none
	Age     time.Duration // since it was set, by the store's clock; SetValue ignores it
	TTL     time.Duration // how much longer it lives; 0: for ever
}

// Check returns an [ErrInvalid] or [ErrTooLarge] that says which rule v breaks. A
// backend calls it first in SetValue.
func (v Value) Check() error {
	switch {
	case v.Version < AnyVersion:
		return fmt.Errorf("%w: value %q: there is no version %d", ErrInvalid, v.Key, v.Version)
	case v.TTL < 0 || v.TTL > MaxDelay:
		return fmt.Errorf("%w: value %q cannot live for %v", ErrInvalid, v.Key, v.TTL)
	case len(v.Data) > MaxValue:
		return fmt.Errorf("%w: value %q has %d bytes, at most %d are allowed", ErrTooLarge, v.Key, len(v.Data), MaxValue)
	}
	return checkText("key", v.Key, MaxKey)
}

// Control is implemented by a [Backend] that keeps small named values: what
// is paused, which runners are alive, whose turn maintenance is. Without it
// nothing can be paused and every runner stands by itself.
//
// Values are few and small. One whose TTL has run out is as if deleted.
type Control interface {
	// Values returns the values whose keys begin with prefix, sorted by the
	// bytes of the key. A prefix that is not UTF-8 is an [ErrInvalid].
	Values(ctx context.Context, prefix string) ([]Value, error)

	// SetValue stores v.Data for v.TTL, or for ever if that is 0, provided that
	// the store has v.Version of it: 0 means none, and AnyVersion whatever it
	// has. Nil Data deletes the value. It returns what the store has afterwards,
	// with the version 0 if there is none, and whether that is what was asked for.
	//
	// No version of a key comes twice, not even after it was deleted or ran
	// out. Repeating a call whose answer was lost may so find its own value
	// and report false; the caller compares the data.
	SetValue(ctx context.Context, v Value) (now Value, ok bool, err error)
}

// A Charge is work to be done at a rate.
type Charge struct {
	Key       string  // whose rate it is; as that of a [Value], of which it is independent
	Items     float64 // how much work; 0 or more
	PerSecond float64 // the rate; more than 0
}

// Check returns an [ErrInvalid] that says which rule c breaks. A backend calls it first in Charge.
func (c Charge) Check() error {
	switch {
	case !(c.PerSecond > 0) || math.IsInf(c.PerSecond, 1):
		return fmt.Errorf("%w: charge %q: %v is no rate", ErrInvalid, c.Key, c.PerSecond)
	case !(c.Items >= 0) || math.IsInf(c.Items, 1):
		return fmt.Errorf("%w: charge %q: there are no %v items", ErrInvalid, c.Key, c.Items)
	}
	return checkText("key", c.Key, MaxKey)
}

// Takes returns how long the items take at the rate, to the nanosecond; at most a century.
func (c Charge) Takes() time.Duration {
	return time.Duration(math.Round(min(c.Items/c.PerSecond, MaxDelay.Seconds()) * float64(time.Second)))
}

// Limiter is implemented by a [Backend] that can hold all runners together to
// a rate. Without it every runner keeps the rate by itself.
type Limiter interface {
	// Charge books the charges one after the other, each behind what is booked
	// under its key by then, and returns for each how long until it may start, by the
	// store's clock. One that would have to wait for MaxWait or longer is not booked.
	//
	// Nothing is saved up while nobody charges. There is no bound on the items of one charge:
	// it moves those behind it back accordingly. A charge whose answer was lost may be booked.
	// A charge that is invalid is an error, and then nothing is booked.
	Charge(ctx context.Context, charges ...Charge) (waits []time.Duration, err error)
}
