package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A twiceError says that something is given twice.
type twiceError struct{ text string }

func (e *twiceError) Error() string { return e.text }

func keyTwice(key string) error { return &twiceError{fmt.Sprintf("key %q appears twice", key)} }

// object calls each for the keys of a JSON object, of which none may appear twice.
func object(text []byte, each func(key string, raw json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return syntax(err)
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return syntax(err)
		}
		key := t.(string)
		if seen[key] {
			return keyTwice(key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return syntax(err)
		}
		if err := each(key, raw); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return syntax(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is something after the object")
	}
	return nil
}

func syntax(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the JSON object is not closed")
	}
	return fmt.Errorf("it is not valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// unique refuses a key that an object in a JSON value has twice: what reads it would choose one.
func unique(value []byte) error {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	type level struct {
		seen map[string]bool // nil in a list
		key  bool            // the next string is a key
	}
	var levels []level
	for at := (level{}); ; {
		t, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return syntax(err)
		}
		switch key, ok := t.(string); {
		case t == json.Delim('{'):
			levels = append(levels, at)
			at = level{map[string]bool{}, true}
			continue
		case t == json.Delim('['):
			levels = append(levels, at)
			at = level{}
			continue
		case t == json.Delim('}'), t == json.Delim(']'):
			at = levels[len(levels)-1]
			levels = levels[:len(levels)-1]
		case at.key && ok && at.seen[key]:
			return keyTwice(key)
		case at.key:
			at.seen[key] = true
			at.key = false
			continue
		}
		at.key = at.seen != nil
	}
}
