package jobqueue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

func digest(t *testing.T, params string) jobqueue.Digest {
	t.Helper()
	d, err := jobqueue.ParamsDigest([]byte(params))
	if err != nil {
		t.Fatalf("ParamsDigest(%q): %v", params, err)
	}
	return d
}

// Each line is a class of parameters that are equal to each other and to no other line's.
var digestClasses = [][]string{
	{`{}`, ` { } `, "{\n\t}\r\n"},
	{`{"a":1,"b":2}`, `{"b":2,"a":1}`, `{ "b" : 2 , "a" : 1 }`, `{"\u0061":1,"b":2}`},
	{`{"a":1}`},
	{`{"a":1.0}`},
	{`{"a":1e0}`},
	{`{"a":1E0}`},
	{`{"a":-0}`},
	{`{"a":0}`},
	{`{"a":"1"}`},
	{`{"a":9007199254740992}`},
	{`{"a":9007199254740993}`},
	{`{"a":18446744073709551615}`},
	{`{"a":18446744073709551616}`},
	{`{"a":null}`},
	{`{"a":false}`},
	{`{"a":"null"}`},
	{`{"a":[]}`, `{"a":[ ]}`},
	{`{"a":{}}`},
	{`{"a":[1,2]}`, `{"a":[ 1 , 2 ]}`},
	{`{"a":[2,1]}`},
	{`{"a":[[1],2]}`},
	{`{"a":["1,2"]}`},
	{`{"a":["1","2"]}`},
	{`{"a":["1\",\"2"]}`},
	{`{"a":"","b":""}`},
	{`{"a":"\",\"b\":\""}`},
	{`{"a":"\\"}`, `{"a":"\u005c"}`},
	{`{"a":"\\\\"}`},
	{`{"a":"/"}`, `{"a":"\/"}`, `{"a":"\u002f"}`, `{"a":"\u002F"}`},
	{`{"a":"é"}`, `{"a":"\u00e9"}`, `{"a":"\u00E9"}`},
	{`{"a":"e` + "\u0301" + `"}`},
	{`{"a":"😀"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\uD83D\uDE00"}`},
	{`{"a":"` + "\ufffd" + `"}`, `{"a":"\ufffd"}`},
	{`{"a":"\u0000"}`},
	{`{"a":"\\u0000"}`},
	{`{"a":"\b\f\n\r\t"}`, `{"a":"\u0008\u000c\u000a\u000d\u0009"}`},
	{`{"":1}`},
	{`{"a":{"x":1,"y":[{"p":1,"q":2}]}}`, `{"a":{"y":[{"q":2,"p":1}],"x":1}}`},
	{`{"a":{"x":1},"y":[{"p":1,"q":2}]}`},
	{`{"A":1}`},
	{`{"ab":1}`},
	{`{"é":1,"z":2}`, `{"z":2,"\u00e9":1}`},
}

func TestParamsDigest(t *testing.T) {
	seen := map[jobqueue.Digest]string{}
	for _, class := range digestClasses {
		first := digest(t, class[0])
		if other, taken := seen[first]; taken {
			t.Errorf("the digests of %s and %s are equal", class[0], other)
		}
		seen[first] = class[0]
		for _, same := range class[1:] {
			if digest(t, same) != first {
				t.Errorf("the digests of %s and %s differ", class[0], same)
			}
		}
	}
}

func TestParamsDigestRefuses(t *testing.T) {
	for _, params := range []string{
		``, ` `, `{`, `}`, `{}{}`, `{} x`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[1`, `{"a":[1 2]}`,
		`{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":NaN}`, `{"a":tru}`, `{"a":TRUE}`, `{"a":1-1}`, `{"a":'b'}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\u+123"}`, `{"a":"`, `{"a":"\`, "{\x00}",
		"{\"a\":\"\xff\"}", "{\"\xff\":1}", "\ufeff{}",
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"b":2,"a":3}}`, `{"":1,"":2}`,
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud83d\ud83d"}`, `{"a":"\ud83dx"}`, `{"a":"\ud83d\n"}`, `{"\ud800":1}`, `{"a":"\ude00\ud83d"}`, `{"a":"\ud83d\u0061"}`,
	} {
		if _, err := jobqueue.ParamsDigest([]byte(params)); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("ParamsDigest(%q) = %v, want ErrInvalid", params, err)
		}
	}
}

func TestParamsDigestNesting(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	if _, err := jobqueue.ParamsDigest(nested(499)); err != nil {
		t.Errorf("ParamsDigest of 500 levels: %v", err)
	}
	for _, n := range []int{501, 1_000_000} {
		if _, err := jobqueue.ParamsDigest(nested(n)); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("ParamsDigest of %d levels = %v, want ErrInvalid", n, err)
		}
	}
}

