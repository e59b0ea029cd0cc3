package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// lineKeys are the keys of a JSON line.
const lineKeys = "type, domain, params, delay, releaseAt, dedupe, dedupeKey, root, rootTime, maxTries, headers"

// parseLine reads one job. It is strict: keys are told apart by case, and
// unknown ones, duplicates, null and values of another kind are errors.
func parseLine(line []byte) (jobqueue.Spec, error) {
	var s jobqueue.Spec
	if !utf8.Valid(line) {
		return s, errors.New("it is not UTF-8")
	}
	if line[0] != '{' {
		return s, fmt.Errorf("it is not a JSON object: %.40q", line)
	}
	if err := object(line, func(key string, raw json.RawMessage) error { return setKey(&s, key, raw) }); err != nil {
		return s, err
	}
	if s.Type == "" {
		return s, errors.New(`it has no "type"`)
	}
	return s, nil
}

func setKey(s *jobqueue.Spec, key string, raw json.RawMessage) error {
	var err error
	want := ""
	switch key {
	case "type":
		want, err = "a string", text(raw, &s.Type)
	case "domain":
		want, err = "a string", text(raw, &s.Domain)
	case "params":
		s.Params = raw
		if want = "a JSON object"; raw[0] != '{' {
			err = errKind
		} else {
			err = unique(raw)
		}
	case "delay":
		var d string
		want = `a length of time, such as "90s" or "7d"`
		if err = text(raw, &d); err == nil {
			s.Delay, err = config.ParseDuration(d)
		}
	case "releaseAt":
		want, err = `a time such as "2006-01-02T15:04:05Z"`, json.Unmarshal(raw, &s.ReleaseAt)
	case "dedupe":
		want, err = "true or false", json.Unmarshal(raw, &s.Dedupe)
	case "dedupeKey":
		want, err = "a string that is not empty", filled(raw, &s.DedupeKey)
	case "root":
		want, err = `a string that is not empty, or an object {"key": …, "time": …}`, setRoot(&s.Root, raw)
	case "rootTime":
		want, err = `a time such as "2006-01-02T15:04:05Z"`, setRootTime(&s.Root, raw)
	case "maxTries":
		want = fmt.Sprintf("a whole number from 1 to %d", math.MaxInt32)
		if err = json.Unmarshal(raw, &s.MaxTries); s.MaxTries < 1 || s.MaxTries > math.MaxInt32 {
			err = errKind
		}
	case "headers":
		want, err = "an object of strings", setHeaders(s, raw)
	default:
		return fmt.Errorf("unknown key %q, the keys are %s", key, lineKeys)
	}
	if err == nil && string(raw) == "null" {
		err = errKind
	}
	if twice, ok := errors.AsType[*twiceError](err); ok {
		return fmt.Errorf("%q: %w", key, twice)
	}
	if err != nil {
		return fmt.Errorf("%q must be %s, not %s", key, want, short(raw))
	}
	return nil
}

var errKind = errors.New("of another kind")

// text reads a string. A lone surrogate, which encoding/json would replace, is refused,
// since two different names must not become one.
func text(raw json.RawMessage, p *string) error {
	if raw[0] != '"' {
		return errKind
	}
	if err := json.Unmarshal(raw, p); err != nil {
		return err
	}
	wrong := strings.Count(*p, "\uFFFD") - strings.Count(string(raw), "\uFFFD") -
		strings.Count(strings.ToLower(string(raw)), `\ufffd`)
	if wrong > 0 {
		return errKind
	}
	return nil
}

// filled reads a string whose absence means something else than an empty one.
func filled(raw json.RawMessage, p *string) error {
	err := text(raw, p)
	if err == nil && *p == "" {
		err = errKind
	}
	return err
}

// setRoot reads a root: its key, or the object that a program run by an exec handler finds in its input.
func setRoot(r *jobqueue.Root, raw json.RawMessage) error {
	if raw[0] != '{' {
		return filled(raw, &r.Key)
	}
	keyed := false
	err := object(raw, func(key string, raw json.RawMessage) error {
		switch {
		case key == "key":
			keyed = true
			return filled(raw, &r.Key)
		case key == "time" && raw[0] == '"':
			return setRootTime(r, raw)
		}
		return errKind
	})
	if err == nil && !keyed {
		err = errKind
	}
	return err
}

func setRootTime(r *jobqueue.Root, raw json.RawMessage) error {
	if !r.Time.IsZero() {
		return &twiceError{"the time of the root is given twice"}
	}
	return json.Unmarshal(raw, &r.Time)
}

func setHeaders(s *jobqueue.Spec, raw json.RawMessage) error {
	if raw[0] != '{' {
		return errKind
	}
	s.Headers = map[string]string{}
	return object(raw, func(key string, raw json.RawMessage) error {
		var v string
		err := text(raw, &v)
		s.Headers[key] = v
		return err
	})
}
