package config

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
)

// A value is a scalar of the farm file after ${NAME} is replaced.
type value struct {
	text    string
	written string // as it stands in the file; what may be shown
}

// show returns the value for a message: as written, so that what came from
// the environment, which may be secret, stays out of it.
func (v value) show() string { return strconv.Quote(v.written) }

func (r *reader) scalar(n ast.Node, what string) (value, bool) {
	n = r.resolve(n)
	var written string
	switch s := n.(type) {
	case nil:
		return value{}, false
	case *ast.StringNode:
		written = s.Value
	case *ast.LiteralNode:
		written = s.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		written = s.GetToken().Value
	case *ast.NullNode:
		r.fail(n, "%s has no value", what)
		return value{}, false
	default:
		r.fail(n, "%s must be a single value", what)
		return value{}, false
	}
	text, err := expand(written)
	if err != nil {
		r.fail(n, "%s: %v", what, err)
		return value{}, false
	}
	return value{text, written}, true
}

// expand replaces each ${NAME} by what the environment has under that name, and $${ by ${.
func expand(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1])
			b.WriteString("${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed || !isVariable(name) {
			return "", fmt.Errorf("${ must be followed by the name of an environment variable and }; write $${ for a literal ${")
		}
		val, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set; write $${ for a literal ${", name)
		}
		b.WriteString(val)
		s = rest
	}
}

func isVariable(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func (r *reader) text(n ast.Node, what string) (value, bool) {
	v, ok := r.scalar(n, what)
	if ok && v.text == "" {
		r.fail(n, "%s is empty", what)
		return v, false
	}
	return v, ok
}

func (r *reader) boolean(n ast.Node, what string) *bool {
	v, ok := r.scalar(n, what)
	if !ok {
		return nil
	}
	switch strings.ToLower(v.text) {
	case "true":
		return new(true)
	case "false":
		return new(false)
	}
	r.fail(n, "%s must be true or false, not %s", what, v.show())
	return nil
}

func (r *reader) count(n ast.Node, what string) *int {
	v, ok := r.scalar(n, what)
	if !ok {
		return nil
	}
	i, err := strconv.Atoi(v.text)
	if err != nil || i < 1 {
		r.fail(n, "%s must be a whole number, at least 1, not %s", what, v.show())
		return nil
	}
	return &i
}

func (r *reader) rate(n ast.Node, what string) *float64 {
	v, ok := r.scalar(n, what)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		r.fail(n, "%s must be a number of work items a second, 0 for no limit, not %s", what, v.show())
		return nil
	}
	return &f
}

// duration reads a length of time of at least a millisecond; the word none, unless
// it is "", stands for [jobqueue.NoLimit].
func (r *reader) duration(n ast.Node, what, none string) *time.Duration {
	v, ok := r.scalar(n, what)
	if !ok {
		return nil
	}
	if none != "" && v.text == none {
		return new(jobqueue.NoLimit)
	}
	d, err := ParseDuration(v.text)
	if err != nil || d < time.Millisecond {
		or := ""
		if none != "" {
			or = ", or " + none
		}
		r.fail(n, "%s must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d%s, not %s", what, or, v.show())
		return nil
	}
	return &d
}

// ParseDuration is [time.ParseDuration] that takes whole days, as in 7d, too.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a length of time, such as 90s or 7d", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a length of time, such as 90s or 7d", s)
	}
	return d, nil
}

// size reads a number of bytes.
func (r *reader) size(n ast.Node, what string) int64 {
	v, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	digits, unit := v.text, int64(1)
	if last := len(v.text) - 1; last >= 0 {
		if i := strings.IndexByte("KMGT", v.text[last]); i >= 0 {
			digits, unit = v.text[:last], 1<<(10*(i+1))
		}
	}
	b, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || b < 1 || b > math.MaxInt64/unit {
		r.fail(n, "%s must be a number of bytes, such as 512M or 2G, not %s", what, v.show())
		return 0
	}
	return b * unit
}
