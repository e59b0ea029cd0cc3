package config

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// sharing is how the types and domains of a farm share its runners.
type sharing struct {
	classes []class // the most urgent first
	weights map[string]float64
	groups  []schedule.Group
	own     map[string]int // processes of groups that have their own

	reserved map[string]int // workers, by class
	line     ast.Node       // where they stand
	caps     runner.Caps
}

// maxWorkers is how many workers a group has at most; each is there from the beginning.
const maxWorkers = 1000

// maxProcesses is how many processes of its own a group has at most.
const maxProcesses = 100

type class struct {
	name  string
	share float64
}

func (s *sharing) names() (names []string) {
	for _, c := range s.classes {
		names = append(names, c.name)
	}
	return names
}

func (s *sharing) readClasses(r *reader, n ast.Node) {
	r.pairs(n, "classes", func(name string, at, n ast.Node) {
		what := "classes." + jobqueue.EscapeName(name)
		switch {
		case name == "":
			r.fail(at, "classes: a class has no name")
		case slices.Contains(s.names(), name):
			r.fail(at, "%s is given twice", what)
		}
		s.classes = append(s.classes, class{name, r.share(n, what)})
	})
	if len(s.classes) == 0 && len(r.errs) == 0 {
		r.fail(n, "classes is empty, give each class its share of the workers, the most urgent first, such as {urgent: 60, normal: 40}")
	}
}

func (s *sharing) readWeights(r *reader, n ast.Node) {
	s.weights = map[string]float64{}
	r.pairs(n, "weights", func(domain string, at, n ast.Node) {
		if checkDomain(domain) != nil {
			r.fail(at, "weights: %q is not 1 to 255 bytes of UTF-8 without control characters", domain)
		}
		s.weights[domain] = r.share(n, "weights."+jobqueue.EscapeName(domain))
	})
}

// share reads a number more than 0.
func (r *reader) share(n ast.Node, what string) float64 {
	v, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || !(f > 0) || math.IsInf(f, 0) {
		r.fail(n, "%s must be a number more than 0, not %s", what, v.show())
	}
	return f
}

func (s *sharing) readGroups(r *reader, n ast.Node) {
	s.own = map[string]int{}
	r.pairs(n, "groups", func(name string, at, n ast.Node) {
		what := "groups." + jobqueue.EscapeName(name)
		g := schedule.Group{Name: name}
		if name == "" || slices.ContainsFunc(s.groups, func(o schedule.Group) bool { return o.Name == name }) {
			r.fail(at, "groups: each group needs a name of its own, not %q", name)
		}
		r.section(n, what, section{
			"workers": func(n ast.Node) {
				if c := r.count(n, what+".workers"); c != nil && *c > maxWorkers {
					r.fail(n, "%s.workers must be at most %d, not %d", what, maxWorkers, *c)
				} else if c != nil {
					g.Workers = *c
				}
			},
			"processes": func(n ast.Node) {
				if c := r.count(n, what+".processes"); c != nil && *c > maxProcesses {
					r.fail(n, "%s.processes must be at most %d, not %d", what, maxProcesses, *c)
				} else if c != nil {
					s.own[name] = *c
				}
			},
			"include":     func(n ast.Node) { g.Include = r.types(n, what+".include", "*") },
			"exclude":     func(n ast.Node) { g.Exclude = r.types(n, what+".exclude", "") },
			"lowPriority": func(n ast.Node) { g.Low = r.types(n, what+".lowPriority", "") },
		})
		if g.Workers == 0 && len(r.errs) == 0 {
			r.fail(at, "%s.workers is missing, it is how many jobs of the group run at once", what)
		}
		if len(g.Include) == 0 && len(r.errs) == 0 {
			r.fail(at, `%s.include is missing, it lists the types of the group; "*" is every type`, what)
		}
		for _, low := range g.Low {
			if len(r.errs) == 0 && !g.Covers(low) {
				r.fail(at, "%s.lowPriority: %q is no type of the group, add it to include", what, low)
			}
		}
		s.groups = append(s.groups, g)
	})
	if len(s.groups) == 0 && len(r.errs) == 0 {
		r.fail(n, `groups is empty, leave it out to run all types with the same workers`)
	}
}

// readReserved reads how many workers are kept for each class.
func (s *sharing) readReserved(r *reader, n ast.Node) {
	s.line = n
	s.reserved = r.counts(n, "reserved", "a class")
}

// readCaps reads how many jobs may run at once in the whole farm.
func (s *sharing) readCaps(r *reader, n ast.Node) {
	r.section(n, "caps", section{
		"types":     func(n ast.Node) { s.caps.Types = r.counts(n, "caps.types", "a type") },
		"domains":   func(n ast.Node) { s.caps.Domains = r.counts(n, "caps.domains", "a domain") },
		"perDomain": func(n ast.Node) { r.into(&s.caps.Domain, n, "caps.perDomain") },
	})
}

