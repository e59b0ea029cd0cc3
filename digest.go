package jobqueue

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A Digest says which jobs of one queue are duplicates of each other.
// The zero Digest equals nothing.
type Digest [16]byte

// The first byte that is hashed versions the digest and keeps parameters and keys apart.
const (
	digestParams = 0x01
	digestKey    = 0x02
)

// ParamsDigest returns the digest of a JSON object: SHA-256, cut to 128 bits,
// of its canonical form. Two objects have equal digests if and only if they
// differ in white space, the order of keys and the spelling of strings alone.
// Numbers count as they are written, 1.0 is not 1.
// Duplicate keys, lone surrogates and nesting deeper than 500 levels are an [ErrInvalid].
func ParamsDigest(params json.RawMessage) (Digest, error) {
	p := canonicalizer{in: params, out: make([]byte, 1, 1+len(params))}
	p.out[0] = digestParams
	if err := p.value(0); err != nil {
		return Digest{}, fmt.Errorf("%w: parameters: %w", ErrInvalid, err)
	}
	if p.space(); p.pos != len(p.in) {
		return Digest{}, fmt.Errorf("%w: parameters: more than one value", ErrInvalid)
	}
	return cut(p.out), nil
}

// KeyDigest returns the digest of a dedupe key. It never equals that of parameters.
func KeyDigest(key string) Digest { return cut(append([]byte{digestKey}, key...)) }

func cut(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(sum[:16])
}

// A canonicalizer copies one JSON value from in to out without white space,
// with sorted keys and with strings in one spelling.
type canonicalizer struct {
	in  []byte
	pos int
	out []byte
}

// maxDepth bounds the nesting, since every level copies what is inside it.
const maxDepth = 500

var errSyntax = errors.New("not valid JSON")

func (p *canonicalizer) space() {
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// next skips white space and returns the next byte, or 0 at the end.
func (p *canonicalizer) next() byte {
	p.space()
	if p.pos == len(p.in) {
		return 0
	}
	return p.in[p.pos]
}

func (p *canonicalizer) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", errSyntax, maxDepth)
	}
	switch c := p.next(); c {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		s, err := p.str()
		p.out = appendString(p.out, s)
		return err
	case 0:
		return errSyntax
	default:
		return p.literal()
	}
}

// literal copies a number, true, false or null as it is written.
func (p *canonicalizer) literal() error {
	start := p.pos
	for p.pos < len(p.in) && (p.in[p.pos] == '+' || p.in[p.pos] == '-' || p.in[p.pos] == '.' ||
		'0' <= p.in[p.pos] && p.in[p.pos] <= '9' || 'A' <= p.in[p.pos] && p.in[p.pos] <= 'Z' ||
		'a' <= p.in[p.pos] && p.in[p.pos] <= 'z') {
		p.pos++
	}
	if start == p.pos || !json.Valid(p.in[start:p.pos]) {
		return fmt.Errorf("%w: unexpected %q at byte %d", errSyntax, p.in[start:min(start+1, len(p.in))], start)
	}
	p.out = append(p.out, p.in[start:p.pos]...)
	return nil
}

func (p *canonicalizer) array(depth int) error {
	p.pos++
	p.out = append(p.out, '[')
	if p.next() == ']' {
		p.pos++
		p.out = append(p.out, ']')
		return nil
	}
	for {
		if err := p.value(depth + 1); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.pos++
			p.out = append(p.out, ',')
		case ']':
			p.pos++
			p.out = append(p.out, ']')
			return nil
		default:
			return fmt.Errorf("%w: array not closed at byte %d", errSyntax, p.pos)
		}
	}
}

// A member is a key and where its canonical value stands in a scratch buffer.
type member struct {
	key        string
	start, end int
}

func (p *canonicalizer) object(depth int) error {
	p.pos++
	// The members are written behind each other first, then sorted into place.
	outer := p.out
	p.out = nil
	var members []member
	for first := true; ; first = false {
		c := p.next()
		if first && c == '}' {
			p.pos++
			break
		}
		if c != '"' {
			return fmt.Errorf("%w: object key expected at byte %d", errSyntax, p.pos)
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		if p.next() != ':' {
			return fmt.Errorf("%w: colon expected at byte %d", errSyntax, p.pos)
		}
		p.pos++
		start := len(p.out)
		if err := p.value(depth + 1); err != nil {
			return err
		}
		members = append(members, member{key, start, len(p.out)})
		c = p.next()
		if c != ',' && c != '}' {
			return fmt.Errorf("%w: object not closed at byte %d", errSyntax, p.pos)
		}
		p.pos++
		if c == '}' {
			break
		}
	}
	slices.SortFunc(members, func(a, b member) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	values := p.out
	p.out = append(outer, '{')
	for i, m := range members {
		if i > 0 {
			if m.key == members[i-1].key {
				return fmt.Errorf("key %q appears twice", m.key)
			}
			p.out = append(p.out, ',')
		}
		p.out = appendString(p.out, m.key)
		p.out = append(p.out, ':')
		p.out = append(p.out, values[m.start:m.end]...)
	}
	p.out = append(p.out, '}')
	return nil
}

// str reads a string and returns what it stands for.
func (p *canonicalizer) str() (string, error) {
	p.pos++
	var b []byte
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch {
		case c == '"':
			p.pos++
			return string(b), nil
		case c < ' ':
			return "", fmt.Errorf("%w: control character in a string at byte %d", errSyntax, p.pos)
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		default:
			r, n := utf8.DecodeRune(p.in[p.pos:])
			if r == utf8.RuneError && n == 1 {
				return "", fmt.Errorf("not UTF-8 at byte %d", p.pos)
			}
			b = append(b, p.in[p.pos:p.pos+n]...)
			p.pos += n
		}
	}
	return "", fmt.Errorf("%w: string not closed", errSyntax)
}

func (p *canonicalizer) escape() (rune, error) {
	if p.pos+1 >= len(p.in) {
		return 0, errSyntax
	}
	c := p.in[p.pos+1]
	if c == 'u' {
		return p.unicode()
	}
	p.pos += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	}
	return 0, fmt.Errorf("%w: escape \\%c at byte %d", errSyntax, c, p.pos-2)
}

// unicode reads \uXXXX, and a second one when the first is half of a pair.
func (p *canonicalizer) unicode() (rune, error) {
	at := p.pos
	r, err := p.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if p.pos+1 < len(p.in) && p.in[p.pos] == '\\' && p.in[p.pos+1] == 'u' {
		low, err := p.hex4()
		if err != nil {
			return 0, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, fmt.Errorf("lone surrogate at byte %d", at)
}

func (p *canonicalizer) hex4() (rune, error) {
	if p.pos+6 > len(p.in) {
		return 0, errSyntax
	}
	n, err := strconv.ParseUint(string(p.in[p.pos+2:p.pos+6]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: escape %q at byte %d", errSyntax, p.in[p.pos:p.pos+6], p.pos)
	}
	p.pos += 6
	return rune(n), nil
}

// appendString writes s with the two escapes it cannot do without; control
// characters stand as themselves, as the result is hashed, never parsed.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return append(out, '"')
}
