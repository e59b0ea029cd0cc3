package cli_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
)

// Every mistake in a farm file is one line that names the place, whatever the command is, and
// nothing is done. What is or may be secret is not shown.
func TestBadFarms(t *testing.T) {
	s := newStock(t)
	t.Setenv("FARM_SECRET", "hunter2")
	const main = "backends: {main: {kind: sqlite, path: jobs.db}}\n"
	const types = "the keys are async, atMostOnce, backend, backoff, claimTTL, class, dedupe, domains, exclude, fallback, handler, keep, lease, maxTries, throttle, timeout"
	for _, test := range []struct{ file, want string }{
		{"", ": the file is empty, at least backends is needed"},
		{"\x00", ":1: the farm file must be a mapping, key: value"},
		{"\xff\xfe", ":1: the farm file must be a mapping, key: value"},
		{"jobs.db", ":1: the farm file must be a mapping, key: value"},
		{"domains: [enwiki]", ":1: backends is missing; for one SQLite file write backends: {main: {kind: sqlite, path: jobs.db}}"},
		{main + "backend: main", `:2: unknown key "backend" of the farm file, the keys are aggregator, backends, …`},
		{main + "Types: {}", `:2: unknown key "Types" of the farm file, write types`},
		{main + "readOnly: a\nreadOnly: b", `:3: mapping key "readOnly" already defined at [2:1]`},
		{main + "readOnly: [", `:2: sequence end token ']' not found`},
		{main + "\treadOnly: a", `:2: found character '\t' that cannot start any token`},
		{main + "---\nreadOnly: a", ":3: a second document begins here, a farm file has one"},
		{main + "default: {<<: {lease: 3s}}", ":2: merge keys (<<) are not supported, write the keys out"},
		{main + "domains: &x [*x]", ":2: a domain must be a single value"},
		{main + "types: &x {a: *x}", ":2: unknown key \"a\" of types.a, " + types},
		{main + "readOnly:\n" + bomb(30), ":3: readOnly must be a single value"},
		{strings.Repeat("[", 100_000), ":1: nested deeper than 20"},
		{main + "domains: " + strings.Repeat("{a: ", 1000), ":2: nested deeper than 20"},
		{main + strings.Repeat("#\n", 1<<20), ": the file is over 1048576 bytes; long lists of domains go into a domainsFile"},
		{main + "domains: [enwiki, \"a\\eb\"]", `:2: domains: "a\x1bb" is not 1 to 255 bytes of UTF-8 without control characters`},
		{main + "domainsFile: missing.txt", `:2: domainsFile "missing.txt": no such file or directory`},
		{main + "types: {\"a\\u009bb\": {}}", `:2: types: invalid: type "a\u009bb" has a control character`},
		{main + "types: {a: {lease: 5}}", `:2: types.a.lease must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "5"`},
		{main + "types: {a: {lease: 1 day}}", `:2: types.a.lease must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "1 day"`},
		{main + "types: {a: {maxTries: many}}", `:2: types.a.maxTries must be a whole number, at least 1, not "many"`},
		{main + "types: {a: {atMostOnce: maybe}}", `:2: types.a.atMostOnce must be true or false, not "maybe"`},
		{main + "types: {a: {throttle: -1}}", `:2: types.a.throttle must be a number of work items a second, 0 for no limit, not "-1"`},
		{main + "types: {a: {backend: other}}", `:2: types.a.backend must be one of main, not "other"`},
		{main + "types: {a: {handler: {exec: mail}}}", ":2: types.a.handler.exec must be a list, such as [a, b]"},
		{main + "types: {a: {handler: {exec: []}}}", ":2: types.a.handler.exec must be a list of a program and its arguments"},
		{main + "types: {a: {handler: {shell: mail}}}", `:2: unknown key "shell" of types.a.handler, the keys are env, exec, http, jsonl, memory, restart`},
		{main + "types: {a: {handler: {http: {url: ftp://a}}}}", ":2: types.a.handler.http: the URL must be of the form http://host/path or https://host/path"},
		{main + "types: {a: {handler: {http: {url: 'http://ann:hunter3@a'}}}}", ":2: types.a.handler.http: the URL must not have a user or password; put a token into a file"},
		{main + "types: {a: {handler: {http: {url: 'http://${FARM_SECRET}:x@a'}}}}", ":2: types.a.handler.http: the URL must not have a user or password; put a token into a file"},
		{main + "default: {maxTries: '${FARM_SECRET}'}", `:2: default.maxTries must be a whole number, at least 1, not "${FARM_SECRET}"`},
		{main + "default: {backend: '${FARM_SECRET}'}", `:2: default.backend must be one of main, not "${FARM_SECRET}"`},
		{main + "readOnly: ${FARM_NOT_SET}", ":2: readOnly: environment variable FARM_NOT_SET is not set; write $${ for a literal ${"},
		{main + "readOnly: ${FARM SECRET}", ":2: readOnly: ${ must be followed by the name of an environment variable and }; write $${ for a literal ${"},
		{main + "readOnly: yes", `:2: readOnly must be the reason why the farm is read-only, or be left out, not "yes"`},
		{"backends: {main: {kind: redis, path: jobs.db}}", `:1: backends.main: kind redis takes no path`},
		{"backends: {main: {path: jobs.db}}", ":1: backends.main.kind is missing, it must be federated or memory or postgres or redis or sqlite"},
		{"backends: {a: {kind: sqlite, path: jobs.db}, b: {kind: sqlite, path: ./jobs.db}}\ndefault: {backend: a}", ":1: backends.b.path is that of backends.a already"},
		{"backends: {a: {kind: sqlite, path: jobs.db}, b: {kind: memory}}", ":1: default.backend is missing, it must be one of a, b"},
	} {
		if err := os.WriteFile("bad.yaml", []byte(test.file), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"jobctl push --type kept --domain enwiki", "runjobs", "jobctl delete --all", "jobctl config check"} {
			s.refuses(command+" --config bad.yaml", 2, "bad.yaml"+test.want)
		}
	}
}

