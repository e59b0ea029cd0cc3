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
// The value is known to be JSON.
func unique(value []byte) error {
	type level struct {
		seen map[string]bool // nil in a list
		key  bool            // the next string is a key
	}
	levels := make([]level, 1, 8)
	for i := 0; i < len(value); i++ {
		at := &levels[len(levels)-1]
		switch value[i] {
		case '{':
			levels = append(levels, level{map[string]bool{}, true})
		case '[':
			levels = append(levels, level{})
		case '}', ']':
			levels = levels[:len(levels)-1]
		case ',':
			at.key = at.seen != nil
		case '"':
			end := i + stringLen(value[i:])
			if at.key {
				key := unquote(value[i:end])
				if at.seen[key] {
					return keyTwice(key)
				}
				at.seen[key], at.key = true, false
			}
			i = end - 1
		}
	}
	return nil
}

// stringLen returns the length of the JSON string at the beginning of text.
func stringLen(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// unquote returns what a JSON string says.
func unquote(text []byte) (s string) {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1])
	}
	// It is known to be a string.
	_ = json.Unmarshal(text, &s)
	return s
}
