package jobqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// An Event is something that happened, of which any number of jobs may come; see [Group.Emit].
type Event struct {
	Name    string
	Domain  string            // "" means the group's
	Params  json.RawMessage   // a JSON object; nil means {}
	Root    Root              // of the jobs that have none of their own
	Headers map[string]string // of the jobs that have none of their own
}

// Emit pushes the jobs that [Routes.Events] makes of an event, in one [Group.Push]. What a Spec leaves
// out of Domain, Params, Root and Headers it has from the event. An event that nobody knows is an
// [ErrUnknownEvent]; one that is known and of which no jobs come is none.
//
// A job of the event that must not be stored twice, whoever emits it again after an error, has a DedupeKey.
func (g *Group) Emit(ctx context.Context, e Event) (Pushed, error) {
	if e.Domain == "" {
		e.Domain = g.domain
	}
	specs, err := g.specs(e)
	if err != nil {
		return nil, &Error{Op: "emit " + EscapeName(e.Name), Err: err}
	}
	return g.Push(ctx, specs...)
}

func (g *Group) specs(e Event) ([]Spec, error) {
	if g.Events == nil {
		return nil, ErrUnknownEvent
	}
	specs, err := g.Events(e)
	if err != nil {
		return nil, err
	}
	specs = slices.Clone(specs)
	for i := range specs {
		s := &specs[i]
		def(&s.Domain, e.Domain)
		def(&s.Root, e.Root)
		if s.Job == nil && s.Params == nil {
			s.Params = e.Params
		}
		if s.Headers == nil {
			s.Headers = e.Headers
		}
	}
	return specs, nil
}

// On has the jobs that specs returns come of the events of a name, beside those of other calls of On
// for it. It fits what a Spec may leave out, see [Group.Emit]. It panics if the name is no valid part of a [Name].
func (r *Registry) On(event string, specs func(e Event) ([]Spec, error)) {
	if err := checkPart("event", event); err != nil {
		panic(fmt.Sprintf("jobqueue: on %q: %v", event, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events == nil {
		r.events = map[string][]func(Event) ([]Spec, error){}
	}
	r.events[event] = append(r.events[event], specs)
}

// Events returns the jobs that an event becomes. It fits [Routes.Events].
func (r *Registry) Events(e Event) ([]Spec, error) {
	r.mu.RLock()
	makers := r.events[e.Name]
	r.mu.RUnlock()
	if len(makers) == 0 {
		return nil, ErrUnknownEvent
	}
	var all []Spec
	for _, specs := range makers {
		some, err := specs(e)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
