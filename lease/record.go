package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

// ErrStale says that a lease has been taken over or reset: its holder must write nothing more.
var ErrStale = errors.New("lease: stale token")

var errGarbage = errors.New("no record of a lease")

const (
	century  = 100 * 365 * 24 * time.Hour
	maxParty = 1 << 10
	lifetime = 30 * 24 * time.Hour // of a record that nobody writes
)

// A Party is one attempt of a process to hold a lease.
type Party struct {
	ID    string `json:"id"`              // its own for each attempt
	Owner string `json:"owner,omitempty"` // for people

	Waited time.Duration `json:"-"` // since somebody wanted the run, for the history. Not kept of who is on deck
}

// Past is a run that a domain has had.
type Past struct {
	Token   int64         `json:"token"`
	Owner   string        `json:"owner,omitempty"`
	Gap     time.Duration `json:"gap,omitempty"`     // since the one before it began; 0: none is known, or that was reset
	Waited  time.Duration `json:"waited,omitempty"`  // from when it was wanted, or the one before it began, to when it began, by its holder's clock
	Before  time.Duration `json:"before,omitempty"`  // of a run that was resumed: from when it began to when it was
	Took    time.Duration `json:"took"`              // less than 0: it has not ended, or nobody has said so
	Outcome string        `json:"outcome,omitempty"` // [Crashed], [WasReset], or what its end said
}

// Outcomes of runs that have not said how they ended.
const (
	Crashed  = "crashed"
	WasReset = "reset"
)

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

	Reset bool `json:"reset,omitempty"` // it was reset, and nobody has begun since

	// Past has the last runs, oldest first, with the one of the current holder. See Rules.Keep.
	Past []Past `json:"past,omitempty"`
}

// latest returns the run that began last, in a history of its own; nil if there is none.
func (r *Record) latest() *Past {
	if len(r.Past) == 0 {
		return nil
	}
	r.Past = slices.Clone(r.Past)
	return &r.Past[len(r.Past)-1]
}

// begin adds the run of the current holder to the history, of which it leaves so many; was is the record before.
func (r *Record) begin(was Record, waited time.Duration, keep int) {
	r.Past = was.Past
	p := Past{Token: r.Token, Owner: clip(r.Current.Owner), Waited: max(waited, 0), Took: -1}
	if last := r.latest(); last != nil {
		p.Waited = min(p.Waited, -was.Started) // what was wanted before, that one was for
		if !was.Reset {
			p.Gap = -was.Started
		}
		if last.Took < 0 && last.Outcome == "" {
			last.Outcome = Crashed
		}
	}
	r.Past = append(r.Past, p)
	r.Past = r.Past[max(0, len(r.Past)-keep):]
}

// again has the current holder begin now: it has not known that it was one.
func (r *Record) again(u Rules) {
	if last := r.latest(); last != nil && last.Gap > 0 {
		last.Gap -= r.Started
	}
	r.Started, r.NotBefore, r.Beat = 0, u.Interval, 0
}

// finish notes how long a run took, at most so long, and how it ended, also of one that has been taken over. It reports whether it is known.
func (r *Record) finish(token int64, took, most time.Duration, outcome string) bool {
	i := slices.IndexFunc(r.Past, func(p Past) bool { return p.Token == token })
	if i < 0 || r.Past[i].Took >= 0 {
		return false
	}
	r.Past = slices.Clone(r.Past)
	p := &r.Past[i]
	p.Took = min(max(took, 0)+p.Before, most)
	if p.Outcome == "" {
		p.Outcome = clip(outcome)
	}
	return true
}

// encode returns what is stored of a record, which loses the oldest of its history if that is too much.
func encode(r Record) ([]byte, error) {
	for {
		data, err := json.Marshal(r)
		if err != nil || len(data) <= jobqueue.MaxValue || len(r.Past) == 0 {
			return data, err
		}
		r.Past = r.Past[(len(r.Past)+1)/2:]
	}
}

// clip shortens what is for people in the history.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }

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
