package control_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/control"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A process that listens, and what it has obeyed.
type process struct {
	mu     sync.Mutex
	obeyed []string
	stop   func()
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.obeyed)
}

func listen(t *testing.T, c jobqueue.Control, id string) *process {
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{}
	ended, listening := make(chan struct{}), make(chan struct{})
	l := &control.Listener{
		Control: c, Process: id, Owner: "host:" + id,
		Obey: func(_ context.Context, cmd control.Command) (string, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.obeyed = append(p.obeyed, fmt.Sprint(cmd.Verb, cmd.Args))
			switch cmd.Verb {
			case "fail":
				return "", errors.New("no such thing")
			case "other":
				return "", fmt.Errorf("%w: it has no arms", control.ErrNotMine)
			}
			return "did " + cmd.Verb, nil
		},
	}
	go func() {
		defer close(ended)
		l.Run(ctx, func() { close(listening) })
	}()
	p.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(p.stop)
	select {
	case <-listening:
	case <-time.After(time.Minute):
	}
	return p
}

func send(t *testing.T, c jobqueue.Control, cmd control.Command) string {
	t.Helper()
	id, err := control.Send(t.Context(), c, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Who listens obeys each command once, in order, and answers; who comes later does not.
func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a, b := listen(t, c, "a"), listen(t, c, "b")
		first := send(t, c, control.Command{Verb: "reload"})
		time.Sleep(time.Millisecond)
		send(t, c, control.Command{Verb: "workers", Args: []string{"basic", "4"}, To: []string{"b"}})
		time.Sleep(time.Millisecond)
		send(t, c, control.Command{Verb: "fail"})
		time.Sleep(2 * time.Second)
		late := listen(t, c, "late")
		time.Sleep(control.Lifetime * 2)
		send(t, c, control.Command{Verb: "last"})
		time.Sleep(2 * time.Second)

		for _, want := range []struct {
			p    *process
			said []string
		}{
			{a, []string{"reload[]", "fail[]", "last[]"}},
			{b, []string{"reload[]", "workers[basic 4]", "fail[]", "last[]"}},
			{late, []string{"last[]"}},
		} {
			if diff := cmp.Diff(want.said, want.p.said()); diff != "" {
				t.Errorf("obeyed (-want +got):\n%s", diff)
			}
		}
		if got, err := control.Answers(t.Context(), c, first); err != nil || len(got) > 0 {
			t.Errorf("answers are kept for ever: %v, %v", got, err)
		}
	})
}

func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a := listen(t, c, "a")
		listen(t, c, "b")
		good, bad := send(t, c, control.Command{Verb: "reload"}), send(t, c, control.Command{Verb: "fail", To: []string{"b"}})
		other := send(t, c, control.Command{Verb: "other", To: []string{"a"}})
		time.Sleep(2 * time.Second)
		for id, want := range map[string][]control.Answer{
			good:  {{Process: "a", Owner: "host:a", Text: "did reload"}, {Process: "b", Owner: "host:b", Text: "did reload"}},
			bad:   {{Process: "b", Owner: "host:b", Err: "no such thing"}},
			other: {{Process: "a", Owner: "host:a", Err: "not for this process: it has no arms", NotMine: true}},
		} {
			got, err := control.Answers(t.Context(), c, id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		}
		// A process that ends because it was told to has answered.
		id := send(t, c, control.Command{Verb: "stop"})
		for len(a.said()) < 3 {
			time.Sleep(time.Millisecond)
		}
		a.stop()
		got, err := control.Answers(t.Context(), c, id)
		if err != nil || len(got) == 0 || got[0].Process != "a" {
			t.Errorf("%v, %v, want an answer of a", got, err)
		}
	})
}

// What was given just before a process ends has an answer of it.
func TestLastCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a := listen(t, c, "a")
		time.Sleep(10 * time.Second)
		id := send(t, c, control.Command{Verb: "stop"})
		a.stop()
		got, err := control.Answers(t.Context(), c, id)
		if err != nil || len(got) != 1 || len(a.said()) != 1 {
			t.Errorf("%v, %v, and %v was obeyed, want one answer", got, err, a.said())
		}
	})
}

// A slow store answers a look after a while, unless who looks gives up.
type slow struct{ jobqueue.Control }

func (s slow) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	select {
	case <-time.After(time.Second):
		return s.Control.Values(ctx, prefix)
	case <-ctx.Done():
		return nil, jobqueue.ErrUnavailable
	}
}

// A look that the end of a process interrupts is made again: what was given by then has an answer.
func TestLastCommandToASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		a := listen(t, slow{c}, "a")
		for looks := range 20 {
			time.Sleep(10*time.Second + time.Duration(looks)*100*time.Millisecond)
			id := send(t, c, control.Command{Verb: "stop"})
			a.stop()
			if got, err := control.Answers(t.Context(), c, id); err != nil || len(got) != 1 {
				t.Fatalf("%v, %v, want one answer", got, err)
			}
			a = listen(t, slow{c}, "a")
		}
	})
}

// away is a Control that cannot be reached for a while.
type away struct {
	jobqueue.Control
	mu  sync.Mutex
	err error
}

func (a *away) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *away) fails() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *away) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if err := a.fails(); err != nil {
		return nil, err
	}
	return a.Control.Values(ctx, prefix)
}

func (a *away) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if err := a.fails(); err != nil {
		return jobqueue.Value{}, false, err
	}
	return a.Control.SetValue(ctx, v)
}

// What is given while a process cannot reach the store it obeys afterwards, once.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := queuememory.New()
		cut := &away{Control: c}
		a := listen(t, cut, "a")
		cut.set(jobqueue.ErrUnavailable)
		time.Sleep(5 * time.Second)
		id := send(t, c, control.Command{Verb: "reload"})
		time.Sleep(5 * time.Minute)
		if got := a.said(); len(got) > 0 {
			t.Fatalf("obeyed %v without the store", got)
		}
		cut.set(nil)
		time.Sleep(30 * time.Second)
		if diff := cmp.Diff([]string{"reload[]"}, a.said()); diff != "" {
			t.Errorf("obeyed (-want +got):\n%s", diff)
		}
		if got, err := control.Answers(t.Context(), c, id); err != nil || len(got) != 1 {
			t.Errorf("%v, %v, want one answer", got, err)
		}
		// One that has never reached it does not obey what was given before.
		cut.set(jobqueue.ErrUnavailable)
		b := listen(t, cut, "b")
		send(t, c, control.Command{Verb: "early"})
		cut.set(nil)
		time.Sleep(3 * time.Second)
		send(t, c, control.Command{Verb: "now"})
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]string{"now[]"}, b.said()); diff != "" {
			t.Errorf("obeyed (-want +got):\n%s", diff)
		}
	})
}
