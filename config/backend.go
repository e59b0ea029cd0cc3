package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A backend is one entry of backends.
type backend struct {
	kind     string
	path     value // sqlite
	url      value // postgres, as what follows
	schema   string
	password string // the file that holds it
	log      *slog.Logger
}

// kinds opens a backend of each kind, and returns how to close it.
var kinds = map[string]func(context.Context, backend) (jobqueue.Backend, io.Closer, error){
	"memory": func(context.Context, backend) (jobqueue.Backend, io.Closer, error) {
		return queuememory.New(), nil, nil
	},
	"sqlite": func(_ context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
		b, err := sqlite.Open(conf.path.text, nil)
		if err != nil {
			return nil, nil, err
		}
		return b, b, nil
	},
	"postgres": func(ctx context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
		o, err := conf.options()
		if err != nil {
			return nil, nil, err
		}
		b, err := postgres.Open(ctx, conf.url.text, o)
		if err != nil {
			return nil, nil, err
		}
		return b, b, nil
	},
}

// options reads the password, which may have changed since the farm file was read.
func (b backend) options() (*postgres.Options, error) {
	o := &postgres.Options{Schema: b.schema, Logger: b.log}
	if b.password == "" {
		return o, nil
	}
	text, err := os.ReadFile(b.password)
	if err != nil {
		return nil, fmt.Errorf("%w: passwordFile: %w", jobqueue.ErrInvalid, err)
	}
	if o.Password = strings.TrimRight(string(text), "\r\n"); o.Password == "" {
		return nil, fmt.Errorf("%w: passwordFile: %s is empty", jobqueue.ErrInvalid, b.password)
	}
	return o, nil
}

// checkURL refuses a password that stands in the farm file.
func (r *reader) checkURL(n ast.Node, what string, v value) {
	if u, err := url.Parse(v.written); err == nil && u.User != nil {
		if p, ok := u.User.Password(); ok && !strings.Contains(p, "${") {
			r.fail(n, "%s must not have a password; put it into a file and name that in passwordFile", what)
		}
	}
	if err := postgres.CheckURL(v.text); err != nil {
		r.fail(n, "%s must be like postgres://user@host/database", what)
	}
}

func (f *Farm) readBackend(r *reader, name string, at, n ast.Node) {
	what := "backends." + jobqueue.EscapeName(name)
	if name == "" || strings.ContainsAny(name, ": \t\r\n") {
		r.fail(at, "backends: the name %q must not be empty or have colons or spaces", name)
	}
	var b backend
	var kind, path, server ast.Node
	r.section(n, what, section{
		"kind": func(n ast.Node) {
			kind = n
			v, ok := r.text(n, what+".kind")
			if _, known := kinds[v.text]; ok && !known {
				r.fail(n, "%s.kind must be %s, not %s", what, strings.Join(slices.Sorted(maps.Keys(kinds)), " or "), v.show())
			}
			b.kind = v.text
		},
		"path": func(n ast.Node) {
			path = n
			if v, ok := r.text(n, what+".path"); ok {
				b.path = value{r.absolute(v.text), v.written}
			}
		},
		"url": func(n ast.Node) {
			server = n
			if v, ok := r.text(n, what+".url"); ok {
				b.url = v
				r.checkURL(n, what+".url", v)
			}
		},
		"schema": func(n ast.Node) {
			server = n
			if v, ok := r.text(n, what+".schema"); ok {
				b.schema = v.text
				if err := postgres.CheckSchema(v.text); err != nil {
					r.fail(n, "%s.schema: %v", what, err)
				}
			}
		},
		"passwordFile": func(n ast.Node) {
			server = n
			if v, ok := r.text(n, what+".passwordFile"); ok {
				b.password = r.absolute(v.text)
			}
		},
	})
	switch {
	case kind == nil:
		r.fail(at, "%s.kind is missing, it must be %s", what, strings.Join(slices.Sorted(maps.Keys(kinds)), " or "))
	case b.kind == "sqlite" && path == nil:
		r.fail(at, "%s.path is missing, it is the file to keep the jobs in", what)
	case b.kind == "postgres" && b.url.text == "":
		r.fail(at, "%s.url is missing, such as postgres://user@host/database", what)
	case (b.kind == "memory" || b.kind == "postgres") && path != nil:
		r.fail(path, "%s: kind %s takes no path", what, b.kind)
	case (b.kind == "memory" || b.kind == "sqlite") && server != nil:
		r.fail(server, "%s: kind %s takes no url, schema or passwordFile", what, b.kind)
	}
	for other, o := range f.backends {
		if b.path.text != "" && o.path.text == b.path.text {
			r.fail(path, "%s.path is that of backends.%s already", what, jobqueue.EscapeName(other))
		}
	}
	f.backends[name] = b
}

