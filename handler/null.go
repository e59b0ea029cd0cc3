package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A NullJob does nothing for a while. Its type is null. While it has more
// than one life it ends by pushing itself with one life less, on its own
// domain, with its own root.
type NullJob struct {
	Lives  int    `json:"lives,omitempty"`  // how many runs in all; 0 counts as 1
	Sleep  Sleep  `json:"sleep,omitzero"`   // how long each run takes
	USleep int64  `json:"usleep,omitempty"` // the same in microseconds; both add up
	Dedupe bool   `json:"dedupe,omitempty"` // whether the pushed ones are deduplicated
	Note   string `json:"note,omitempty"`   // anything; makes jobs differ

	group *jobqueue.Group
}

// Null returns a constructor of null jobs, for [jobqueue.Registry.Add], that push to g.
func Null(g *jobqueue.Group) func() jobqueue.Job {
	return func() jobqueue.Job { return &NullJob{group: g} }
}

// Type implements [jobqueue.Job].
func (*NullJob) Type() string { return "null" }

// Run implements [jobqueue.Job].
func (j *NullJob) Run(ctx context.Context) error {
	if d := time.Duration(j.Sleep) + time.Duration(j.USleep)*time.Microsecond; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if j.Lives <= 1 {
		return nil
	}
	next := *j
	next.Lives--
	s := jobqueue.Spec{Job: &next, Dedupe: j.Dedupe}
	if c := jobqueue.FromContext(ctx); c != nil {
		s.Domain, s.Root, s.Headers = c.Domain, c.Root, c.Headers
	}
	_, err := j.group.Push(ctx, s)
	return err
}

// Sleep is a length of time that reads from JSON as a string such as "50ms" or
// as a number of milliseconds, and is written as a string.
type Sleep time.Duration

// MarshalJSON implements [json.Marshaler].
func (s Sleep) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Sleep) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		d, err := time.ParseDuration(text)
		*s = Sleep(d)
		return err
	}
	var ms float64
	if err := json.Unmarshal(b, &ms); err != nil {
		return fmt.Errorf("sleep must be a length of time such as \"50ms\", or milliseconds, not %s", b)
	}
	*s = Sleep(ms * float64(time.Millisecond))
	return nil
}
