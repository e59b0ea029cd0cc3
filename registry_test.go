package jobqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue"
)

// typed is embedded by jobs of tests; it does nothing.
type typed string

func (t typed) Type() string              { return string(t) }
func (typed) Run(_ context.Context) error { return nil }

type mail struct {
	typed
	To    []string       `json:"to"`
	Extra map[string]any `json:"extra,omitempty"`
	db    *int
}

func newMail() jobqueue.Job { return &mail{typed: "mail"} }

type channel struct {
	typed
	C chan int
}

type value struct {
	typed
	N int
}

// forgetful does not read back what it writes.
type forgetful struct {
	typed
	n *int
}

func (f *forgetful) MarshalJSON() ([]byte, error) {
	*f.n++
	return json.Marshal(map[string]int{"n": *f.n})
}

type picky struct{ typed }

func (*picky) UnmarshalJSON([]byte) error { return errors.New("never right") }

type empty struct{}

func (*empty) Type() string              { return "empty" }
func (*empty) Run(context.Context) error { return nil }

func TestRegistryAddPanics(t *testing.T) {
	same, n := &mail{typed: "mail"}, new(int)
	for name, tt := range map[string]struct {
		new  func() jobqueue.Job
		want string
	}{
		"no type":        {func() jobqueue.Job { return &mail{} }, "type is empty"},
		"a long type":    {func() jobqueue.Job { return &mail{typed: typed(strings.Repeat("x", 256))} }, "at most 255"},
		"a control":      {func() jobqueue.Job { return &mail{typed: "a\n"} }, "control character"},
		"the type taken": {func() jobqueue.Job { return &mail{typed: "taken"} }, "taken: the type is taken"},
		"one pointer":    {func() jobqueue.Job { return same }, "fresh pointer"},
		"no pointer":     {func() jobqueue.Job { return value{typed: "value"} }, "fresh pointer"},
		"not JSON":       {func() jobqueue.Job { return &channel{typed: "channel"} }, "chan int"},
		"never the same": {func() jobqueue.Job { return &forgetful{"forgetful", n} }, "do not survive JSON"},
		"never decoded":  {func() jobqueue.Job { return &picky{"picky"} }, "do not survive JSON: never right"},
	} {
		t.Run(name, func(t *testing.T) {
			var reg jobqueue.Registry
			reg.Add(func() jobqueue.Job { return &mail{typed: "taken"} }, jobqueue.Policy{})
			defer func() {
				got, _ := recover().(string)
				if !strings.HasPrefix(got, "jobqueue: add ") || !strings.Contains(got, tt.want) {
					t.Errorf("Add panics with %q, want %q", got, tt.want)
				}
				if types := reg.Types(); !slices.Equal(types, []string{"taken"}) {
					t.Errorf("the registry has the types %q afterwards", types)
				}
			}()
			reg.Add(tt.new, jobqueue.Policy{})
		})
	}
}

func TestRegistryJob(t *testing.T) {
	var reg jobqueue.Registry
	db := new(int)
	reg.Add(func() jobqueue.Job { return &mail{typed: "mail", db: db} }, jobqueue.Policy{MaxTries: 7})
	reg.Add(func() jobqueue.Job { return &empty{} }, jobqueue.Policy{}) // pointers to nothing are all alike
	c := &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Domain: "w", Type: "mail"}, Params: []byte(`{"to":["a"]}`)}}
	first, err := reg.Job(c)
	if m, ok := first.(*mail); err != nil || !ok || !slices.Equal(m.To, []string{"a"}) || m.db != db {
		t.Fatalf("Job = %+v, %v, want the parameters and the dependency", first, err)
	}
	if second, _ := reg.Job(c); second == first {
		t.Error("Job returns the same job twice")
	}
	c.Params = []byte(`{"to":"a"}`)
	if _, err := reg.Job(c); err == nil || errors.Is(err, jobqueue.ErrUnknownType) || !strings.Contains(err.Error(), "do not fit") {
		t.Errorf("Job of parameters that do not fit = %v", err)
	}
	c.Type = "other"
	if _, err := reg.Job(c); !errors.Is(err, jobqueue.ErrUnknownType) {
		t.Errorf("Job of an unknown type = %v, want ErrUnknownType", err)
	}
	if !reg.Has("mail") || reg.Has("other") || !slices.Equal(reg.Types(), []string{"empty", "mail"}) {
		t.Errorf("the registry has the types %q", reg.Types())
	}
	if reg.Policy("mail").MaxTries != 7 || reg.Policy("other").MaxTries != 0 {
		t.Errorf("the policies allow %d and %d tries, want 7 and no word", reg.Policy("mail").MaxTries, reg.Policy("other").MaxTries)
	}
}

func TestRegistryFallback(t *testing.T) {
	var reg jobqueue.Registry
	reg.Add(newMail, jobqueue.Policy{MaxTries: 7})
	reg.Fallback(func(typ string) jobqueue.Job { return &value{typed: typed("any " + typ)} }, jobqueue.Policy{MaxTries: 9})
	c := &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Domain: "w", Type: "other"}, Params: []byte(`not decoded`)}}
	if job, err := reg.Job(c); err != nil || job.Type() != "any other" {
		t.Errorf("Job = %v, %v, want the fallback's", job, err)
	}
	if !reg.Has("other") || reg.Policy("other").MaxTries != 9 || reg.Policy("mail").MaxTries != 7 || len(reg.Types()) != 1 {
		t.Errorf("the fallback changes the added type, or is none")
	}
}
