package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
)

// AddHandlers adds the farm file's handlers to reg; that of default becomes
// the fallback for the types that have no other. Call it after the
// program has added its own types: a type that both have is an error.
func (f *Farm) AddHandlers(reg *jobqueue.Registry) error {
	own := reg.Types()
	for _, typ := range slices.Sorted(maps.Keys(f.types)) {
		job := f.types[typ].handler
		if job == nil {
			continue
		}
		if slices.Contains(own, typ) {
			return fmt.Errorf("%s: types.%s.handler: this program has a handler for the type of its own, leave this one out",
				f.path, jobqueue.EscapeName(typ))
		}
		reg.Add(func() jobqueue.Job { return job(typ) }, jobqueue.Policy{})
	}
	if job := f.def.handler; job != nil {
		reg.Fallback(job, jobqueue.Policy{})
	}
	return nil
}

// handler reads what runs the jobs of a type.
func (r *reader) handler(n ast.Node, what string) func(typ string) jobqueue.Job {
	mistakes := len(r.errs)
	var p handler.Program
	var e handler.Endpoint
	var exec, http, restart ast.Node
	ofExec := map[string]ast.Node{}
	note := func(key string, read func(ast.Node)) func(ast.Node) {
		return func(n ast.Node) {
			ofExec[key] = n
			read(n)
		}
	}
	r.section(n, what, section{
		"exec":   func(n ast.Node) { exec, p.Argv = n, r.argv(n, what+".exec") },
		"http":   func(n ast.Node) { http, e = n, r.endpoint(n, what+".http") },
		"env":    note("env", func(n ast.Node) { p.Env = r.environ(n, what+".env") }),
		"memory": note("memory", func(n ast.Node) { p.Memory = r.size(n, what+".memory") }),
		"jsonl": note("jsonl", func(n ast.Node) {
			if b := r.boolean(n, what+".jsonl"); b != nil {
				p.Lines = *b
			}
		}),
		"restart": note("restart", func(n ast.Node) {
			restart = n
			r.section(n, what+".restart", section{
				"jobs": func(n ast.Node) {
					if v := r.count(n, what+".restart.jobs"); v != nil {
						p.MaxJobs = *v
					}
				},
				"memory": func(n ast.Node) { p.MaxMemory = r.size(n, what+".restart.memory") },
			})
		}),
	})
	switch {
	case exec == nil && http == nil:
		if len(r.errs) == mistakes {
			r.fail(n, "%s must have exec or http", what)
		}
	case exec != nil && http != nil:
		r.fail(http, "%s: give either exec or http", what)
	case http != nil:
		for _, key := range slices.Sorted(maps.Keys(ofExec)) {
			r.fail(ofExec[key], "%s.%s goes with exec, not http", what, key)
		}
	case restart != nil && !p.Lines:
		r.fail(restart, "%s.restart goes with jsonl: true", what)
	}
	switch {
	case len(r.errs) > mistakes:
		return nil
	case http != nil:
		return e.Jobs()
	}
	return p.Jobs()
}

func (r *reader) argv(n ast.Node, what string) (argv []string) {
	mistakes := len(r.errs)
	r.list(n, what, func(n ast.Node) {
		if v, ok := r.scalar(n, what); ok {
			argv = append(argv, v.text)
		}
	})
	switch {
	case len(r.errs) > mistakes:
		return nil
	case len(argv) == 0 || argv[0] == "":
		r.fail(n, "%s must be a list of a program and its arguments", what)
	case slices.ContainsFunc(argv, func(s string) bool { return strings.ContainsRune(s, 0) }):
		r.fail(n, "%s: no argument can have a NUL byte", what)
	case strings.ContainsRune(argv[0], filepath.Separator):
		argv[0] = r.absolute(argv[0])
	}
	return argv
}

// named reads a mapping of names to texts, which may be empty.
func (r *reader) named(n ast.Node, what string, each func(name string, at ast.Node, v value)) {
	r.pairs(n, what, func(name string, at, n ast.Node) {
		if v, ok := r.scalar(n, what+"."+name); ok {
			each(name, at, v)
		}
	})
}

func (r *reader) environ(n ast.Node, what string) map[string]string {
	env := map[string]string{}
	r.named(n, what, func(name string, at ast.Node, v value) {
		switch {
		case !isVariable(name):
			r.fail(at, "%s: %q is no name of an environment variable: letters, digits and _", what, name)
		case strings.ContainsRune(v.text, 0):
			r.fail(at, "%s.%s has a NUL byte", what, name)
		}
		env[name] = v.text
	})
	return env
}

func (r *reader) endpoint(n ast.Node, what string) (e handler.Endpoint) {
	mistakes := len(r.errs)
	length := func(p *time.Duration, key string) func(ast.Node) {
		return func(n ast.Node) {
			if d := r.duration(n, what+"."+key, ""); d != nil {
				*p = *d
			}
		}
	}
	var url ast.Node
	r.section(n, what, section{
		"url": func(n ast.Node) {
			url = n
			if v, ok := r.text(n, what+".url"); ok {
				e.URL = v.text
			}
		},
		"headers": func(n ast.Node) {
			e.Headers = map[string]string{}
			r.named(n, what+".headers", func(name string, _ ast.Node, v value) { e.Headers[name] = v.text })
		},
		"tokenFile": func(n ast.Node) { e.TokenFile = r.file(n, what+".tokenFile", "the token", notEmpty) },
		"hmacFile":  func(n ast.Node) { e.HMACFile = r.file(n, what+".hmacFile", "the key", notEmpty) },
		"connect":   length(&e.Connect, "connect"),
		"timeout":   length(&e.Timeout, "timeout"),
	})
	if len(r.errs) > mistakes {
		return e
	}
	if url == nil {
		r.fail(n, "%s.url is missing", what)
	} else if err := e.Check(); err != nil {
		r.fail(url, "%s: %s", what, strings.TrimPrefix(err.Error(), jobqueue.ErrInvalid.Error()+": "))
	}
	return e
}