// Queues are a farm's open backends and the group that routes to them.
type Queues struct {
	*jobqueue.Group
	Stores []Store // every backend of the farm file, sorted by name

	closers []io.Closer
}

// A Store is one open backend.
type Store struct {
	Name    string
	Backend jobqueue.Backend
}

// Open opens the farm's backends. The group's policies are those of
// [Farm.Policy]; its home is the farm's only domain, or "default" when there are
// several or any. The caller calls Close when done.
func (f *Farm) Open(ctx context.Context, reg *jobqueue.Registry) (*Queues, error) {
	q := &Queues{}
	byName := map[string]jobqueue.Backend{}
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		conf := f.backends[name]
		conf.log = f.logger()
		if name == f.def.backend.text && f.Existing && conf.missing() {
			q.Close()
			return nil, &backendError{name, conf.place(), fmt.Errorf("%w: there is no file %s; the first push or runner creates it",
				jobqueue.ErrInvalid, conf.path.text)}
		}
		b, closer, err := kinds[conf.kind](ctx, conf)
		if err != nil {
			q.Close()
			return nil, &backendError{name, conf.place(), err}
		}
		byName[name] = b
		q.Stores = append(q.Stores, Store{name, b})
		if closer != nil {
			q.closers = append(q.closers, closer)
		}
	}
	r := jobqueue.Routes{
		Default:  byName[f.def.backend.text],
		Types:    map[string]jobqueue.Backend{},
		ReadOnly: f.readOnly,
		Policy:   f.Policy(reg),
	}
	for typ, s := range f.types {
		if s.backend != nil {
			r.Types[typ] = byName[s.backend.text]
		}
		if s.exclude != nil && *s.exclude {
			r.Exclude = append(r.Exclude, typ)
		}
	}
	home := "default"
	if list := f.Domains(); len(list) == 1 {
		home = list[0]
	}
	q.Group = jobqueue.NewGroup(home, r)
	return q, nil
}

// missing reports whether b is a file that is not there, though its folder is.
func (b backend) missing() bool {
	if b.kind != "sqlite" {
		return false
	}
	_, err := os.Stat(b.path.text)
	_, folder := os.Stat(filepath.Dir(b.path.text))
	return errors.Is(err, fs.ErrNotExist) && folder == nil
}

// Close closes the backends.
func (q *Queues) Close() error {
	var errs []error
	for _, c := range q.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// A File is an SQLite file of the farm.
type File struct {
	Name string // of the backend
	Path string // may hold what came from the environment; not to be shown
}

// Files calls each for every SQLite file of the farm, sorted by name, until it returns an error.
// The files need not exist.
func (f *Farm) Files(each func(File) error) error {
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		if b := f.backends[name]; b.kind == "sqlite" {
			if err := each(File{name, b.path.text}); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is what may be shown of where the jobs are.
func (b backend) place() value {
	if b.kind == "postgres" {
		return b.url
	}
	return b.path
}

// A backendError shows a path as the farm file has it, since what came from
// the environment may be secret.
type backendError struct {
	name string
	path value
	err  error
}

func (e *backendError) Error() string {
	text := e.err.Error()
	if e.path.text != "" && strings.Contains(e.path.written, "${") {
		text = strings.ReplaceAll(text, e.path.text, e.path.written)
	}
	return fmt.Sprintf("backend %s: %s", e.name, text)
}

func (e *backendError) Unwrap() error { return e.err }
