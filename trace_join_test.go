package jobqueue_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// Every hook of every joined trace is called, in their order, also one that is added later.
func TestJoinedTracesAreAllCalled(t *testing.T) {
	var calls []string
	full := func(name string) *jobqueue.Trace {
		tr := &jobqueue.Trace{}
		v := reflect.ValueOf(tr).Elem()
		for i := range v.NumField() {
			typ := v.Field(i).Type()
			v.Field(i).Set(reflect.MakeFunc(typ, func([]reflect.Value) (out []reflect.Value) {
				calls = append(calls, name)
				for k := range typ.NumOut() {
					out = append(out, reflect.Zero(typ.Out(k)))
				}
				return out
			}))
		}
		return tr
	}
	joined := reflect.ValueOf(jobqueue.JoinTraces(nil, full("a"), &jobqueue.Trace{}, full("b"), nil)).Elem()
	for i := range joined.NumField() {
		calls = nil
		hook, name := joined.Field(i), joined.Type().Field(i).Name
		if hook.IsNil() {
			t.Errorf("%s is lost", name)
			continue
		}
		args := make([]reflect.Value, hook.Type().NumIn())
		for k := range args {
			args[k] = reflect.Zero(hook.Type().In(k))
		}
		if hook.Type().IsVariadic() {
			hook.CallSlice(args)
		} else {
			hook.Call(args)
		}
		if !reflect.DeepEqual(calls, []string{"a", "b"}) {
			t.Errorf("%s called %v", name, calls)
		}
	}
}

// Pushing sees a push once, however many pieces and backends it has, may add headers, and hears of its end.
func TestPushingWrapsAPush(t *testing.T) {
	var order []string
	hook := func(name string) *jobqueue.Trace {
		return &jobqueue.Trace{Pushing: func(_ context.Context, records []jobqueue.Record) func(jobqueue.Pushed, error) {
			order = append(order, name)
			for i := range records {
				records[i].Headers = map[string]string{"by": name}
			}
			return func(p jobqueue.Pushed, err error) {
				order = append(order, "end of "+name)
				if len(p) != len(records) || err != nil {
					t.Errorf("%d of %d jobs, %v", len(p), len(records), err)
				}
			}
		}}
	}
	silent := &jobqueue.Trace{Pushing: func(context.Context, []jobqueue.Record) func(jobqueue.Pushed, error) { return nil }}
	one, two := queuememory.New(), queuememory.New()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{
		Default: one, Types: map[string]jobqueue.Backend{"b": two},
		Trace: jobqueue.JoinTraces(hook("first"), silent, hook("second")),
	})
	specs := make([]jobqueue.Spec, jobqueue.MaxPush+2)
	for i := range specs {
		specs[i].Type = string("ab"[i%2])
	}
	mine := map[string]string{"by": "me"}
	specs[0].Headers = mine
	if _, err := g.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
	if want := []string{"first", "second", "end of second", "end of first"}; !reflect.DeepEqual(order, want) {
		t.Errorf("called %v, want %v", order, want)
	}
	for e, err := range g.List(t.Context(), jobqueue.Filter{Limit: 1}) {
		if err != nil || e.Headers["by"] != "second" {
			t.Errorf("stored %v, %v", e.Headers, err)
		}
	}
	if mine["by"] != "me" {
		t.Error("the caller's map was changed")
	}
	// A push that is refused is none.
	order = nil
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a", Delay: -1}); !errors.Is(err, jobqueue.ErrInvalid) || order != nil {
		t.Errorf("%v, called %v", err, order)
	}
}