// bomb is a list of lists, each of which holds the one before it nine times.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("- &a0 [x]\n")
	for i := range n {
		fmt.Fprintf(&b, "- &a%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9))
	}
	return b.String()
}

// A file that is no store of this program is told in one line, and stays as it is.
func TestBadDatabases(t *testing.T) {
	s := newStock(t)
	for _, test := range []struct {
		name   string
		make   func(t *testing.T, path string)
		status int
		want   string // {} stands for the path
	}{
		{"text", content(func([]byte) []byte { return bytes.Repeat([]byte("This is no database. "), 20) }), 2, "backend main: invalid: {} is not an SQLite file"},
		{"header", content(func(good []byte) []byte { return good[:50] }), 2,
			"backend main: invalid: {} is damaged: …"},
		{"half", content(func(good []byte) []byte { return good[:len(good)/2] }), 2,
			"backend main: invalid: {} is damaged: …"},
		{"scratched", content(func(good []byte) []byte {
			copy(good[100:], "\xff\xff\xff\xff")
			return good
		}), 2, "backend main: invalid: {} is damaged: …"},
		{"foreign", altered("drop table meta", "pragma application_id = 17"), 2, "backend main: invalid: {} belongs to another program"},
		{"newer", altered("update meta set format = 99, oldest = 99"), 2,
			"backend main: invalid: {} needs a newer program, which knows format 99; this one knows formats up to " + fmt.Sprint(len(sqlite.Migrations()))},
		{"unnumbered", altered("update meta set format = 0"), 2, "backend main: invalid: {} has format 0, which there is not"},
		{"directory", func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o700)) }, 2, "backend main: invalid: {} is not a regular file"},
		{"circle", func(t *testing.T, path string) { check(t, os.Symlink("circle", path)) }, 3,
			"backend main: store is unavailable: {} cannot be opened; its directory must exist and be writable"},
		{"nowhere/jobs.db", func(*testing.T, string) {}, 3,
			"backend main: store is unavailable: {} cannot be opened; its directory must exist and be writable"},
		{"farm.yaml/jobs.db", func(*testing.T, string) {}, 3,
			"backend main: store is unavailable: {} cannot be opened; its directory must exist and be writable"},
	} {
		test.make(t, test.name)
		before := read(test.name)
		farm := "backends: {main: {kind: sqlite, path: " + test.name + "}}\n"
		check(t, os.WriteFile("bad.yaml", []byte(farm), 0o600))
		path, err := os.Getwd()
		check(t, err)
		for _, command := range []string{"jobctl push --type kept", "jobctl show", "jobctl delete --all", "jobctl migrate up", "runjobs"} {
			s.refuses(command+" --config bad.yaml", test.status, strings.ReplaceAll(test.want, "{}", path+"/"+test.name))
			if !bytes.Equal(read(test.name), before) {
				t.Errorf("%s changed the file %s", command, test.name)
			}
		}
	}
}

// A table that is not there is told in one line by whoever needs it.
func TestBadTables(t *testing.T) {
	s := newStock(t)
	altered("drop table ready")(t, "bad.db")
	check(t, os.WriteFile("bad.yaml", []byte("backends: {main: {kind: sqlite, path: bad.db}}\n"), 0o600))
	path, err := os.Getwd()
	check(t, err)
	s.refuses("jobctl push --type kept --config bad.yaml", 2,
		"push default/kept: invalid: "+path+"/bad.db is damaged: …")
	s.refuses("jobctl show --config bad.yaml", 2,
		"count: invalid: "+path+"/bad.db is damaged: …")
}

// What has an older format is told with the command that mends it.
func TestOldDatabase(t *testing.T) {
	s := newStock(t)
	altered("update meta set format = 1, oldest = 1")(t, "old.db")
	check(t, os.WriteFile("old.yaml", []byte("backends: {main: {kind: sqlite, path: old.db}}\n"), 0o600))
	path, err := os.Getwd()
	check(t, err)
	for _, command := range []string{"jobctl push --type kept", "jobctl show", "runjobs", "runjobs --wait"} {
		s.refuses(command+" --config old.yaml", 2, fmt.Sprintf(
			"backend main: invalid: %s/old.db has format 1 and this program needs %d; migrate it first: jobctl migrate up --config old.yaml", path, len(sqlite.Migrations())))
	}
}

// content makes a file out of the bytes of a good one.
func content(change func(good []byte) []byte) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		altered()(t, path)
		check(t, os.WriteFile(path, change(read(path)), 0o600))
	}
}

// altered makes a good file with a job in it, and alters it by statements.
func altered(statements ...string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		b, err := sqlite.Open(path, nil)
		check(t, err)
		_, err = jobqueue.NewGroup("default", jobqueue.Routes{Default: b}).Push(t.Context(), jobqueue.Spec{Type: "kept"})
		check(t, err)
		check(t, b.Close())
		db, err := sql.Open("sqlite", path)
		check(t, err)
		defer db.Close()
		for _, st := range statements {
			_, err := db.ExecContext(t.Context(), st)
			check(t, err)
		}
	}
}

// read returns the bytes of a file, none if there is none that can be read.
func read(path string) []byte {
	data, _ := os.ReadFile(path)
	return data
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
