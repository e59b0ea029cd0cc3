package jobqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A notify finds out who is to hear of a notice, and pushes one job for each of them.
type notify struct {
	Notice int `json:"notice"`

	group   *jobqueue.Group
	targets []string
	fail    func(done int) error
}

func (*notify) Type() string { return "notify" }

func (j *notify) Run(ctx context.Context) error {
	const batch = 100
	for i := 0; i < len(j.targets); i += batch {
		if err := j.fail(i); err != nil {
			return err
		}
		var specs []jobqueue.Spec
		for _, t := range j.targets[i : i+batch] {
			specs = append(specs, jobqueue.Spec{
				Job: &deliver{Notice: j.Notice, To: t},
				// A second try of this job pushes what waits already once more, which so is dropped.
				DedupeKey: fmt.Sprintf("%d %s", j.Notice, t),
				Root:      jobqueue.FromContext(ctx).Root,
			})
		}
		if _, err := j.group.Push(ctx, specs...); err != nil {
			return err
		}
	}
	return nil
}

// A deliver tells one of them.
type deliver struct {
	Notice int    `json:"notice"`
	To     string `json:"to"`

	got map[string]int
}

func (*deliver) Type() string { return "deliver" }
func (j *deliver) Run(context.Context) error {
	j.got[j.To]++
	return nil
}

// An event becomes a job that pushes one for each target. However it ends half-way, by an error or with its
// process, each target has exactly one job in the end.
func TestFanOutThatCrashesHalfWay(t *testing.T) {
	targets := make([]string, 1000)
	for i := range targets {
		targets[i] = fmt.Sprintf("subscriber%d", i)
	}
	crash, got := -1, map[string]int{}
	store, reg := queuememory.New(), &jobqueue.Registry{}
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: store, Policy: reg.Policy, Events: reg.Events})
	reg.On("notice", func(jobqueue.Event) ([]jobqueue.Spec, error) { return []jobqueue.Spec{{Type: "notify"}}, nil })
	reg.Add(func() jobqueue.Job {
		return &notify{group: g, targets: targets, fail: func(done int) error {
			if done != crash {
				return nil
			}
			crash = -1
			return errors.New("crashed")
		}}
	}, jobqueue.Policy{Lease: 10 * time.Second, Backoff: func(int) time.Duration { return 0 }})
	reg.Add(func() jobqueue.Job { return &deliver{got: got} }, jobqueue.Policy{})

	if _, err := g.Emit(t.Context(), jobqueue.Event{Name: "notice", Params: json.RawMessage(`{"notice":7}`)}); err != nil {
		t.Fatal(err)
	}
	stored := func() int {
		counts, err := g.Counts(t.Context(), jobqueue.Name{Domain: "wiki", Type: "deliver"})
		if err != nil {
			t.Fatal(err)
		}
		return counts[0].Total()
	}
	// The first try dies with its process: nobody settles it.
	crash = 300
	claims, err := g.Pop(t.Context(), newLease(), want("notify", 1))
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	job, err := reg.Job(claims[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Run(jobqueue.NewContext(t.Context(), claims[0])); err == nil || stored() != 300 {
		t.Fatalf("%v, %d jobs are stored", err, stored())
	}
	// Its lease ends: once nobody has looked for long it has one more, then it is over.
	for range 2 {
		store.Shift(2 * time.Minute)
		if _, err := store.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// The second try fails, the third does not.
	crash = 700
	res, err := runner.Run(t.Context(), g, reg, &runner.Options{Types: []string{"notify"}, Unlogged: true})
	if err != nil || res.Counts.Retried != 1 || res.Counts.Done != 1 || stored() != len(targets) {
		t.Errorf("%v, %v, %d jobs are stored", res, err, stored())
	}
	if _, err := runner.Run(t.Context(), g, reg, &runner.Options{Workers: 1}); err != nil {
		t.Error(err)
	}
	for _, target := range targets {
		if got[target] != 1 {
			t.Errorf("%s got %d", target, got[target])
		}
	}
}
