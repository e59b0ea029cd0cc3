package jobqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A counted backend notes each push.
type counted struct {
	*queuememory.Backend
	pushes [][]jobqueue.Record
}

func (b *counted) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	b.pushes = append(b.pushes, records)
	return b.Backend.Push(ctx, id, records)
}

// One event becomes three jobs, in one push of each backend.
func TestEventBecomesSeveralJobs(t *testing.T) {
	reg := &jobqueue.Registry{}
	reg.On("notice", func(jobqueue.Event) ([]jobqueue.Spec, error) {
		return []jobqueue.Spec{{Type: "mail"}, {Type: "index", Params: json.RawMessage(`{"own":1}`)}}, nil
	})
	reg.On("notice", func(e jobqueue.Event) ([]jobqueue.Spec, error) {
		return []jobqueue.Spec{{Type: "push", Domain: "hub", DedupeKey: string(e.Params), Root: jobqueue.Root{Key: "own"}}}, nil
	})
	reg.On("silence", func(jobqueue.Event) ([]jobqueue.Spec, error) { return nil, nil })
	reg.On("broken", func(jobqueue.Event) ([]jobqueue.Spec, error) { return nil, jobqueue.ErrTooLarge })
	main, other := &counted{Backend: queuememory.New()}, &counted{Backend: queuememory.New()}
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: main, Types: map[string]jobqueue.Backend{"push": other}, Events: reg.Events})

	e := jobqueue.Event{
		Name: "notice", Params: json.RawMessage(`{"id":7}`), Root: jobqueue.Root{Key: "notice:7"}, Headers: map[string]string{"traceparent": "x"},
	}
	pushed, err := g.Emit(t.Context(), e)
	if err != nil || pushed.Stored() != 3 || len(main.pushes) != 1 || len(other.pushes) != 1 {
		t.Fatalf("pushed %+v, %v, in %d and %d pushes", pushed, err, len(main.pushes), len(other.pushes))
	}
	type stored struct{ Queue, Params, Root, Trace string }
	var got []stored
	for _, r := range append(main.pushes[0], other.pushes[0]...) {
		got = append(got, stored{r.Name.String(), string(r.Params), r.Root.Key, r.Headers["traceparent"]})
	}
	want := []stored{
		{"wiki/mail", `{"id":7}`, "notice:7", "x"}, {"wiki/index", `{"own":1}`, "notice:7", "x"}, {"hub/push", `{"id":7}`, "own", "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	e.Domain = "other"
	if pushed, err := g.Emit(t.Context(), e); err != nil || pushed.Stored() != 2 || !pushed[2].Duplicate {
		t.Errorf("again: %+v, %v", pushed, err)
	}
	if last := main.pushes[1][0]; last.Domain != "other" {
		t.Errorf("stored %v", last)
	}
	if pushed, err := g.Emit(t.Context(), jobqueue.Event{Name: "silence"}); err != nil || len(pushed) != 0 {
		t.Errorf("an event of which no job comes: %v, %v", pushed, err)
	}
	for name, want := range map[string]error{"broken": jobqueue.ErrTooLarge, "notise": jobqueue.ErrUnknownEvent} {
		if _, err := g.Emit(t.Context(), jobqueue.Event{Name: name}); !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("emitting %s: %v", name, err)
		}
	}
	if _, err := newGroup(jobqueue.Routes{}).Emit(t.Context(), e); !errors.Is(err, jobqueue.ErrInvalid) || !errors.Is(err, jobqueue.ErrUnknownEvent) {
		t.Errorf("emitting in a group without events: %v", err)
	}
}
