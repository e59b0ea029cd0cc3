package jobqueue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A step is a job that does what the test says.
type step struct {
	N   int `json:"n"`
	typ string
	run func(ctx context.Context, n int) error
}

func (s *step) Type() string                  { return s.typ }
func (s *step) Run(ctx context.Context) error { return s.run(ctx, s.N) }

// A brokenStore refuses pushes while err is set, after it has stored them if it is also deaf. If it is mute it does not
// say what is paused.
type brokenStore struct {
	*queuememory.Backend
	err  error
	deaf bool
	mute bool
}

func (b *brokenStore) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if b.mute {
		return nil, jobqueue.ErrUnavailable
	}
	return b.Backend.Values(ctx, prefix)
}

func (b *brokenStore) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if b.err == nil || b.deaf {
		if pushed, err := b.Backend.Push(ctx, id, records); b.err == nil {
			return pushed, err
		}
	}
	return nil, b.err
}

// An office has a group some of whose jobs run inline, and notes what they do.
type office struct {
	*jobqueue.Group
	t     *testing.T
	store *brokenStore
	reg   *jobqueue.Registry
	ran   []string // queue and number
	told  []string // what the trace said
}

func newOffice(t *testing.T, change func(*jobqueue.Routes)) *office {
	o := &office{t: t, store: &brokenStore{Backend: queuememory.New()}, reg: &jobqueue.Registry{}}
	r := jobqueue.Routes{
		Default: o.store,
		Policy:  o.reg.Policy,
		Inline:  runner.Inline(o.reg, &runner.Options{Logger: slog.New(slog.DiscardHandler)}),
		Trace: &jobqueue.Trace{Inline: func(_ context.Context, c *jobqueue.Claim, why string, took time.Duration, err error) {
			if took < 0 || why != c.Inline {
				t.Errorf("%v took %v for %q", c, took, why)
			}
			o.told = append(o.told, fmt.Sprintf("%v %s %v", c.Name, why, err))
		}},
	}
	if change != nil {
		change(&r)
	}
	o.Group = jobqueue.NewGroup("t1", r)
	o.add("mail", jobqueue.Policy{}, nil)
	return o
}

// add adds a type whose jobs are noted.
func (o *office) add(typ string, p jobqueue.Policy, run func(ctx context.Context, n int) error) {
	o.reg.Add(func() jobqueue.Job {
		return &step{typ: typ, run: func(ctx context.Context, n int) error {
			o.ran = append(o.ran, fmt.Sprintf("%v %d", jobqueue.FromContext(ctx).Name, n))
			if run == nil {
				return nil
			}
			return run(ctx, n)
		}}
	}, p)
}

