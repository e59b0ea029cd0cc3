package runner

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/wikifarm/jobqueue"
)

// printable returns s with whatever could forge a line of a log escaped.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// attrs returns the attributes that name a job, then more.
func (r *run) attrs(c *jobqueue.Claim, more ...any) []any {
	return append([]any{"queue", c.Name.String(), "id", printable(r.o.Label(c)), "attempt", c.Attempt}, more...)
}
