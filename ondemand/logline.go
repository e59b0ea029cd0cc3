package ondemand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
)

// A Log has a line for each run that did something, in UTC:
//
//	2026-11-22 09:48:58 enwiki 3 jobs 1 mails elapse-time 412 us
//
// Errors are counted as errors. A run in which a Work panicked ends with "panic" instead of the time. Before the line of a run that follows a
// crashed one there is another, "… previous run 17 crashed". The spaces of a domain become dashes.
type Log struct {
	// Path is of the file, which is opened for each line and appended to, so it may be moved away at any time. One that cannot be opened
	// is a warning. With "" nothing is written.
	Path string

	JSON   bool         // lines are JSON objects
	Debug  bool         // with a line for a run that did nothing: "no-op"
	Logger *slog.Logger // Default [slog.Default]
}

// A logged is a line in JSON.
type logged struct {
	Time    time.Time      `json:"time"` // when the run ended
	Domain  string         `json:"domain"`
	Token   int64          `json:"token,omitempty"`
	Done    map[string]int `json:"done"`
	Elapsed int64          `json:"elapse_us"`
	Error   string         `json:"error,omitempty"`
	Panic   bool           `json:"panic,omitempty"`
	Crashed int64          `json:"crashed,omitempty"` // the token of the run before
}

// Write writes what there is to say of a run. It fits Options.OnRun, and is safe for concurrent use.
func (l *Log) Write(run Run) {
	panicked := errors.Is(run.Err, errPanic)
	at := run.Began.Add(run.Took).UTC()
	var b bytes.Buffer
	if l.JSON {
		j := logged{Time: at, Domain: run.Domain, Token: run.Token, Done: map[string]int{}, Elapsed: run.Took.Microseconds(), Panic: panicked, Crashed: run.Crashed}
		for i, n := range run.Counts {
			if n != 0 {
				j.Done[run.Names[i]] += n
			}
		}
		if run.Err != nil {
			j.Error = run.Err.Error()
		}
		if len(j.Done) > 0 || run.Err != nil || run.Crashed != 0 || l.Debug {
			json.NewEncoder(&b).Encode(j) // of strings and numbers
		}
		l.append(b.Bytes())
		return
	}
	head := at.Format(time.DateTime) + " " + dashed(run.Domain)
	if run.Crashed != 0 {
		fmt.Fprintf(&b, "%s previous run %d crashed\n", head, run.Crashed)
		l.append(b.Bytes())
		b.Reset()
	}
	parts := ""
	for i, n := range run.Counts {
		if n != 0 {
			parts += fmt.Sprintf(" %d %s", n, dashed(run.Names[i]))
		}
	}
	switch {
	case panicked:
		fmt.Fprintf(&b, "%s%s panic\n", head, parts)
	case run.Err != nil:
		fmt.Fprintf(&b, "%s%s %d errors elapse-time %d us\n", head, parts, errorsIn(run.Err), run.Took.Microseconds())
	case parts != "":
		fmt.Fprintf(&b, "%s%s elapse-time %d us\n", head, parts, run.Took.Microseconds())
	case l.Debug:
		fmt.Fprintf(&b, "%s no-op elapse-time %d us\n", head, run.Took.Microseconds())
	}
	l.append(b.Bytes())
}

// append writes a line in one piece.
func (l *Log) append(line []byte) {
	if len(line) == 0 || l.Path == "" {
		return
	}
	f, err := os.OpenFile(l.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.Write(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		log := l.Logger
		if log == nil {
			log = slog.Default()
		}
		log.Warn("a run is not in the log file", "file", l.Path, "error", err)
	}
}

// dashed returns s without spaces.
func dashed(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return '-'
		}
		return c
	}, s)
}

// errorsIn returns how many errors were joined.
func errorsIn(err error) int {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return 1
	}
	n := 0
	for _, e := range joined.Unwrap() {
		n += errorsIn(e)
	}
	return n
}