// stored returns the queues of what is stored, and how many jobs they have.
func (o *office) stored() []string {
	o.t.Helper()
	counts, err := o.store.Counts(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	var all []string
	for _, c := range counts {
		if c.Total() > 0 {
			all = append(all, fmt.Sprintf("%v %d", c.Name, c.Total()))
		}
	}
	slices.Sort(all)
	return all
}

func (o *office) want(what string, got, want []string) {
	o.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func inlineOnly(r *jobqueue.Routes)   { r.Async = func(jobqueue.Name) bool { return false } }
func withFallback(r *jobqueue.Routes) { r.Fallback = func(string) bool { return true } }

func job(typ string, n int) jobqueue.Spec {
	return jobqueue.Spec{Type: typ, Params: fmt.Appendf(nil, `{"n":%d}`, n)}
}

// Of three jobs of a type that is async on two domains two are stored, and one runs at once.
func TestTypeIsAsyncOnSomeDomains(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) {
		r.Async = func(n jobqueue.Name) bool { return n.Domain == "t1" || n.Domain == "t7" }
	})
	specs := []jobqueue.Spec{job("mail", 1), job("mail", 2), job("mail", 7)}
	specs[1].Domain, specs[2].Domain = "t2", "t7"
	pushed, err := o.Push(t.Context(), specs...)
	if err != nil || pushed.Stored() != 2 || pushed.Ran() != 1 || !pushed[1].Inline || pushed[1].ID == "" {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	o.want("ran", o.ran, []string{"t2/mail 2"})
	o.want("stored", o.stored(), []string{"t1/mail 1", "t7/mail 1"})
	o.want("told", o.told, []string{"t2/mail not_async <nil>"})
}

// A store that is away does not stop who pushes: the job runs at once, and its effect is there.
func TestFallbackRunsWhatCannotBeStored(t *testing.T) {
	for _, err := range []error{jobqueue.ErrUnavailable, jobqueue.ErrReadOnly, errors.New("no space left on device")} {
		o := newOffice(t, func(r *jobqueue.Routes) { r.Fallback = func(typ string) bool { return typ == "mail" } })
		o.add("stats", jobqueue.Policy{}, nil)
		o.store.err = err
		pushed, err2 := o.Push(t.Context(), job("mail", 1))
		if err2 != nil || pushed.Ran() != 1 || pushed[0].Err != nil {
			t.Errorf("%v: pushed %+v, %v", err, pushed, err2)
		}
		// Of a batch only what may fall back runs, and the rest is an error.
		pushed, err2 = o.Push(t.Context(), job("mail", 2), job("stats", 3))
		if !errors.Is(err2, err) || pushed.Ran() != 1 || pushed[0].Err != nil || !errors.Is(pushed[1].Err, err) {
			t.Errorf("%v: pushed %+v, %v", err, pushed, err2)
		}
		o.want("ran", o.ran, []string{"t1/mail 1", "t1/mail 2"})
		o.want("told", o.told, []string{"t1/mail push_failed <nil>", "t1/mail push_failed <nil>"})
		o.store.err = nil
		if pushed, err := o.Push(t.Context(), job("mail", 4)); err != nil || pushed.Stored() != 1 {
			t.Errorf("pushed %+v, %v", pushed, err)
		}
	}
}

// What may be stored already must not run a second time, if it must never run twice.
func TestFallbackOfAtMostOnce(t *testing.T) {
	o := newOffice(t, withFallback)
	o.add("once", jobqueue.Policy{AtMostOnce: true}, nil)
	o.store.err, o.store.deaf = jobqueue.ErrUnavailable, true
	if _, err := o.Push(t.Context(), job("once", 1)); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("%v, want that the store is unavailable", err)
	}
	o.want("ran", o.ran, nil)
	o.want("stored", o.stored(), []string{"t1/once 1"})
	// A part of a backend may have it, whatever the error.
	o.store.err = jobqueue.ErrReadOnly
	if pushed, err := o.Push(t.Context(), job("once", 2)); !errors.Is(err, jobqueue.ErrReadOnly) || pushed.Ran() != 0 {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	o.want("ran", o.ran, nil)
}

// What does not fall back: what is delayed, paused, or never to run inline, and what nobody waits for any more.
func TestNoFallback(t *testing.T) {
	o := newOffice(t, withFallback)
	o.add("video", jobqueue.Policy{NeverInline: true}, nil)
	o.add("held", jobqueue.Policy{}, nil)
	if err := o.Pause(t.Context(), jobqueue.Pause{Type: "held"}); err != nil {
		t.Fatal(err)
	}
	// What is paused is known from the last pop.
	if _, err := o.Pop(t.Context(), newLease(), jobqueue.Want{Name: jobqueue.Name{Domain: "t1", Type: "mail"}, Max: 1}); err != nil {
		t.Fatal(err)
	}
	o.store.err = jobqueue.ErrUnavailable
	later := job("mail", 1)
	later.Delay = time.Hour
	unknown := jobqueue.Spec{Type: "unknown"}
	for _, spec := range []jobqueue.Spec{later, job("video", 2), job("held", 3), unknown} {
		if pushed, err := o.Push(t.Context(), spec); !errors.Is(err, jobqueue.ErrUnavailable) || !errors.Is(pushed[0].Err, jobqueue.ErrUnavailable) {
			t.Errorf("%s: pushed %+v, %v", spec.Type, pushed, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Push(ctx, job("mail", 4)); !errors.Is(err, jobqueue.ErrUnavailable) {
		t.Errorf("%v, want that the store is unavailable", err)
	}
	o.want("ran", o.ran, nil)
}

// What cannot run here is refused before anything is stored.
func TestInlineRefused(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) {
		r.Async = func(n jobqueue.Name) bool { return n.Type == "stored" }
	})
	o.add("video", jobqueue.Policy{NeverInline: true}, nil)
	for _, c := range []struct {
		spec jobqueue.Spec
		want error
	}{
		{jobqueue.Spec{Type: "unknown"}, jobqueue.ErrUnknownType},
		{jobqueue.Spec{Type: "mail", Params: []byte(`{"n":"x"}`)}, nil},
		{job("video", 1), jobqueue.ErrInvalid},
	} {
		pushed, err := o.Push(t.Context(), jobqueue.Spec{Type: "stored"}, job("mail", 1), c.spec)
		if pushed != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), "job 2") {
			t.Errorf("%s: pushed %+v, %v", c.spec.Type, pushed, err)
		}
	}
	o.want("ran", o.ran, nil)
	o.want("stored", o.stored(), nil)
}

