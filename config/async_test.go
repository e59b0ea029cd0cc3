package config_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/runner"
)

// A told is a job that says that it ran.
type told struct {
	typ string
	ran *[]string
}

func (j *told) Type() string { return j.typ }
func (j *told) Run(ctx context.Context) error {
	*j.ran = append(*j.ran, jobqueue.FromContext(ctx).Name.String())
	return nil
}

// push opens a farm and pushes a job of a type on each domain, and returns what ran and what is stored.
func push(t *testing.T, f *config.Farm, typ string, domains ...string) (ran, stored []string) {
	t.Helper()
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &told{typ, &ran} }, jobqueue.Policy{})
	q, err := f.Open(t.Context(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, d := range domains {
		if _, err := q.Push(t.Context(), jobqueue.Spec{Type: typ, Domain: d}); err != nil {
			t.Fatal(err)
		}
	}
	counts, err := q.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		stored = append(stored, c.Name.String())
	}
	slices.Sort(stored)
	return ran, stored
}

// What is stored, and what runs where it is pushed, is as the file says of the type or, if it says nothing, of all.
func TestAsync(t *testing.T) {
	for _, test := range []struct {
		file        string
		ran, stored []string
		async       config.Async
	}{
		{"", nil, []string{"t1/mail", "t2/mail", "t7/mail"}, config.AllAsync},
		{"default: {async: all}", nil, []string{"t1/mail", "t2/mail", "t7/mail"}, config.AllAsync},
		{"default: {async: ''}", []string{"t1/mail", "t2/mail", "t7/mail"}, nil, config.NotAsync},
		{"types: {mail: {async: []}}", []string{"t1/mail", "t2/mail", "t7/mail"}, nil, config.NotAsync},
		{"types: {mail: {async: [t1, t7]}}", []string{"t2/mail"}, []string{"t1/mail", "t7/mail"}, config.SomeAsync},
		{"default: {async: ''}\ntypes: {mail: {async: all}}", nil, []string{"t1/mail", "t2/mail", "t7/mail"}, config.AllAsync},
		// Where a type is not enabled its jobs wait.
		{"types: {mail: {async: '', domains: [t1]}}", []string{"t1/mail"}, []string{"t2/mail", "t7/mail"}, config.NotAsync},
	} {
		f := load(t, memory+test.file)
		ran, stored := push(t, f, "mail", "t1", "t2", "t7")
		if diff := cmp.Diff([][]string{test.ran, test.stored}, [][]string{ran, stored}); diff != "" {
			t.Errorf("%s: ran and stored (-want +got):\n%s", test.file, diff)
		}
		if got := f.Async("mail"); got != test.async {
			t.Errorf("%s: Async = %v", test.file, got)
		}
		if err := f.NeverInline("mail"); (err == nil) != (test.async == config.AllAsync) {
			t.Errorf("%s: a type that never runs inline: %v", test.file, err)
		}
	}
}

// Where a type is not enabled its jobs wait, whether they are pushed to run at once, or never run so.
func TestNotEnabledWaits(t *testing.T) {
	f := load(t, memory+"types: {mail: {async: '', domains: [t1]}}")
	var ran []string
	for _, never := range []bool{false, true} {
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job { return &told{"mail", &ran} }, jobqueue.Policy{NeverInline: never})
		q, err := f.Open(t.Context(), reg)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if !never {
			ctx = jobqueue.WithSynchronous(ctx)
		}
		if pushed, err := q.Push(ctx, jobqueue.Spec{Type: "mail", Domain: "t2"}); err != nil || pushed.Stored() != 1 || len(ran) > 0 {
			t.Errorf("never inline: %v; pushed %+v, %v, ran %q", never, pushed, err, ran)
		}
		q.Close()
	}
}

// A store that is full does not keep jobs from being done, if the file says so, with the program's middleware.
func TestFallback(t *testing.T) {
	for file, falls := range map[string]bool{
		"": false, "default: {fallback: inline}": true, "types: {mail: {fallback: inline}}": true,
		"default: {fallback: inline}\ntypes: {mail: {fallback: none}}": false,
	} {
		f := load(t, memory+file)
		around := 0
		f.Inline = &runner.Options{
			Middleware: func(ctx context.Context, _ jobqueue.Job, next func(context.Context) error) error {
				around++
				return next(ctx)
			},
		}
		var ran []string
		reg := &jobqueue.Registry{}
		reg.Add(func() jobqueue.Job { return &told{"mail", &ran} }, jobqueue.Policy{})
		q, err := f.Open(t.Context(), reg)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Fallback != nil && q.Fallback("mail"); got != falls {
			t.Errorf("%q: falls back: %v", file, got)
		}
		if _, err := q.Push(jobqueue.WithSynchronous(t.Context()), jobqueue.Spec{Type: "mail"}); err != nil || around != 1 || len(ran) != 1 {
			t.Errorf("%q: %v, the middleware was called %d times, ran %q", file, err, around, ran)
		}
		q.Close()
	}
}

// Types that are enabled on some domains only are so for runners.
func TestEnabled(t *testing.T) {
	f := load(t, memory+"types: {mail: {domains: [t1, t7]}, other: {}}")
	for name, want := range map[string]bool{"t1/mail": true, "t7/mail": true, "t2/mail": false, "t2/other": true, "t2/third": true} {
		d, typ, _ := strings.Cut(name, "/")
		if f.Enabled(jobqueue.Name{Domain: d, Type: typ}) != want {
			t.Errorf("whether %s is enabled is not %v", name, want)
		}
	}
	var o runner.Options
	f.Share(&o)
	if diff := cmp.Diff(map[string][]string{"mail": {"t1", "t7"}}, o.Only); diff != "" {
		t.Errorf("Only (-want +got):\n%s", diff)
	}
}

// An event becomes a job of each type that the file lists and that is enabled on its domain, and what the program adds.
func TestEvents(t *testing.T) {
	f := load(t, memory+"types: {mail: {domains: [t1]}}\nevents: {notice: [mail, index, push], silence: []}")
	reg := &jobqueue.Registry{}
	bad := errors.New("bad")
	reg.On("own", func(jobqueue.Event) ([]jobqueue.Spec, error) { return []jobqueue.Spec{{Type: "count"}}, nil })
	reg.On("notice", func(e jobqueue.Event) ([]jobqueue.Spec, error) {
		if e.Domain == "t3" {
			return nil, bad
		}
		return []jobqueue.Spec{{Type: "count"}}, nil
	})
	q, err := f.Open(t.Context(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, test := range []struct {
		event, domain string
		jobs          int
		err           error
	}{
		{"notice", "t1", 4, nil}, {"notice", "t2", 3, nil}, {"notice", "t3", 0, bad},
		{"own", "t1", 1, nil}, {"silence", "t1", 0, nil}, {"notise", "t1", 0, jobqueue.ErrUnknownEvent},
	} {
		pushed, err := q.Emit(t.Context(), jobqueue.Event{Name: test.event, Domain: test.domain})
		if !errors.Is(err, test.err) || pushed.Stored() != test.jobs {
			t.Errorf("%v: %d jobs, %v", test, pushed.Stored(), err)
		}
	}
	counts, err := q.Counts(t.Context())
	var got []string
	for _, c := range counts {
		got = append(got, fmt.Sprintf("%v %d", c.Name, c.Ready))
	}
	slices.Sort(got)
	want := []string{"t1/count 2", "t1/index 1", "t1/mail 1", "t1/push 1", "t2/count 1", "t2/index 1", "t2/push 1"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, stored (-want +got):\n%s", err, diff)
	}
}
