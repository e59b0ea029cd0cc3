package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// A Farm is what a farm file says. It is safe for concurrent use once its fields are set.
type Farm struct {
	// Logger is told when the domains file cannot be used, and when a backend cannot wake runners. Nil means slog.Default().
	Logger *slog.Logger

	// Unadvised leaves out what Logger is told of settings of a server that may lose jobs.
	Unadvised bool

	// Existing makes Open refuse a default backend whose SQLite file is not there, instead of creating it.
	Existing bool

	// Trace has hooks for the groups that Open returns; it may be nil.
	Trace *jobqueue.Trace

	// Inline has the Middleware and the hooks of jobs that run where they are pushed, see [runner.Inline]; it may be nil.
	Inline *runner.Options

	path      string
	text      []byte // of the file
	digest    string
	readOnly  string
	backends  map[string]backend
	owner     map[string]string // of each partition: the federated backend
	def       settings
	types     map[string]settings
	domains   domains
	sharing   sharing
	files     []file // that are read when they are needed
	events    map[string][]string
	emitted   []emitted
	mentioned []namedDomain
	onDemand  onDemand

	aggregator []backend // servers, in the order in which they are tried
}

// Load reads a farm file of at most 1 MiB. The error joins one error for each mistake in it, each
// naming the file, the line and what would be right.
func Load(path string) (*Farm, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(&reader{path: path}, data)
}

func parse(r *reader, data []byte) (*Farm, error) {
	top, err := r.parse(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	if top == nil {
		return nil, fmt.Errorf("%s: the file is empty, at least backends is needed", r.path)
	}
	f := &Farm{path: r.path, text: data, digest: digestOf(data)}
	f.read(r, top)
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return f, nil
}

// SQLite returns the farm of those who have no farm file: one SQLite file, any
// domain, and the defaults for all else.
func SQLite(path string) *Farm {
	v := value{path, path}
	return &Farm{
		backends: map[string]backend{path: {name: path, kind: "sqlite", path: v}},
		def:      settings{backend: &v},
	}
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s: the file is over %d bytes; long lists of domains go into a domainsFile", path, maxSize)
	}
	return data, nil
}

func (f *Farm) read(r *reader, top ast.Node) {
	f.backends = map[string]backend{}
	f.types = map[string]settings{}
	var list, file ast.Node
	r.section(top, "the farm file", section{
		"domains":     func(n ast.Node) { list = n; f.domains.read(r, n) },
		"domainsFile": func(n ast.Node) { file = n; f.domains.readFile(r, n) },
		"readOnly": func(n ast.Node) {
			v, ok := r.text(n, "readOnly")
			switch strings.ToLower(v.text) {
			case "true", "false", "yes", "no":
				r.fail(n, "readOnly must be the reason why the farm is read-only, or be left out, not %s", v.show())
			}
			if ok {
				f.readOnly = v.text
			}
		},
		"backends": func(n ast.Node) {
			r.pairs(n, "backends", func(name string, at, n ast.Node) { f.readBackend(r, name, at, n) })
		},
		"aggregator": func(n ast.Node) { f.readAggregator(r, n) },
		"classes":    func(n ast.Node) { f.sharing.readClasses(r, n) },
		"reserved":   func(n ast.Node) { f.sharing.readReserved(r, n) },
		"caps":       func(n ast.Node) { f.sharing.readCaps(r, n) },
		"weights":    func(n ast.Node) { f.sharing.readWeights(r, n) },
		"groups":     func(n ast.Node) { f.sharing.readGroups(r, n) },
		"events":     func(n ast.Node) { f.readEvents(r, n) },
		"ondemand":   func(n ast.Node) { f.readOnDemand(r, n) },
		"default":    func(n ast.Node) { f.def = r.settings(n, "default") },
		"types": func(n ast.Node) {
			r.pairs(n, "types", func(typ string, at, n ast.Node) {
				if err := (jobqueue.Name{Domain: "d", Type: typ}).Check(); err != nil {
					r.fail(at, "types: %v", err)
				}
				f.types[typ] = r.settings(n, "types."+jobqueue.EscapeName(typ))
			})
		},
	})
	if list != nil && file != nil {
		r.fail(file, "give either domains or domainsFile")
	}
	if f.def.exclude != nil {
		r.fail(f.def.line, "default.exclude would leave out every type, set it in types")
	}
	if f.def.domains != nil {
		r.fail(f.def.line, "default.domains would be that of every type, set it in types")
	}
	f.mentioned = r.mentioned
	f.checkBackends(r, top)
	f.checkSharing(r)
	f.checkAsync(r)
	f.checkAggregator(r)
	f.checkOnDemand(r)
	if f.domains.file.text == "" {
		r.errs = append(r.errs, f.strangers()...)
	}
	f.files = r.files
}

func (f *Farm) checkBackends(r *reader, top ast.Node) {
	if len(r.errs) > 0 && len(f.backends) == 0 {
		return
	}
	f.owner = f.owners(r)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(f.backends)), func(name string) bool { return f.owner[name] != "" })
	switch {
	case len(f.backends) == 0:
		r.fail(top, "backends is missing; for one SQLite file write backends: {main: {kind: sqlite, path: jobs.db}}")
		return
	case f.def.backend == nil && len(names) == 1:
		f.def.backend = &value{names[0], names[0]}
	case f.def.backend == nil:
		r.fail(top, "default.backend is missing, it must be one of %s", strings.Join(names, ", "))
	}
	check := func(what string, s settings) {
		if s.backend == nil {
			return
		}
		if !slices.Contains(names, s.backend.text) {
			r.fail(s.line, "%s.backend must be one of %s, not %s", what, strings.Join(names, ", "), s.backend.show())
		}
	}
	check("default", f.def)
	for _, typ := range slices.Sorted(maps.Keys(f.types)) {
		check("types."+jobqueue.EscapeName(typ), f.types[typ])
	}
}

// Policy returns a function that gives the policy of each type: what the
// farm file says under types, over its default, over reg's. It fits
// [jobqueue.Routes.Policy].
func (f *Farm) Policy(reg *jobqueue.Registry) func(typ string) jobqueue.Policy {
	return func(typ string) jobqueue.Policy {
		p := reg.Policy(typ)
		f.def.over(&p)
		if s, ok := f.types[typ]; ok {
			s.over(&p)
		}
		return p
	}
}

func (f *Farm) logger() *slog.Logger {
	if f.Logger != nil {
		return f.Logger
	}
	return slog.Default()
}
