package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/control"
	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Commands are answered for as long as the process lives, and the last word is stop.
func TestCommandsAtTheEnd(t *testing.T) {
	bubble(t, runner.Options{Grace: time.Hour}, func(f *farm) {
		f.push("long", 30*time.Minute)
		ended := f.start(f.t.Context())
		time.Sleep(2 * time.Second)
		for _, want := range []struct{ verb, answer string }{
			{"restart", "restarting"},
			{"restart", "restarting"},
			{"reload", "error: the process is stopping"},
			{"stop", "stopping"},
			{"stop", "stopping"},
			{"restart", "error: the process is stopping"},
			{"log-level debug", "log level debug"},
		} {
			words := strings.Fields(want.verb)
			if got := f.command(words[0], words[1:]...); got != want.answer {
				t.Errorf("%s: %q, want %q", want.verb, got, want.answer)
			}
		}
		if res := <-ended; res.order != daemon.Stop || res.Counts.Done != 1 {
			t.Errorf("%v, order %v, want the job done and a stop", res.Result, res.order)
		}
	})
}

// The number of workers is that of a group which the process runs.
func TestWorkersOfGroups(t *testing.T) {
	groups := []schedule.Group{{Name: "own", Workers: 2, Include: []string{"note"}}, {Name: "other", Include: []string{"x"}}}
	bubble(t, runner.Options{Groups: groups}, func(f *farm) {
		part := func(o *daemon.Options) {
			o.Part = func(o *runner.Options) { o.Groups[0].Workers /= 2 }
		}
		f.start(f.t.Context(), part)
		time.Sleep(2 * time.Second)
		for _, want := range []struct{ group, answer string }{
			{"own", "generation 2, 1 workers"},
			{"own", "generation 3, 1 workers"}, // which are none here, after the division
			{"other", `error: not for this process: it does not run group "other"`},
			{"", "error: say of which group, they are own, other"},
			{"nosuch", `error: there is no group "nosuch", the groups are own, other`},
		} {
			if got := f.command("workers", want.group, "1"); got != want.answer {
				t.Errorf("workers %s: %q, want %q", want.group, got, want.answer)
			}
		}
		if got := f.command("reload"); got != "generation 4" {
			t.Errorf("%q, want what was refused not to count", got)
		}
	})
}

// A shop is a store that takes its time, and answers nothing any more once it is closed.
type shop struct {
	*queuememory.Backend
	closed atomic.Bool
}

func (s *shop) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	time.Sleep(500 * time.Millisecond)
	if s.closed.Load() {
		return jobqueue.Value{}, false, jobqueue.ErrUnavailable
	}
	return s.Backend.SetValue(ctx, v)
}

// A command that moves the process to another store is answered where it was given, and commands are heard there for as
// long as jobs of it run.
func TestStoreChanges(t *testing.T) {
	bubble(t, runner.Options{Grace: time.Minute}, func(f *farm) {
		was, second, third := &shop{Backend: f.backend}, &shop{Backend: queuememory.New()}, &shop{Backend: queuememory.New()}
		f.push("long", 20*time.Minute)
		ended := f.start(f.t.Context(), func(o *daemon.Options) {
			o.Files = nil
			next, shops := o.Next, []*shop{was, second, third}
			o.Next = func(ctx context.Context) (*daemon.Generation, error) {
				g, err := next(ctx)
				if err != nil {
					return nil, err
				}
				s := shops[0]
				shops = shops[1:]
				g.Group = jobqueue.NewGroup("home", jobqueue.Routes{Default: s})
				g.Close = func() error { s.closed.Store(true); return nil }
				return g, nil
			}
		})
		time.Sleep(5 * time.Second)
		ask := func(s *shop, verb, want string) {
			t.Helper()
			id, err := control.Send(t.Context(), s.Backend, control.Command{Verb: verb})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if got, err := control.Answers(t.Context(), s.Backend, id); err != nil || len(got) != 1 || got[0].Text != want {
				t.Errorf("%s: %+v, %v, want one answer %q", verb, got, err, want)
			}
		}
		ask(was, "reload", "generation 2")
		ask(was, "pauses", "pauses hold")
		ask(second, "pauses", "pauses hold")
		// Nothing of the second runs: it is closed at once.
		ask(second, "reload", "generation 3")
		if !second.closed.Load() || was.closed.Load() {
			t.Errorf("the second store is closed: %v, the first: %v; want the one that is used no more", second.closed.Load(), was.closed.Load())
		}
		ask(third, "stop", "stopping")
		<-ended
		if !was.closed.Load() || !third.closed.Load() {
			t.Error("a store is left open")
		}
	})
}

// Whether the configuration that was read last is in force is told, and what a command refuses says nothing of it.
func TestReloaded(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		var told []string
		f.start(f.t.Context(), func(o *daemon.Options) {
			o.Reloaded = func(err error) { told = append(told, fmt.Sprint(err)) }
		})
		time.Sleep(2 * time.Second)
		f.command("update", "nosuch")
		f.write("bad")
		time.Sleep(time.Minute)
		f.command("reload")
		f.write("one")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		const bad = "farm:1: bad is no word"
		if diff := cmp.Diff([]string{"<nil>", bad, bad, "<nil>"}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// A process that is told to end while it reads a configuration because of a command does not wait for that.
func TestEndWhileReading(t *testing.T) {
	bubble(t, runner.Options{}, func(f *farm) {
		ctx, stop := context.WithCancel(f.t.Context())
		ended := f.start(ctx, func(o *daemon.Options) {
			next, begun := o.Next, false
			o.Next = func(ctx context.Context) (*daemon.Generation, error) {
				if begun {
					<-ctx.Done() // A store that hangs.
					return nil, ctx.Err()
				}
				begun = true
				return next(ctx)
			}
		})
		time.Sleep(5 * time.Second)
		id, err := control.Send(t.Context(), f.backend, control.Command{Verb: "reload"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		stop()
		<-ended
		if got, err := control.Answers(t.Context(), f.backend, id); err != nil || len(got) != 1 || got[0].Err == "" {
			t.Errorf("%+v, %v, want the command refused", got, err)
		}
	})
}
