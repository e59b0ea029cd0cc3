package jobqueue

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Name names a queue: the jobs of one type on one domain. Both parts are 1
// to 255 bytes of UTF-8 without control characters. Two different names are
// always different queues, whatever characters they hold.
type Name struct{ Domain, Type string }

// String returns Domain/Type with whatever could be mistaken in a line of
// output (white space, slashes, percent signs, unprintable characters)
// percent-encoded, so that different names print differently.
func (n Name) String() string { return EscapeName(n.Domain) + "/" + EscapeName(n.Type) }

// EscapeName returns s with white space, slashes, percent signs and
// unprintable characters percent-encoded, as [Name.String] prints each part.
func EscapeName(s string) string {
	if !strings.ContainsFunc(s, mustEscape) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if !mustEscape(r) {
			b.WriteRune(r)
			continue
		}
		// An invalid byte decodes as one RuneError; print the byte itself.
		_, n := utf8.DecodeRuneInString(s[i:])
		for _, c := range []byte(s[i : i+n]) {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func mustEscape(r rune) bool {
	return r == '/' || r == '%' || r == utf8.RuneError || !unicode.IsPrint(r) || unicode.IsSpace(r)
}

// Check returns an [ErrInvalid] that names the part of n that breaks the rules of a Name.
func (n Name) Check() error {
	if err := checkPart("domain", n.Domain); err != nil {
		return err
	}
	return checkPart("type", n.Type)
}

func checkPart(what, s string) error { return checkText(what, s, 255) }

// checkText checks that s is 1 to most bytes of UTF-8 without control characters.
func checkText(what, s string, most int) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: %s is empty", ErrInvalid, what)
	case len(s) > most:
		return fmt.Errorf("%w: %s %.20q… has %d bytes, at most %d are allowed", ErrInvalid, what, s, len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s %q is not UTF-8", ErrInvalid, what, s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%w: %s %q has a control character", ErrInvalid, what, s)
	}
	return nil
}