func TestKeyDigest(t *testing.T) {
	seen := map[jobqueue.Digest]string{}
	for _, key := range []string{"", "a", "A", "a ", "{}", `{"a":1}`, "\x00", "\xff"} {
		d := jobqueue.KeyDigest(key)
		if other, taken := seen[d]; taken || d == (jobqueue.Digest{}) {
			t.Errorf("the key %q has the digest %x, as %q", key, d, other)
		}
		seen[d] = key
	}
	for _, class := range digestClasses {
		if key, taken := seen[digest(t, class[0])]; taken {
			t.Errorf("the digests of the parameters %s and of the key %q are equal", class[0], key)
		}
	}
}

// The digest is stored, so that it may change only with its version byte.
func TestDigestIsStable(t *testing.T) {
	for got, want := range map[jobqueue.Digest]string{
		digest(t, `{"title":"Main page","id":1.50}`): "a3f7fe7e872c3d0088d0fe618daf4273",
		jobqueue.KeyDigest("page:1"):                 "d0d9b4d0b896b8f1e593fa9bbc5f21b7",
	} {
		if fmt.Sprintf("%x", got) != want {
			t.Errorf("digest %x, want %s", got, want)
		}
	}
}

// Equal values have equal digests and equal digests mean equal values, by the
// yardstick of encoding/json with numbers as they are written.
func FuzzParamsDigest(f *testing.F) {
	for i, class := range digestClasses {
		f.Add(class[0], class[len(class)-1])
		f.Add(class[0], digestClasses[(i+1)%len(digestClasses)][0])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		da, errA := jobqueue.ParamsDigest([]byte(a))
		db, errB := jobqueue.ParamsDigest([]byte(b))
		va, okA := canonical(a)
		vb, okB := canonical(b)
		if (errA == nil) != okA || (errB == nil) != okB {
			t.Fatalf("ParamsDigest of %q: %v, of %q: %v; encoding/json says valid %v, %v", a, errA, b, errB, okA, okB)
		}
		if okA && okB && (da == db) != bytes.Equal(va, vb) {
			t.Fatalf("%q and %q have equal digests: %v; equal values: %v", a, b, da == db, bytes.Equal(va, vb))
		}
	})
}

// canonical returns a value as encoding/json writes it with sorted keys, and whether
// it is one that a digest is defined for.
func canonical(s string) ([]byte, bool) {
	if !utf8.ValidString(s) || !json.Valid([]byte(s)) {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var depth int
	var keys []map[string]bool // of the objects that are open; nil for an array
	var isKey []bool
	for {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		if n := len(keys); n > 0 && keys[n-1] != nil {
			if key, ok := tok.(string); ok && isKey[n-1] {
				if keys[n-1][key] {
					return nil, false
				}
				keys[n-1][key] = true
				isKey[n-1] = false
				continue
			}
			isKey[n-1] = true
		}
		switch tok {
		case json.Delim('{'):
			keys, isKey = append(keys, map[string]bool{}), append(isKey, true)
		case json.Delim('['):
			keys, isKey = append(keys, nil), append(isKey, false)
		case json.Delim('}'), json.Delim(']'):
			keys, isKey = keys[:len(keys)-1], isKey[:len(isKey)-1]
			if n := len(keys); n > 0 && keys[n-1] != nil {
				isKey[n-1] = true
			}
		}
		depth = max(depth, len(keys))
	}
	var v any
	dec = json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	if dec.Decode(&v) != nil || depth > 501 || loneSurrogate(s) {
		return nil, false
	}
	out, err := json.Marshal(v)
	return out, err == nil
}

// loneSurrogate reports whether an escape in valid JSON stands for half of a pair.
func loneSurrogate(s string) bool {
	var units []string
	for len(s) > 0 {
		switch {
		case s[0] != '\\':
			units, s = append(units, ""), s[1:]
		case s[1] != 'u':
			units, s = append(units, ""), s[2:]
		default:
			units, s = append(units, strings.ToLower(s[2:6])), s[6:]
		}
	}
	high := func(u string) bool { return u != "" && u[0] == 'd' && u[1] >= '8' && u[1] <= 'b' }
	low := func(u string) bool { return u != "" && u[0] == 'd' && u[1] >= 'c' }
	for len(units) > 0 {
		u := units[0]
		units = units[1:]
		if high(u) && len(units) > 0 && low(units[0]) {
			units = units[1:]
		} else if high(u) || low(u) {
			return true
		}
	}
	return false
}
