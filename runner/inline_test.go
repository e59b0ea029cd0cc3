package runner_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// What runs where it is pushed runs as in a runner: with the middleware and the hooks, and is logged.
func TestInlineRunsLikeInARunner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls []string
		var ended []runner.Ended
		var log bytes.Buffer
		o := runner.Options{
			Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			OnStart: func(c *jobqueue.Claim) { calls = append(calls, "start "+c.Type) },
			OnEnd:   func(e runner.Ended) { ended = append(ended, e); panic("of the hook") },
			Middleware: func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
				calls = append(calls, "around "+job.Type()+" on "+jobqueue.FromContext(ctx).Domain)
				return next(ctx)
			},
		}
		var f *farm
		f = newFarm(t, func(r *jobqueue.Routes) {
			r.Async = func(n jobqueue.Name) bool { return false }
			r.Fallback = func(string) bool { return true }
			r.Inline = func(g *jobqueue.Group, c *jobqueue.Claim) (func(context.Context) error, error) {
				return runner.Inline(f.reg, &o)(g, c)
			}
		})
		bad := errors.New("bad")
		f.add("a", jobqueue.Policy{}, func(context.Context, int) error { return nil })
		f.add("b", jobqueue.Policy{Timeout: time.Second}, func(ctx context.Context, _ int) error {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != time.Second {
				t.Errorf("the deadline is %v, %v", d, ok)
			}
			return bad
		})
		f.push("a", 1)
		if _, err := f.group.Push(t.Context(), jobqueue.Spec{Type: "b"}); !errors.Is(err, bad) {
			t.Errorf("%v, want the job's error", err)
		}
		if want := []string{"start a", "around a on wiki", "start b", "around b on wiki"}; !slices.Equal(calls, want) {
			t.Errorf("called %q, want %q", calls, want)
		}
		if len(ended) != 2 || ended[0].Err != nil || ended[0].Action != jobqueue.ActionDone || ended[0].Took <= 0 ||
			!errors.Is(ended[1].Err, bad) || ended[1].Action != jobqueue.ActionAbandon || ended[1].Claim.Inline != jobqueue.NotAsync {
			t.Errorf("ended %+v", ended)
		}
		for _, want := range []string{"OnEnd panics", "inline job failed and is not tried again", "queue=wiki/b"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}

// A full store takes no jobs.
type full struct{ jobqueue.Backend }

func (full) Push(context.Context, uuid.UUID, []jobqueue.Record) (jobqueue.Pushed, error) {
	return nil, errors.New("no space left")
}

// While a store is away the log says so now and then, not for each job.
func TestInlineOutageIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFarm(t, func(r *jobqueue.Routes) {
			r.Default = full{r.Default}
			reg := &jobqueue.Registry{}
			reg.Add(func() jobqueue.Job {
				return &call{typ: "a", run: func(context.Context, int) error { return nil }}
			}, jobqueue.Policy{})
			r.Fallback = func(string) bool { return true }
			r.Inline = runner.Inline(reg, &runner.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		})
		for range 100 {
			f.push("a", 10)
			time.Sleep(300 * time.Millisecond)
		}
		if n := strings.Count(log.String(), "jobs cannot be stored"); n != 3 || !strings.Contains(log.String(), "jobs=340") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}
