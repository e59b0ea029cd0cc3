package jobqueue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// DefaultMaxParams is how many bytes the parameters of a job may have unless
// [Routes.MaxParams] says otherwise.
const DefaultMaxParams = 1 << 20

// Limits of what else a job carries.
const (
	maxRootKey   = 1 << 10
	maxRootAhead = 24 * time.Hour // of the pusher's clock: a time too far ahead would supersede all that comes later
	maxHeaders   = 16 << 10
)

// MaxDelay is how far ahead a job may be released, and the longest lease and keeping time.
const MaxDelay = 100 * 365 * 24 * time.Hour

// Records checks the specs and fills in the defaults, as Push does first.
// The error names the first bad spec by its place.
func (g *Group) Records(specs ...Spec) ([]Record, error) {
	records := make([]Record, len(specs))
	var last rules
	for i := range specs {
		if err := g.record(&records[i], &specs[i], &last); err != nil {
			return nil, fmt.Errorf("job %d: %w", i, err)
		}
	}
	return records, nil
}

// Rules are what a group has found out about a queue. Most jobs of a push are of the same one.
type rules struct {
	name   Name
	known  bool
	dedupe bool
}

// rule makes sure that last is about a queue.
func (g *Group) rule(n Name, last *rules) error {
	if last.known && last.name == n {
		return nil
	}
	if err := n.Check(); err != nil {
		return err
	}
	if g.Knows != nil && !g.Knows(n.Domain) {
		return fmt.Errorf("%w: domain %q is not one of the farm's", ErrInvalid, n.Domain)
	}
	*last = rules{n, true, g.Policy(n.Type).Dedupe}
	return nil
}

func (g *Group) record(r *Record, s *Spec, last *rules) (err error) {
	*r = Record{
		Name:      Name{s.Domain, s.Type},
		Params:    s.Params,
		Delay:     s.Delay,
		ReleaseAt: s.ReleaseAt,
		Root:      s.Root,
		MaxTries:  s.MaxTries,
		Headers:   s.Headers,
	}
	if r.Domain == "" {
		r.Domain = g.domain
	}
	if s.Job != nil {
		if s.Type != "" || s.Params != nil {
			return fmt.Errorf("%w: give either Job, or Type and Params", ErrInvalid)
		}
		r.Type = s.Job.Type()
		if r.Params, err = encode(s.Job); err != nil {
			return err
		}
	}
	if !r.ReleaseAt.IsZero() {
		r.ReleaseAt = r.ReleaseAt.UTC().Truncate(time.Microsecond)
	}
	if !r.Root.Time.IsZero() {
		r.Root.Time = r.Root.Time.UTC().Truncate(time.Microsecond)
	}
	if err := g.rule(r.Name, last); err != nil {
		return err
	}
	if r.Params == nil {
		r.Params = json.RawMessage("{}")
	}
	if err := g.checkParams(r.Params, s.Job != nil); err != nil {
		return err
	}
	if err := checkTimes(s); err != nil {
		return err
	}
	if err := checkExtras(s); err != nil {
		return err
	}
	if s.DedupeKey != "" {
		r.Digest = KeyDigest(s.DedupeKey)
	} else if s.Dedupe || last.dedupe {
		r.Digest, err = ParamsDigest(r.Params)
	}
	return err
}

// checkParams checks encoded parameters; ours are known to be JSON.
func (g *Group) checkParams(params json.RawMessage, ours bool) error {
	switch {
	case len(params) > g.maxParams:
		return fmt.Errorf("%w: parameters have %d bytes, at most %d are allowed", ErrTooLarge, len(params), g.maxParams)
	case !utf8.Valid(params):
		return fmt.Errorf("%w: parameters are not UTF-8", ErrInvalid)
	case !ours && !json.Valid(params):
		return fmt.Errorf("%w: parameters are not JSON: %.40q", ErrInvalid, params)
	case !bytes.HasPrefix(params, []byte("{")) && !bytes.HasPrefix(bytes.TrimLeft(params, " \t\r\n"), []byte("{")):
		return fmt.Errorf("%w: parameters are not a JSON object: %.40q", ErrInvalid, params)
	}
	return nil
}

func checkTimes(s *Spec) error {
	switch {
	case s.Delay < 0:
		return fmt.Errorf("%w: delay %v is negative", ErrInvalid, s.Delay)
	case s.Delay > 0 && !s.ReleaseAt.IsZero():
		return fmt.Errorf("%w: give either a delay or a release time", ErrInvalid)
	case s.Delay > MaxDelay || !s.ReleaseAt.IsZero() && time.Until(s.ReleaseAt) > MaxDelay:
		return fmt.Errorf("%w: the release time is more than 100 years away", ErrInvalid)
	}
	return nil
}

func checkExtras(s *Spec) error {
	size := 0
	for k, v := range s.Headers {
		size += len(k) + len(v)
		if !isText(k) || !isText(v) {
			return fmt.Errorf("%w: header %q is not UTF-8 without NUL", ErrInvalid, k)
		}
	}
	switch {
	case s.MaxTries < 0:
		return fmt.Errorf("%w: %d tries, at least 1 is needed", ErrInvalid, s.MaxTries)
	case size > maxHeaders:
		return fmt.Errorf("%w: headers have %d bytes, at most %d are allowed", ErrTooLarge, size, maxHeaders)
	case len(s.Root.Key) > maxRootKey:
		return fmt.Errorf("%w: root key has %d bytes, at most %d are allowed", ErrTooLarge, len(s.Root.Key), maxRootKey)
	case !isText(s.Root.Key):
		return fmt.Errorf("%w: root key %q is not UTF-8 without NUL", ErrInvalid, s.Root.Key)
	case s.Root.Key == "" && !s.Root.Time.IsZero():
		return fmt.Errorf("%w: root has a time but no key", ErrInvalid)
	case !s.Root.Time.IsZero() && time.Until(s.Root.Time) > maxRootAhead:
		return fmt.Errorf("%w: root %q is of %s, more than %v ahead of this host's clock",
			ErrInvalid, s.Root.Key, s.Root.Time.UTC().Format(time.RFC3339), maxRootAhead)
	}
	return nil
}

// isText reports whether every store can keep s as text.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
