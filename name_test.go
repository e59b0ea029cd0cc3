package jobqueue_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/wikifarm/jobqueue"
)

func TestNameCheck(t *testing.T) {
	for part, ok := range map[string]bool{
		"a": true, " ": true, "a b": true, "a/b": true, "%": true, "日本": true, "\u2028": true, "\ufffd": true, "'\"\\": true,
		strings.Repeat("x", 255): true, strings.Repeat("é", 127): true,
		"": false, strings.Repeat("x", 256): false, strings.Repeat("é", 128): false,
		"a\x00": false, "\n": false, "\t": false, "\x7f": false, "\u0085": false, "\xff": false, "é"[:1]: false,
	} {
		for _, n := range []jobqueue.Name{{Domain: part, Type: "t"}, {Domain: "d", Type: part}} {
			if err := n.Check(); ok != (err == nil) || err != nil && !errors.Is(err, jobqueue.ErrInvalid) {
				t.Errorf("Check of %q = %v, want valid %v", n, err, ok)
			}
		}
	}
	bad := jobqueue.Name{Domain: "d", Type: ""}
	if err := bad.Check(); err == nil || !strings.Contains(err.Error(), "type") {
		t.Errorf("Check = %v, want the part that is wrong", err)
	}
}

func TestNameString(t *testing.T) {
	for n, want := range map[jobqueue.Name]string{
		{Domain: "enwiki", Type: "refreshLinks"}: "enwiki/refreshLinks",
		{Domain: "a/b", Type: "c"}:               "a%2Fb/c",
		{Domain: "a", Type: "b/c"}:               "a/b%2Fc",
		{Domain: "a%2Fb", Type: "c"}:             "a%252Fb/c",
		{Domain: "é日", Type: "a:b'\""}:           "é日/a:b'\"",
		{Domain: "a b", Type: "\u00a0"}:          "a%20b/%C2%A0",
		{Domain: "\u200b", Type: "\u202e"}:       "%E2%80%8B/%E2%80%AE",
		{Domain: "\xff", Type: "\ufffd"}:         "%FF/%EF%BF%BD",
		{Domain: "a\nb", Type: "\x1b"}:           "a%0Ab/%1B",
	} {
		if got := n.String(); got != want {
			t.Errorf("String of %q = %s, want %s", n.Domain+" "+n.Type, got, want)
		}
	}
}

// Different names print differently, on one line and without white space.
func FuzzNameString(f *testing.F) {
	f.Add("a/b", "c", "a", "b/c")
	f.Add("a%2F", "b", "a/", "b")
	f.Add("\xff", "b", "\ufffd", "b")
	f.Add("%", "FF", "%F", "F")
	f.Fuzz(func(t *testing.T, d1, t1, d2, t2 string) {
		a, b := jobqueue.Name{Domain: d1, Type: t1}, jobqueue.Name{Domain: d2, Type: t2}
		if (a.String() == b.String()) != (a == b) {
			t.Errorf("%q and %q print as %s and %s", a, b, a.String(), b.String())
		}
		if s := a.String(); strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || strings.Count(s, "/") != 1 {
			t.Errorf("%q prints as %q", a, s)
		}
	})
}
