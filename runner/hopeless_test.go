package runner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A run ends, though it would wait, when its store will never answer: what it had in hand comes back to others.
func TestStoreForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t)
		f.add("a", jobqueue.Policy{}, sleep(100*time.Millisecond))
		f.push("a", 100)
		var log bytes.Buffer
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		done := f.goRun(ctx, runner.Options{Workers: 4, Wait: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(time.Second)
		f.faults.set(failing(fmt.Errorf("%w: it needs a newer program", jobqueue.ErrInvalid)))
		begin := time.Now()
		res := <-done
		f.reached(res, runner.Exception)
		if !errors.Is(res.Err, jobqueue.ErrInvalid) || time.Since(begin) > 2*time.Second {
			t.Errorf("it ended with %v after %v, want the reason of the store at once", res.Err, time.Since(begin))
		}
		if res.Counts.Unsettled < 4 || res.Counts.Lost+res.Counts.Failed > 0 {
			t.Errorf("%v, want what was in hand to be unsettled", res)
		}
		if n := strings.Count(log.String(), "\n"); n > 4 {
			t.Errorf("%d lines for %d jobs:\n%s", n, res.Counts.Unsettled, log.String())
		}
		f.faults.set(nil)
		rest := f.run(t.Context(), runner.Options{Workers: 4, Wait: true, MaxTime: time.Minute})
		if rest.Counts.Done != 100-res.Counts.Done || rest.Counts.Failed+rest.Counts.Abandoned > 0 {
			t.Errorf("%v and then %v, want 100 done", res, rest)
		}
	})
}

// While another store may still answer, the run goes on.
func TestOneStoreForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &faults{Backend: queuememory.New()}
		b.set(failing(jobqueue.ErrInvalid))
		f := newFarm(t, func(r *jobqueue.Routes) { r.Types = map[string]jobqueue.Backend{"b": b} })
		f.add("a", jobqueue.Policy{}, sleep(0))
		done := f.goRun(t.Context(), runner.Options{Wait: true, MaxTime: time.Minute})
		time.Sleep(30 * time.Second)
		f.push("a", 100)
		res := <-done
		f.reached(res, runner.TimeLimit)
		f.counted(res, runner.Counts{Done: 100})
	})
}
