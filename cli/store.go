package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// label returns a job's id as the commands show and take it: of a farm with
// several backends it says which one, since each numbers its jobs by itself.
func (s *session) label(b jobqueue.Backend, id string) string {
	if len(s.Stores) > 1 {
		for _, st := range s.Stores {
			if st.Backend == b {
				return st.Name + ":" + id
			}
		}
	}
	return id
}

// A part is what a filter asks of one store.
type part struct {
	*jobqueue.Group
	backend jobqueue.Backend
	f       jobqueue.Filter
}

// parts splits a filter whose ids are labels by store.
func (s *session) parts(f jobqueue.Filter) ([]part, error) {
	ids := map[string][]string{}
	for _, label := range f.IDs {
		name, id, err := s.unlabel(label)
		if err != nil {
			return nil, err
		}
		ids[name] = append(ids[name], id)
	}
	after, cursor := "", ""
	if f.After != "" {
		var err error
		if after, cursor, err = s.unlabel(f.After); err != nil {
			return nil, err
		}
	}
	var parts []part
	for _, st := range s.Stores {
		if st.Name < after || len(f.IDs) > 0 && ids[st.Name] == nil {
			continue
		}
		mine := f
		mine.IDs, mine.After = ids[st.Name], ""
		if st.Name == after {
			mine.After = cursor
		}
		parts = append(parts, part{s.only(st.Backend), st.Backend, mine})
	}
	return parts, nil
}

// unlabel is the inverse of label.
func (s *session) unlabel(label string) (store, id string, err error) {
	store, id = s.Stores[0].Name, label
	if len(s.Stores) > 1 {
		var names []string
		for _, st := range s.Stores {
			names = append(names, st.Name)
		}
		store, id, _ = strings.Cut(label, ":")
		if id == "" || !slices.Contains(names, store) {
			return "", "", usagef("id %q must begin with the name of its backend and a colon; the backends are %s", label, enumerate(names))
		}
	}
	if parts := s.farm.Partitions(store); len(parts) > 0 {
		if part, rest, _ := strings.Cut(id, ":"); rest == "" || !slices.Contains(parts, part) {
			return "", "", usagef("id %q is of no partition of backend %s, which are %s", label, store, enumerate(parts))
		}
	}
	return store, id, nil
}

// inMemory names what of a backend forgets its jobs when the process ends: the backend, or some of its partitions.
func (s *session) inMemory(name string) (all []string) {
	if s.farm.InMemory(name) {
		return []string{"backend " + name}
	}
	for _, part := range s.farm.Partitions(name) {
		if s.farm.InMemory(part) {
			all = append(all, fmt.Sprintf("partition %s of backend %s", part, name))
		}
	}
	return all
}
