package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/supervisor"
)

// The exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
	exitStore  = 3

	exitStop    = supervisor.ExitStop    // a command said so: do not start it again
	exitRestart = supervisor.ExitRestart // a command said so: start it again
)

// A statusError ends the command with a status of its own. Without an Err nothing is printed.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return "exit status " + strconv.Itoa(e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

// Execute runs a command line and returns its exit status. It prints what went
// wrong on standard error, a line for each mistake, after the name of the command.
func Execute(c *cobra.Command) int {
	err := c.Execute()
	if err == nil {
		return 0
	}
	report(c.ErrOrStderr(), c.Name(), err)
	return status(err)
}

func status(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	switch {
	case errors.Is(err, jobqueue.ErrUnavailable), errors.Is(err, jobqueue.ErrReadOnly):
		return exitStore
	case errors.Is(err, jobqueue.ErrInvalid), errors.Is(err, jobqueue.ErrTooLarge), errors.Is(err, jobqueue.ErrUnknownType):
		return exitUsage
	}
	return exitFailed
}

func report(w io.Writer, name string, err error) {
	if e, ok := errors.AsType[*statusError](err); ok {
		if e.err == nil {
			return
		}
	}
	for _, line := range lines(err) {
		fmt.Fprintf(w, "%s: %s\n", name, escape(line))
	}
}

// lines returns the texts of the errors that [errors.Join] joined.
func lines(err error) []string {
	if e, ok := err.(*statusError); ok && e.err != nil {
		err = e.err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		// What cannot be opened matters, not what for.
		if e, ok := errors.AsType[*config.OpenError](err); ok {
			err = e
		}
		return []string{plain(err.Error())}
	}
	var texts, all []string
	for _, e := range joined.Unwrap() {
		texts, all = append(texts, e.Error()), append(all, lines(e)...)
	}
	// fmt.Errorf makes such errors too, with a text of their own.
	if strings.Join(texts, "\n") != err.Error() {
		return []string{plain(err.Error())}
	}
	return all
}

// plain returns the text of an error as people read it: each layer of it may say that it is of this
// library, and that the store is unavailable.
func plain(text string) string {
	text = strings.TrimPrefix(text, "jobqueue: ")
	away := jobqueue.ErrUnavailable.Error() + ": "
	before, after, found := strings.Cut(text, away)
	if !found {
		return text
	}
	return before + away + strings.ReplaceAll(after, away, "")
}

// inline returns the texts of the errors that [errors.Join] joined in one line.
func inline(err error) string { return strings.Join(lines(err), "; ") }

// escape returns s with its control and other unprintable characters escaped, so
// that text from outside neither breaks a line nor commands the terminal.
func escape(s string) string {
	printable := func(r rune) bool { return r == ' ' || unicode.IsPrint(r) && r != unicode.ReplacementChar }
	if !strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if printable(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func enumerate(words []string) string { return strings.Join(words, ", ") }