// counts reads a number of at least 1 for each name.
func (r *reader) counts(n ast.Node, what, kind string) map[string]int {
	all := map[string]int{}
	r.pairs(n, what, func(name string, at, n ast.Node) {
		if checkDomain(name) != nil {
			r.fail(at, "%s: the name of %s is 1 to 255 bytes of UTF-8 without control characters, not %q", what, kind, name)
			return
		}
		if c := r.count(n, what+"."+jobqueue.EscapeName(name)); c != nil {
			all[name] = *c
		}
	})
	return all
}

// types reads a list of types; a word stands for all of them, unless it is "".
func (r *reader) types(n ast.Node, what, all string) (types []string) {
	r.list(n, what, func(n ast.Node) {
		v, ok := r.typeName(n, what)
		if !ok {
			return
		}
		if v.text == "*" && all == "" {
			r.fail(n, "%s: name the types one by one, not %s", what, v.show())
			return
		}
		if err := (jobqueue.Name{Domain: "d", Type: v.text}).Check(); err != nil {
			r.fail(n, "%s: %s is not 1 to 255 bytes of UTF-8 without control characters", what, v.show())
			return
		}
		types = append(types, v.text)
	})
	return types
}

// typeName reads the name of a type, which may be the word null: there is such a type.
func (r *reader) typeName(n ast.Node, what string) (value, bool) {
	quiet := &reader{anchors: r.anchors} // What is wrong is told below.
	if null, ok := quiet.resolve(n).(*ast.NullNode); ok && null.GetToken().Value == "null" {
		return value{"null", "null"}, true
	}
	return r.text(n, what)
}

// checkSharing finds classes that there are not, and types that no group covers.
func (f *Farm) checkSharing(r *reader) {
	names := f.sharing.names()
	check := func(what string, s settings) {
		switch {
		case s.class == nil || slices.Contains(names, s.class.text):
		case len(names) == 0:
			r.fail(s.line, "%s.class: there are no classes, give each its share, such as classes: {urgent: 60, normal: 40}", what)
		default:
			r.fail(s.line, "%s.class must be one of %s, not %s", what, strings.Join(names, ", "), s.class.show())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.sharing.reserved)) {
		if !slices.Contains(names, name) {
			r.fail(f.sharing.line, "reserved: %q is none of the classes, which are %s", name, strings.Join(names, ", "))
		}
	}
	check("default", f.def)
	for _, typ := range slices.Sorted(maps.Keys(f.types)) {
		s, what := f.types[typ], "types."+jobqueue.EscapeName(typ)
		check(what, s)
		if !f.runnable(typ) {
			r.fail(s.line, "%s: no group runs it, add it to the include of one", what)
		}
	}
}

// Group returns the first of the farm's groups that runs a type; nil if none does.
func (f *Farm) Group(typ string) *schedule.Group {
	for i := range f.sharing.groups {
		if g := &f.sharing.groups[i]; g.Covers(typ) {
			return g
		}
	}
	return nil
}

// Runs reports whether one of the farm's groups runs a type, or there are no groups.
func (f *Farm) Runs(typ string) bool { return len(f.sharing.groups) == 0 || f.Group(typ) != nil }

// Excludes reports whether the file says that runners leave a type out unless it is asked for.
func (f *Farm) Excludes(typ string) bool {
	exclude := f.types[typ].exclude
	return exclude != nil && *exclude
}

// Groups returns the groups of types that have workers of their own, in the order of the file. Without
// any all types share all workers. The caller does not change the result.
func (f *Farm) Groups() []schedule.Group { return f.sharing.groups }

// Processes returns how many processes of its own a group has on each machine where runjobs supervise runs; 0 if it
// shares those of others.
func (f *Farm) Processes(group string) int { return f.sharing.own[group] }

// Share sets which types and domains a runner runs, and how they share its workers: its Plan, Groups, Reserved, Caps and Only.
func (f *Farm) Share(o *runner.Options) {
	s := &f.sharing
	o.Plan, o.Groups, o.Caps, o.Only = f.Plan(), s.groups, s.caps, f.only()
	if len(s.reserved) > 0 {
		o.Reserved = nil
		for _, c := range s.classes {
			o.Reserved = append(o.Reserved, s.reserved[c.name])
		}
	}
}

// Plan returns how classes of types and domains share the workers. A type without a class
// is in that of default or, without one, in the most urgent.
func (f *Farm) Plan() schedule.Plan {
	s := &f.sharing
	p := schedule.Plan{}
	for _, c := range s.classes {
		p.Shares = append(p.Shares, c.share)
	}
	if len(p.Shares) > 0 {
		p.Class = func(typ string) int {
			v := f.def.class
			if own := f.types[typ].class; own != nil {
				v = own
			}
			if v == nil {
				return 0
			}
			return slices.Index(s.names(), v.text)
		}
	}
	if len(s.weights) > 0 {
		p.Weight = func(domain string) float64 { return s.weights[domain] }
	}
	return p
}