// Of equal jobs of one push one runs; what waits in a store does not count.
func TestInlineDuplicates(t *testing.T) {
	async := true
	o := newOffice(t, func(r *jobqueue.Routes) { r.Async = func(jobqueue.Name) bool { return async } })
	one := job("mail", 1)
	one.Dedupe = true
	mustPush(t, o.Group, one)
	async = false
	pushed := mustPush(t, o.Group, one, job("mail", 1), one)
	if pushed.Ran() != 2 || pushed.Duplicates() != 1 || pushed[2].ID != pushed[0].ID || pushed[2].Inline {
		t.Errorf("pushed %+v", pushed)
	}
	o.want("ran", o.ran, []string{"t1/mail 1", "t1/mail 1"})
}

// A job without a time has that of the push for its root, which its children share.
func TestInlineRoot(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) { r.Async = func(n jobqueue.Name) bool { return n.Type == "child" } })
	begin := time.Now()
	o.add("parent", jobqueue.Policy{}, func(ctx context.Context, n int) error {
		c := jobqueue.FromContext(ctx)
		if c.Attempt != 1 || c.MaxTries != 1 || c.Headers["by"] != "me" || c.Inline != jobqueue.NotAsync {
			t.Errorf("the claim is %+v", c)
		}
		_, err := o.Push(ctx, jobqueue.Spec{Type: "child", Root: c.Root})
		return err
	})
	spec := job("parent", 1)
	spec.Root.Key, spec.MaxTries, spec.Headers = "page", 5, map[string]string{"by": "me"}
	mustPush(t, o.Group, spec)
	for e, err := range o.List(t.Context(), jobqueue.Filter{Type: "child"}) {
		if err != nil || e.Root.Key != "page" || e.Root.Time.Before(begin.Truncate(time.Microsecond)) {
			t.Errorf("the child is %+v, %v", e, err)
		}
	}
	o.want("stored", o.stored(), []string{"t1/child 1"})
}

// What fails a job is told to who pushes it, once, and asks nothing of a runner that runs who pushes it.
func TestInlineFailure(t *testing.T) {
	own := errors.New("no route to the mail server")
	o := newOffice(t, inlineOnly)
	var fail error
	o.add("fail", jobqueue.Policy{Timeout: time.Minute}, func(ctx context.Context, _ int) error {
		if fail == nil {
			panic("boom")
		}
		return fail
	})
	for _, fail = range []error{
		own, jobqueue.Abandon(own), jobqueue.RetryIn(time.Hour, own), jobqueue.Fault(own), fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, own),
		&jobqueue.Error{Op: "push", Err: own},
	} {
		pushed, err := o.Push(t.Context(), job("fail", 1), job("mail", 2))
		if !errors.Is(err, own) || !errors.Is(pushed[0].Err, own) || pushed[1].Err != nil {
			t.Errorf("%v: pushed %+v, %v", fail, pushed, err)
		}
		if errors.Is(err, jobqueue.ErrFault) || errors.Is(err, jobqueue.ErrUnavailable) {
			t.Errorf("%v speaks for the push", err)
		}
		// The job that pushed it is tried again like any other.
		claim := &jobqueue.Claim{Record: jobqueue.Record{MaxTries: 3}, Attempt: 1, QueuedAt: time.Now()}
		if out := o.Outcome(claim, err); out.Do != jobqueue.ActionRetry || out.Delay > time.Minute {
			t.Errorf("%v: the job that pushed it has the outcome %+v", fail, out)
		}
	}
	fail = jobqueue.Snooze(time.Hour)
	if _, err := o.Push(t.Context(), job("fail", 1)); err == nil {
		t.Error("a snooze went well")
	}
	fail = nil
	if _, err := o.Push(t.Context(), job("fail", 1)); err == nil || !strings.Contains(err.Error(), "panic: boom") {
		t.Errorf("%v, want the panic", err)
	}
	o.want("stored", o.stored(), nil)
}

