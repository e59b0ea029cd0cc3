package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// fn is a job that calls a function.
type fn func() error

func (fn) Type() string                { return "fn" }
func (f fn) Run(context.Context) error { return f() }

// Outside of a runner too a job that panics, or ends its goroutine, has failed.
func TestCall(t *testing.T) {
	no := errors.New("no")
	around := func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
		return fmt.Errorf("around %s: %w", job.Type(), next(ctx))
	}
	if err := runner.Call(t.Context(), fn(func() error { return no }), around); !errors.Is(err, no) || err.Error() != "around fn: no" {
		t.Errorf("Call = %v, want what the middleware makes of %v", err, no)
	}
	for want, run := range map[string]func() error{
		`^<nil>$`: func() error { return nil },
		`^panic: oh dear \(at \S+\.TestCall\.func\d+ panic_test.go:\d+ < \S+\.Run panic_test.go:\d+\)$`: func() error { panic("oh dear") },
		`^the job called runtime.Goexit$`: func() error {
			runtime.Goexit()
			return nil
		},
	} {
		err := runner.Call(t.Context(), fn(run), nil)
		if got := "<nil>"; err == nil && want != "^"+got+"$" || err != nil && !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("Call = %v, want %s", err, want)
		}
	}
}

// A long way to a panic is cut.
func TestCallDeep(t *testing.T) {
	var down func(n int)
	down = func(n int) {
		if n == 0 {
			panic("deep")
		}
		down(n - 1)
	}
	err := runner.Call(t.Context(), fn(func() error {
		down(1000)
		return nil
	}), nil)
	if err == nil || !regexp.MustCompile(`^panic: deep \(at \S+ panic_test.go:\d+( < \S+ panic_test.go:\d+){29} < …\)$`).MatchString(err.Error()) {
		t.Errorf("Call = %v", err)
	}
}

// Who is told of jobs by OnEnd may have them left out of the log, and nothing else.
func TestUnlogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("bad", jobqueue.Policy{MaxTries: 1}, func(context.Context, int) error { return errors.New("no") })
		f.push("bad", 1)
		var log bytes.Buffer
		o := runner.Options{
			Unlogged: true,
			OnEnd:    func(e runner.Ended) { panic("not me") },
			Logger:   slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		f.counted(f.run(t.Context(), o), runner.Counts{Failed: 1, Abandoned: 1})
		if n := bytes.Count(log.Bytes(), []byte("\n")); n != 1 || !bytes.Contains(log.Bytes(), []byte("OnEnd panics")) {
			t.Errorf("the log is %s", &log)
		}
	})
}
