package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	// ExitRetry is the exit status with which a program asks to be tried again
	// later, without the attempt being counted. It is EX_TEMPFAIL of sysexits.h.
	ExitRetry = 75

	// RetryAfter is how much later that is.
	RetryAfter = 30 * time.Second
)

// tail is how much of a program's standard error is kept, in bytes.
const tail = 4 << 10

// drain is how long a program's output is waited for after its end, in case a
// child that it left behind holds it open.
const drain = 2 * time.Second

// Exec returns a constructor of jobs that run a program, for
// [jobqueue.Registry.Fallback] or, with one type, for [jobqueue.Registry.Add].
// There is no shell: the arguments reach the program as they are.
//
// The program finds the job on its standard input, as one JSON object:
//
//	{"id": "…", "domain": "…", "type": "…", "attempt": 1, "queued": "…",
//	 "root": {"key": "…", "time": "…"}, "headers": {…}, "params": {…}}
//
// root and headers are left out if the job has none; params are byte for byte
// what was pushed. A child that the program pushes should be given the root.
//
// Exit status 0 means that the job is done, [ExitRetry] that it is to be
// tried again after [RetryAfter]. Any other one, or a signal, is a failure, whose
// reason is the last 4 KiB of standard error. Standard output is discarded.
// When the job's context ends, the program is killed, and with it its process
// group, so whatever it has started that has not left the group.
func Exec(program string, arg ...string) func(typ string) jobqueue.Job {
	return func(typ string) jobqueue.Job { return &execJob{typ: typ, program: program, args: arg} }
}

type execJob struct {
	typ     string
	program string
	args    []string
}

// Type implements [jobqueue.Job].
func (j *execJob) Type() string { return j.typ }

// Run implements [jobqueue.Job].
func (j *execJob) Run(ctx context.Context) error {
	c := jobqueue.FromContext(ctx)
	if c == nil {
		return errors.New("exec job outside of a runner: its context has no claim")
	}
	input, err := encode(c)
	if err != nil {
		return err
	}
	var stderr lastBytes
	cmd := exec.CommandContext(ctx, j.program, j.args...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = &stderr
	cmd.WaitDelay = drain
	ownGroup(cmd)
	err = cmd.Run()
	switch exit, exited := errors.AsType[*exec.ExitError](err); {
	case ctx.Err() != nil && err != nil:
		return stderr.explain("killed", context.Cause(ctx))
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case exited && exit.ExitCode() == ExitRetry:
		return jobqueue.Snooze(RetryAfter)
	default:
		return stderr.explain("", err)
	}
}

// encode returns the JSON object for c. The parameters are put in by hand, since
// encoding/json would rewrite them.
func encode(c *jobqueue.Claim) ([]byte, error) {
	type root struct {
		Key  string    `json:"key"`
		Time time.Time `json:"time"`
	}
	head := struct {
		ID      string            `json:"id"`
		Domain  string            `json:"domain"`
		Type    string            `json:"type"`
		Attempt int               `json:"attempt"`
		Queued  time.Time         `json:"queued,omitzero"`
		Root    *root             `json:"root,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
	}{c.ID, c.Domain, c.Type, c.Attempt, c.QueuedAt, nil, c.Headers}
	if c.Root.Key != "" {
		head.Root = &root{c.Root.Key, c.Root.Time}
	}
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	b = append(b[:len(b)-1], `,"params":`...)
	b = append(b, c.Params...)
	return append(b, "}\n"...), nil
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ b []byte }

// Write implements [io.Writer].
func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p[max(0, len(p)-tail):]...)
	// Cutting only at twice the size keeps a chatty program cheap.
	if len(l.b) > 2*tail {
		l.b = append(l.b[:0], l.b[len(l.b)-tail:]...)
	}
	return len(p), nil
}

// explain returns err with the end of the output, all together at most what a stored error may have.
func (l *lastBytes) explain(prefix string, err error) error {
	if prefix != "" {
		err = fmt.Errorf("%s: %w", prefix, err)
	}
	room := max(0, jobqueue.MaxError-len(err.Error())-len(": "))
	text := l.b[max(0, len(l.b)-room):]
	said := strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD"))
	if len(said) > room {
		said = strings.ToValidUTF8(said[len(said)-room:], "")
	}
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}