// The context of a push ends its jobs; those that have not begun fail.
func TestInlineContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, inlineOnly)
		o.add("wait", jobqueue.Policy{Timeout: time.Minute}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		begin := time.Now()
		if _, err := o.Push(t.Context(), job("wait", 1)); !errors.Is(err, runner.ErrTimeout) || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v, want the time limit", err, time.Since(begin))
		}
		gone := errors.New("the client went away")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, gone)
		defer cancel()
		pushed, err := o.Push(ctx, job("wait", 2), job("mail", 3))
		if !errors.Is(pushed[0].Err, gone) || !errors.Is(pushed[1].Err, gone) || !errors.Is(err, gone) {
			t.Errorf("pushed %+v, %v", pushed, err)
		}
		o.want("ran", o.ran, []string{"t1/wait 1", "t1/wait 2"})
	})
}

// A farm that is read-only runs nothing inline either.
func TestInlineReadOnly(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) {
		inlineOnly(r)
		r.ReadOnly = "moving house"
	})
	if _, err := o.Push(t.Context(), job("mail", 1)); !errors.Is(err, jobqueue.ErrReadOnly) {
		t.Errorf("%v, want that the farm is read-only", err)
	}
	o.want("ran", o.ran, nil)
}

// What is paused waits in the store, as far as is known.
func TestInlinePaused(t *testing.T) {
	o := newOffice(t, inlineOnly)
	if err := o.Pause(t.Context(), jobqueue.Pause{Domain: "t1", Type: "mail"}); err != nil {
		t.Fatal(err)
	}
	mustPush(t, o.Group, job("mail", 1))
	o.want("ran", o.ran, nil)
	o.want("stored", o.stored(), []string{"t1/mail 1"})
	mustPush(t, o.On("t2"), job("mail", 2))
	o.want("ran", o.ran, []string{"t2/mail 2"})
}

// While nobody says what is paused, what was known last counts.
func TestInlinePausedWhenNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, inlineOnly)
		o.add("other", jobqueue.Policy{}, nil)
		if err := o.Pause(t.Context(), jobqueue.Pause{Type: "mail"}); err != nil {
			t.Fatal(err)
		}
		mustPush(t, o.Group, job("mail", 1))
		o.store.mute = true
		time.Sleep(time.Hour)
		mustPush(t, o.Group, job("mail", 2), job("other", 3))
		o.want("ran", o.ran, []string{"t1/other 3"})
		o.want("stored", o.stored(), []string{"t1/mail 2"})
	})
}

// A group needs no backend if it runs all jobs itself; then nothing can wait.
func TestGroupWithoutBackend(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) { r.Default = nil })
	mustPush(t, o.Group, job("mail", 1))
	o.want("ran", o.ran, []string{"t1/mail 1"})
	later := job("mail", 2)
	later.Delay = time.Second
	if _, err := o.Push(t.Context(), later); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("%v, want that a delayed job is refused", err)
	}
	for _, err := range o.Ready(t.Context()) {
		t.Errorf("something is ready: %v", err)
	}
	if n, err := o.Counts(t.Context()); len(n) > 0 || err != nil {
		t.Errorf("counts %v, %v", n, err)
	}
	res, err := runner.Run(t.Context(), o.Group, o.reg, nil)
	if res.Reached != runner.NonePossible || !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("a run ends with %v, %v", res.Reached, err)
	}
}
