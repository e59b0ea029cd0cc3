package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrStale says that a lease has been taken over or reset: its holder must write nothing more.
var ErrStale = errors.New("lease: stale token")

var errGarbage = errors.New("no record of a lease")

const (
	century  = 100 * 365 * 24 * time.Hour
	maxParty = 1 << 10
)

// A Party is one attempt of a process to hold a lease.
type Party struct {
	ID    string `json:"id"`              // its own for each attempt
	Owner string `json:"owner,omitempty"` // for people
}

// A Record is what is kept of the lease of a domain. Its times are counted from the moment it
// was read, by the store's clock; those that have passed are negative.
type Record struct {
	// Token is a number that was never given before, of the current holder or of a reset. 0: there is no record.
	Token int64 `json:"token"`

	Current   Party         `json:"current"` // who took the lease last, ended or not; no ID: nobody since a reset
	Started   time.Duration `json:"started"`
	NotBefore time.Duration `json:"not_before"` // when the next may begin
	Beat      time.Duration `json:"beat"`       // when the current holder was last known to live
	Over      bool          `json:"over,omitempty"`
	Ended     time.Duration `json:"ended,omitempty"`   // if it is Over
	Outcome   string        `json:"outcome,omitempty"` // if it is Over, for people

	Next        Party         `json:"next"` // who is on deck; no ID: nobody
	NextExpires time.Duration `json:"next_expires,omitempty"`
}

// after returns r as it is when d more has passed.
func (r Record) after(d time.Duration) Record {
	for _, t := range []*time.Duration{&r.Started, &r.NotBefore, &r.Beat, &r.Ended, &r.NextExpires} {
		*t = max(*t-d, -century)
	}
	return r
}

// decode reads a record. What no Store has written is an error.
func decode(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", errGarbage, err)
	}
	for _, t := range []time.Duration{r.Started, r.NotBefore, r.Beat, r.Ended, r.NextExpires} {
		if t < -century || t > century {
			return Record{}, fmt.Errorf("%w: a time of %v", errGarbage, t)
		}
	}
	if r.Token < 1 {
		return Record{}, fmt.Errorf("%w: the token %d", errGarbage, r.Token)
	}
	return r, nil
}
