package config

import (
	"context"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/federated"
)

// federation is the keys of kind federated.
type federation struct {
	partitions []partition // in the order of the file, those that only sections name behind the others
	sections   map[string]federated.Section
	domains    []namedDomain
	given      bool
	written    ast.Node // sections, to be read when the partitions are known
}

// A namedDomain is a domain that a section, or a setting of a type, names.
type namedDomain struct {
	line ast.Node
	what string
	value
}

// A partition is one entry of partitions.
type partition struct {
	name   string
	line   ast.Node
	weight float64
	noPush bool
}

func (f *federation) section(r *reader, what string) section {
	return section{
		"partitions": func(n ast.Node) {
			f.given = true
			r.pairs(n, what+".partitions", func(name string, at, n ast.Node) {
				f.readPartition(r, what+".partitions."+jobqueue.EscapeName(name), partition{name: name, line: at}, n)
			})
		},
		"sections": func(n ast.Node) { f.written = n },
	}
}

func (f *federation) readSections(r *reader, what string) {
	if f.written == nil {
		return
	}
	f.sections = map[string]federated.Section{}
	r.pairs(f.written, what+".sections", func(name string, at, n ast.Node) {
		f.readSection(r, what+".sections."+jobqueue.EscapeName(name), name, at, n)
	})
}

// readPartition reads a weight, or a mapping.
func (f *federation) readPartition(r *reader, what string, p partition, n ast.Node) {
	if _, ok := r.resolve(n).(ast.MapNode); ok {
		p.weight = 1
		r.section(n, what, section{
			"weight": func(n ast.Node) { p.weight = r.weight(n, what+".weight") },
			"noPush": func(n ast.Node) {
				if b := r.boolean(n, what+".noPush"); b != nil {
					p.noPush = *b
				}
			},
		})
	} else {
		p.weight = r.weight(n, what)
	}
	f.partitions = append(f.partitions, p)
}

func (r *reader) weight(n ast.Node, what string) float64 {
	v, ok := r.scalar(n, what)
	if !ok {
		return 1
	}
	w, err := strconv.ParseFloat(v.text, 64)
	if err != nil || !(w > 0) || math.IsInf(w, 0) {
		r.fail(n, "%s must be a weight, a number above 0, not %s", what, v.show())
		return 1
	}
	return w
}

func (f *federation) readSection(r *reader, what, name string, at, n ast.Node) {
	s := federated.Section{Weights: map[string]float64{}}
	before := len(r.errs)
	r.section(n, what, section{
		"partitions": func(n ast.Node) {
			r.pairs(n, what+".partitions", func(name string, at, n ast.Node) {
				s.Weights[name] = r.weight(n, what+".partitions."+jobqueue.EscapeName(name))
				if !slices.ContainsFunc(f.partitions, func(p partition) bool { return p.name == name }) {
					f.partitions = append(f.partitions, partition{name: name, line: at})
				}
			})
		},
		"domains": func(n ast.Node) {
			r.list(n, what+".domains", func(n ast.Node) {
				v, ok := r.text(n, what+".domains")
				for other, o := range f.sections {
					if ok && slices.Contains(o.Domains, v.text) {
						r.fail(n, "%s.domains: %s is in section %s already", what, v.show(), jobqueue.EscapeName(other))
					}
				}
				if ok && !slices.Contains(s.Domains, v.text) {
					s.Domains = append(s.Domains, v.text)
					f.domains = append(f.domains, namedDomain{n, what + ".domains", v})
				}
			})
		},
	})
	if len(r.errs) == before && (len(s.Weights) == 0 || len(s.Domains) == 0) {
		r.fail(at, "%s must have partitions and domains", what)
	}
	f.sections[name] = s
}

// owners returns of which federation each backend is a partition. It finds those that cannot be one.
func (f *Farm) owners(r *reader) map[string]string {
	owners := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		b := f.backends[name]
		if b.kind != "federated" {
			continue
		}
		what := "backends." + jobqueue.EscapeName(name)
		takes := func(n string) bool {
			return slices.ContainsFunc(b.federation.partitions, func(p partition) bool { return p.name == n && !p.noPush })
		}
		usual := false
		for _, p := range b.federation.partitions {
			part, known := f.backends[p.name]
			switch {
			case p.name == name:
				r.fail(p.line, "%s cannot be a partition of itself", what)
			case !known:
				r.fail(p.line, "%s: there is no backend %q to be a partition", what, p.name)
			case part.kind == "federated":
				r.fail(p.line, "%s: %q is federated itself, name its partitions", what, p.name)
			case owners[p.name] != "":
				r.fail(p.line, "%s: %q is a partition of backends.%s already", what, p.name, jobqueue.EscapeName(owners[p.name]))
			default:
				owners[p.name] = name
			}
			usual = usual || p.weight > 0 && !p.noPush
		}
		if b.federation.given && !usual && len(r.errs) == 0 {
			r.fail(b.line, "%s: at least one of its partitions must take new jobs", what)
		}
		for _, s := range slices.Sorted(maps.Keys(b.federation.sections)) {
			weights := b.federation.sections[s].Weights
			if len(weights) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(weights)), takes) {
				r.fail(b.line, "%s.sections.%s: at least one of its partitions must take new jobs", what, jobqueue.EscapeName(s))
			}
		}
	}
	return owners
}

// openFederated opens the partitions, of which some may be away.
func (f *Farm) openFederated(ctx context.Context, in *memories, conf backend) (jobqueue.Backend, io.Closer, error) {
	var parts []federated.Partition
	for _, p := range conf.federation.partitions {
		part := f.backends[p.name]
		part.log, part.unadvised = conf.log, conf.unadvised
		parts = append(parts, federated.Partition{
			Name: p.name, Weight: p.weight, NoPush: p.noPush,
			Open: func(ctx context.Context) (jobqueue.Backend, io.Closer, error) {
				if part.kind == "memory" {
					return in.of(part.name), nil, nil
				}
				return f.connect(ctx, part)
			},
		})
	}
	b, err := federated.New(ctx, parts, &federated.Options{Sections: conf.federation.sections, Logger: conf.log})
	if err != nil {
		return nil, nil, err
	}
	return b, b, nil
}

// Partitions returns the names of the backends that a federated one of the farm file is made of, sorted; none if it is of another kind.
func (f *Farm) Partitions(backend string) (names []string) {
	for _, p := range f.backends[backend].federation.partitions {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// InMemory reports whether a backend of the farm file, which may be a partition of another, keeps its jobs in the process.
func (f *Farm) InMemory(backend string) bool { return f.backends[backend].kind == "memory" }
