package config

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queueredis"
)

// A backend is one entry of backends.
type backend struct {
	name     string
	line     ast.Node // where it stands
	kind     string
	path     value  // sqlite
	url      value  // postgres and redis
	schema   string // postgres
	password string // the file that holds it
	redis    redisOptions
	in       string // of an aggregator: the backend that keeps it
	federation
	log       *slog.Logger
	unadvised bool
}

// A kind of backend.
type kind struct {
	keys []string // besides kind
	open func(context.Context, backend) (jobqueue.Backend, io.Closer, error)
}

var kinds = map[string]kind{
	"memory":   {}, // there is nothing to open
	"sqlite":   {[]string{"path"}, openSQLite},
	"postgres": {[]string{"url", "schema", "passwordFile"}, openPostgres},
	"redis":    {append(serverKeys, "shards", "compress"), openRedis},

	"federated": {keys: []string{"partitions", "sections"}}, // opened by its partitions
}

func openSQLite(_ context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
	b, err := sqlite.Open(conf.path.text, nil)
	if err != nil {
		return nil, nil, err
	}
	return b, b, nil
}

func openPostgres(ctx context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
	o, err := conf.options()
	if err != nil {
		return nil, nil, err
	}
	b, err := postgres.Open(ctx, conf.url.text, o)
	if err != nil {
		return nil, nil, err
	}
	return b, b, nil
}

// options reads the password, which may have changed since the farm file was read.
func (b backend) options() (_ *postgres.Options, err error) {
	o := &postgres.Options{Schema: b.schema, Logger: b.log}
	o.Password, err = readPassword("passwordFile", b.password)
	return o, err
}

// readPassword returns what the file that a key names holds; "" if there is none.
func readPassword(key, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", jobqueue.ErrInvalid, key, err)
	}
	password := trimPassword(text)
	if password == "" {
		return "", fmt.Errorf("%w: %s: %s is empty", jobqueue.ErrInvalid, key, file)
	}
	return password, nil
}

func trimPassword(text []byte) string { return strings.TrimRight(string(text), "\r\n") }

// checkURL refuses a password that stands in the farm file.
func (r *reader) checkURL(n ast.Node, what string, v value) {
	if u, err := url.Parse(v.written); err == nil && u.User != nil {
		if p, ok := u.User.Password(); ok && !strings.Contains(p, "${") {
			r.fail(n, "%s must not have a password; put it into a file and name that in passwordFile", what)
		}
	}
}

func (f *Farm) readBackend(r *reader, name string, at, n ast.Node) {
	what := "backends." + jobqueue.EscapeName(name)
	if name == "" || strings.ContainsAny(name, ": \t\r\n") {
		r.fail(at, "backends: the name %q must not be empty or have colons or spaces", name)
	}
	b := r.backend(at, n, what, kinds)
	b.name = name
	for other, o := range f.backends {
		switch {
		case b.path.text != "" && o.path.text == b.path.text:
			r.fail(n, "%s.path is that of backends.%s already", what, jobqueue.EscapeName(other))
		case b.store() != "" && b.store() == o.store():
			r.fail(n, "%s is the same store as backends.%s; give it another server, %s", what, jobqueue.EscapeName(other),
				map[string]string{"redis": "database or prefix", "postgres": "database or schema"}[b.kind])
		}
	}
	f.backends[name] = b
}

// store identifies where a server keeps the jobs of b, as far as that can be told without asking it.
func (b backend) store() string {
	switch b.kind {
	case "postgres":
		return strings.Join([]string{b.kind, b.url.text, cmp.Or(b.schema, postgres.DefaultSchema)}, " ")
	case "redis":
		return strings.Join([]string{b.kind, b.url.text, strings.Join(b.redis.addrs, ","), b.redis.master, strconv.Itoa(b.redis.db),
			cmp.Or(b.redis.prefix, queueredis.DefaultPrefix)}, " ")
	}
	return ""
}

// backend reads a mapping with a kind, one of some, and the keys of that.
func (r *reader) backend(at, n ast.Node, what string, kinds map[string]kind) backend {
	b := backend{line: at}
	names := strings.Join(slices.Sorted(maps.Keys(kinds)), " or ")
	takes := func(key string) bool { return slices.Contains(kinds[b.kind].keys, key) }
	given := map[string]ast.Node{}
	keys := b.redis.section(r, what)
	maps.Copy(keys, b.federation.section(r, what))
	keys["kind"] = func(n ast.Node) {
		v, ok := r.text(n, what+".kind")
		if _, known := kinds[v.text]; ok && !known {
			r.fail(n, "%s.kind must be %s, not %s", what, names, v.show())
		}
		b.kind = v.text
	}
	keys["path"] = func(n ast.Node) {
		if v, ok := r.text(n, what+".path"); ok {
			b.path = value{r.absolute(v.text), v.written}
		}
	}
	keys["url"] = func(n ast.Node) {
		if v, ok := r.text(n, what+".url"); ok {
			b.url = v
			r.checkURL(n, what+".url", v)
		}
	}
	keys["backend"] = func(n ast.Node) {
		if v, ok := r.text(n, what+".backend"); ok {
			b.in = v.text
		}
	}
	keys["schema"] = func(n ast.Node) {
		if v, ok := r.text(n, what+".schema"); ok {
			b.schema = v.text
			if err := postgres.CheckSchema(v.text); err != nil {
				r.fail(n, "%s.schema: %v", what, err)
			}
		}
	}
	keys["passwordFile"] = func(n ast.Node) {
		b.password = r.passwordFile(n, what+".passwordFile")
	}
	for key, read := range keys {
		keys[key] = func(n ast.Node) {
			given[key] = n
			read(n)
		}
	}
	before := len(r.errs)
	offered := slices.Sorted(maps.Keys(keys))
	if k, known := kinds[r.peek(n, "kind")]; known {
		offered = slices.Sorted(slices.Values(append([]string{"kind"}, k.keys...)))
	}
	r.sectionOf(n, what, keys, offered)
	b.federation.readSections(r, what)
	if given["kind"] == nil {
		r.fail(at, "%s.kind is missing, it must be %s", what, names)
		return b
	}
	if len(r.errs) > before {
		return b
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if key != "kind" && !takes(key) {
			r.fail(given[key], "%s: kind %s takes no %s", what, b.kind, key)
		}
	}
	switch {
	case len(r.errs) > before:
	case b.kind == "sqlite" && b.path.text == "":
		r.fail(at, "%s.path is missing, it is the file to keep the jobs in", what)
	case b.kind == "postgres" && takes("backend") && b.in == "":
		r.fail(at, "%s.backend is missing, it names the backend that keeps the aggregator", what)
	case b.kind == "postgres" && takes("backend"):
	case b.kind == "postgres" && b.url.text == "":
		r.fail(at, "%s.url is missing, such as postgres://user@host/database", what)
	case b.kind == "postgres" && postgres.CheckURL(b.url.text) != nil:
		r.fail(given["url"], "%s.url must be like postgres://user@host/database", what)
	case b.kind == "redis":
		b.redis.check(r, at, what, b)
	case b.kind == "federated" && given["partitions"] == nil:
		r.fail(at, "%s.partitions is missing, it names the backends and their weights, such as {q1: 2, q2: 1}", what)
	}
	return b
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
	if b.kind == "sqlite" {
		return b.path
	}
	return b.url
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
	if e.name == "" {
		return text
	}
	return fmt.Sprintf("backend %s: %s", e.name, text)
}

func (e *backendError) Unwrap() error { return e.err }
