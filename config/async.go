package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// An async says on which domains the jobs of a type are stored.
type async struct {
	all     bool
	domains map[string]bool
}

// readAsync reads "", all, or a list of domains.
func (r *reader) readAsync(n ast.Node, what string) *async {
	n = r.resolve(n)
	if n == nil {
		return nil
	}
	if _, ok := n.(*ast.SequenceNode); ok {
		return &async{domains: domainSet(r.domains(n, what))}
	}
	const right = `must be all, "" for none, or a list of domains, such as [enwiki, dewiki]`
	v, ok := r.scalar(n, what)
	switch {
	case !ok:
		return nil
	case v.text == "all":
		return &async{all: true}
	case v.text == "":
		return &async{}
	}
	r.fail(n, "%s "+right+", not %s", what, v.show())
	return nil
}

// domains reads a list of domains, which are to be the farm's.
func (r *reader) domains(n ast.Node, what string) (list []string) {
	r.list(n, what, func(n ast.Node) {
		v, ok := r.text(n, what)
		switch {
		case !ok:
		case checkDomain(v.text) != nil:
			r.fail(n, "%s: %s is not 1 to 255 bytes of UTF-8 without control characters", what, v.show())
		case slices.Contains(list, v.text):
			r.fail(n, "%s: %s is given twice", what, v.show())
		default:
			list = append(list, v.text)
			r.mentioned = append(r.mentioned, namedDomain{n, what, v})
		}
	})
	return list
}

func domainSet(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[s] = true
	}
	return m
}

// readEnabled reads the domains on which a type is enabled.
func (r *reader) readEnabled(n ast.Node, what string) []string {
	list := r.domains(n, what)
	if len(list) == 0 && len(r.errs) == 0 {
		r.fail(n, "%s is empty, leave it out to enable the type on every domain, or set async or exclude", what)
	}
	return list
}

// readFallback reads what becomes of a job that cannot be stored.
func (r *reader) readFallback(n ast.Node, what string) *bool {
	v, ok := r.text(n, what)
	if !ok {
		return nil
	}
	switch v.text {
	case "inline":
		return new(true)
	case "none":
		return new(false)
	}
	r.fail(n, "%s must be inline or none, not %s", what, v.show())
	return nil
}

// readEvents reads which types an event becomes jobs of.
func (f *Farm) readEvents(r *reader, n ast.Node) {
	f.events = map[string][]string{}
	r.pairs(n, "events", func(name string, at, n ast.Node) {
		what := "events." + jobqueue.EscapeName(name)
		if err := (jobqueue.Name{Domain: "d", Type: name}).Check(); err != nil {
			r.fail(at, "events: the name of an event is 1 to 255 bytes of UTF-8 without control characters, not %q", name)
		}
		types := r.types(n, what, "")
		for i, typ := range types {
			if slices.Contains(types[:i], typ) {
				r.fail(n, "%s: %q is given twice", what, typ)
			}
			f.emitted = append(f.emitted, emitted{n, what, typ})
		}
		f.events[name] = types
	})
}

// An emitted is a type of an event.
type emitted struct {
	line ast.Node
	what string
	typ  string
}

// checkAsync finds what would be stored though nobody ever runs it.
func (f *Farm) checkAsync(r *reader) {
	for _, e := range f.emitted {
		if !f.runnable(e.typ) {
			r.fail(e.line, "%s: no group runs %s, add it to the include of one", e.what, jobqueue.EscapeName(e.typ))
		}
	}
}

// runnable reports whether jobs of a type that are stored are run, if only when they are asked for; or none are stored.
func (f *Farm) runnable(typ string) bool {
	return f.Runs(typ) || f.Excludes(typ) || f.Async(typ) == NotAsync
}

// An Async says of which domains jobs of a type are stored.
type Async int

const (
	AllAsync  Async = iota // of all
	SomeAsync              // of some
	NotAsync               // of none: they run where they are pushed
)

