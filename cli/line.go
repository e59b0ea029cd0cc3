package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// lineKeys are the keys of a JSON line.
const lineKeys = "type, domain, params, delay, releaseAt, dedupe, dedupeKey, root, rootTime, maxTries, headers"

// parseLine reads one job. It is strict: keys are told apart by case, and
// unknown ones, duplicates and values of another kind are errors.
func parseLine(line []byte) (jobqueue.Spec, error) {
	var s jobqueue.Spec
	if !utf8.Valid(line) {
		return s, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return s, fmt.Errorf("it is not a JSON object: %.40q", line)
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return s, syntax(err)
		}
		key := t.(string)
		if seen[key] {
			return s, fmt.Errorf("key %q appears twice", key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return s, syntax(err)
		}
		if err := setKey(&s, key, raw); err != nil {
			return s, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return s, syntax(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return s, errors.New("there is something after the object")
	}
	if s.Type == "" {
		return s, errors.New(`it has no "type"`)
	}
	return s, nil
}

func syntax(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the JSON object is not closed")
	}
	return fmt.Errorf("it is not valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
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
		if raw[0] != '{' {
			want, err = "a JSON object", errKind
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
		want, err = "a string", text(raw, &s.DedupeKey)
	case "root":
		want, err = `a string, or an object {"key": …, "time": …}`, setRoot(&s.Root, raw)
	case "rootTime":
		want, err = `a time such as "2006-01-02T15:04:05Z"`, json.Unmarshal(raw, &s.Root.Time)
	case "maxTries":
		want, err = "a whole number", json.Unmarshal(raw, &s.MaxTries)
	case "headers":
		want, err = "an object of strings", json.Unmarshal(raw, &s.Headers)
	default:
		return fmt.Errorf("unknown key %q, the keys are %s", key, lineKeys)
	}
	if err == nil && string(raw) == "null" {
		err = errKind
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

// setRoot reads a root: its key, or the object that a program run by an exec handler finds in its input.
func setRoot(r *jobqueue.Root, raw json.RawMessage) error {
	if raw[0] != '{' {
		return text(raw, &r.Key)
	}
	var object struct {
		Key  *json.RawMessage `json:"key"`
		Time time.Time        `json:"time"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&object); err != nil {
		return err
	}
	if object.Key == nil {
		return errKind
	}
	if !object.Time.IsZero() {
		r.Time = object.Time
	}
	return text(*object.Key, &r.Key)
}
