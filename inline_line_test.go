package jobqueue_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// With a synchronous context everything runs at once, children too; what is delayed or paused is stored.
func TestSynchronousPush(t *testing.T) {
	o := newOffice(t, nil)
	o.add("video", jobqueue.Policy{NeverInline: true}, nil)
	o.add("parent", jobqueue.Policy{}, func(ctx context.Context, n int) error {
		pushed, err := o.On(jobqueue.FromContext(ctx).Domain).Push(ctx, job("mail", n+1), job("video", n+2))
		if pushed.Ran() != 2 {
			t.Errorf("children: %+v", pushed)
		}
		return err
	})
	later := job("mail", 9)
	later.ReleaseAt = time.Now().Add(time.Hour)
	past := job("mail", 5)
	past.ReleaseAt = time.Now().Add(-time.Hour)
	if err := o.Pause(t.Context(), jobqueue.Pause{Type: "held"}); err != nil {
		t.Fatal(err)
	}
	pushed, err := o.Push(jobqueue.WithSynchronous(t.Context()), job("parent", 1), later, past, job("held", 1))
	if err != nil || pushed.Stored() != 2 || pushed.Ran() != 2 {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	o.want("ran", o.ran, []string{"t1/parent 1", "t1/mail 5", "t1/mail 2", "t1/video 3"})
	o.want("stored", o.stored(), []string{"t1/held 1", "t1/mail 1"})
	if o.told[0] != "t1/parent synchronous <nil>" {
		t.Errorf("told %q", o.told)
	}
	plain := jobqueue.NewGroup("t1", jobqueue.Routes{Default: queuememory.New()})
	if _, err := plain.Push(jobqueue.WithSynchronous(t.Context()), job("mail", 1)); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Errorf("%v, want that it cannot be", err)
	}
}

// A job that pushes synchronously is obeyed by the jobs of its jobs.
func TestSynchronousWithinInline(t *testing.T) {
	o := newOffice(t, func(r *jobqueue.Routes) { r.Async = func(n jobqueue.Name) bool { return n.Type != "first" } })
	o.add("first", jobqueue.Policy{}, func(ctx context.Context, n int) error {
		_, err := o.Push(jobqueue.WithSynchronous(ctx), job("second", n+1))
		return err
	})
	o.add("second", jobqueue.Policy{}, func(ctx context.Context, n int) error {
		_, err := o.Push(ctx, job("mail", n+1))
		return err
	})
	mustPush(t, o.Group, job("first", 1))
	o.want("ran", o.ran, []string{"t1/first 1", "t1/second 2", "t1/mail 3"})
	o.want("stored", o.stored(), nil)
}

// Jobs that push jobs run one after the other, never within each other, however long the chain.
func TestInlineJobsDoNotNest(t *testing.T) {
	const most = 100_000
	o := newOffice(t, inlineOnly)
	depth := atomic.Int64{}
	o.reg.Add(func() jobqueue.Job {
		return &step{typ: "chain", run: func(ctx context.Context, n int) error {
			if depth.Add(1) > 1 {
				t.Error("a job runs within another")
			}
			defer depth.Add(-1)
			if n == most {
				return errors.New("the last one")
			}
			_, err := o.Push(ctx, job("chain", n+1))
			return err
		}}
	}, jobqueue.Policy{})
	pushed, err := o.Push(t.Context(), job("chain", 0))
	if pushed[0].Err != nil || err == nil || !strings.Contains(err.Error(), "the last one") {
		t.Errorf("pushed %+v, %v, want the error of the last job alone", pushed, err)
	}
	if len(o.told) != most+1 {
		t.Errorf("%d jobs ran", len(o.told))
	}
}

// A job that has ended and one that goes on pushing from a goroutine are both served.
func TestInlineLate(t *testing.T) {
	o := newOffice(t, inlineOnly)
	late := make(chan context.Context, 1)
	o.add("leaky", jobqueue.Policy{}, func(ctx context.Context, _ int) error {
		late <- context.WithoutCancel(ctx)
		return nil
	})
	mustPush(t, o.Group, job("leaky", 1))
	if pushed, err := o.Push(<-late, job("mail", 2)); err != nil || pushed.Ran() != 1 {
		t.Errorf("pushed %+v, %v", pushed, err)
	}
	o.want("ran", o.ran, []string{"t1/leaky 1", "t1/mail 2"})
}