// Async returns of which domains the jobs of a type are stored.
func (f *Farm) Async(typ string) Async {
	switch a := f.asyncOf(typ); {
	case a.all:
		return AllAsync
	case len(a.domains) > 0:
		return SomeAsync
	}
	return NotAsync
}

func (f *Farm) asyncOf(typ string) async {
	switch a := f.types[typ].async; {
	case a != nil:
		return *a
	case f.def.async != nil:
		return *f.def.async
	}
	return async{all: true}
}

// Enabled reports whether a type is enabled on a domain. Its jobs on others wait in a store.
func (f *Farm) Enabled(n jobqueue.Name) bool {
	list := f.types[n.Type].domains
	return list == nil || slices.Contains(list, n.Domain)
}

// Restricted reports whether any type is enabled on some domains only.
func (f *Farm) Restricted() bool { return f.anyOf(func(s settings) bool { return s.domains != nil }) }

// only returns on which domains alone some types are enabled, for a runner.
func (f *Farm) only() map[string][]string {
	only := map[string][]string{}
	for typ, s := range f.types {
		if s.domains != nil {
			only[typ] = s.domains
		}
	}
	return only
}

// stores reports whether a job of a queue is stored.
func (f *Farm) stores(n jobqueue.Name) bool {
	a := f.asyncOf(n.Type)
	return a.all || a.domains[n.Domain] || !f.Enabled(n)
}

// fallsBack reports whether a job that cannot be stored runs where it is pushed.
func (f *Farm) fallsBack(typ string) bool {
	fallback := f.types[typ].fallback
	if fallback == nil {
		fallback = f.def.fallback
	}
	return fallback != nil && *fallback
}

// anyOf reports whether default or a type says something.
func (f *Farm) anyOf(said func(settings) bool) bool {
	return said(f.def) || slices.ContainsFunc(slices.Collect(maps.Values(f.types)), said)
}

// routeInline sets what of the jobs is stored and what runs where it is pushed.
func (f *Farm) routeInline(r *jobqueue.Routes, reg *jobqueue.Registry) {
	if f.anyOf(func(s settings) bool { return s.async != nil && !s.async.all }) {
		r.Async = f.stores
	}
	if f.anyOf(func(s settings) bool { return s.fallback != nil && *s.fallback }) {
		r.Fallback = f.fallsBack
	}
	var o runner.Options
	if f.Inline != nil {
		o = *f.Inline
	}
	if o.Logger == nil {
		o.Logger = f.logger()
	}
	o.Only = f.only()
	r.Inline = runner.Inline(reg, &o)
	r.Events = f.Events(reg)
}

// Events returns a function that gives the jobs that an event becomes: one of each type
// that the farm file lists for it and that is enabled on its domain, and what reg makes of it. It fits
// [jobqueue.Routes.Events].
func (f *Farm) Events(reg *jobqueue.Registry) func(e jobqueue.Event) ([]jobqueue.Spec, error) {
	return func(e jobqueue.Event) ([]jobqueue.Spec, error) {
		types, known := f.events[e.Name]
		var all []jobqueue.Spec
		for _, typ := range types {
			if f.Enabled(jobqueue.Name{Domain: e.Domain, Type: typ}) {
				all = append(all, jobqueue.Spec{Type: typ})
			}
		}
		more, err := reg.Events(e)
		if errors.Is(err, jobqueue.ErrUnknownEvent) && known {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		return append(all, more...), nil
	}
}

// NeverInline returns an error for each of the types, which never run where they are pushed, whose jobs
// the file does not have stored.
func (f *Farm) NeverInline(types ...string) error {
	var errs []error
	for _, typ := range types {
		if f.Async(typ) != AllAsync {
			errs = append(errs, fmt.Errorf("%s: jobs of %s never run where they are pushed: give the type async: all", f.path, jobqueue.EscapeName(typ)))
		}
	}
	return errors.Join(errs...)
}
