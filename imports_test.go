package jobqueue_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/wikifarm/jobqueue"

// A pkg is what the go command knows of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string // of the files that are no tests
	Deps       []string // these, and theirs
}

// dir returns the folder of a package of this module, "." for the root, or "".
func dir(importPath string) string {
	if importPath == module {
		return "."
	}
	d, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return d
}

func within(d string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return d == f || strings.HasPrefix(d, f+"/") })
}

var (
	backends = []string{"queuememory", "queuedb", "queueredis"}
	neutral  = []string{"runner", "handler", "federated", "aggregator", "metrics", "otel", "monitor", "supervisor", "service", "control", "daemon", "snmp", "perdomain", "lease", "ondemand", "internal/latest"} // these work with every backend
	programs = []string{"config", "cli", "cmd", "deploy", "examples", "bench", "soak", "queuetest"}
)

// packages returns every package of this module and what they depend on.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestImports(t *testing.T) {
	all := packages(t)
	if all[module].ImportPath == "" || len(all[module].Deps) == 0 {
		t.Fatal("go list does not know the root package")
	}
	for _, p := range all {
		if d := dir(p.ImportPath); d != "" {
			checkImports(t, all, p, d)
		}
	}
}

// checkImports checks one package of this module, which is in the folder d.
func checkImports(t *testing.T, all map[string]pkg, p pkg, d string) {
	for _, dep := range p.Deps {
		other := dir(dep)
		switch {
		case d == "internal/child" && !all[dep].Standard && dep != p.ImportPath:
			t.Errorf("%s depends on %s, besides the standard library", d, dep)
		case d == "." && !all[dep].Standard && !light(dep):
			t.Errorf("the root package depends on %s, besides the standard library, google/uuid and the JSON of Go 1.27", dep)
		case within(d, backends...) && other != "" && other != "." && !within(other, topFolder(d)) && !(testServer(d) && other == "internal/child"):
			t.Errorf("the backend %s depends on %s, besides the root package and its driver", d, dep)
		case within(d, neutral...) && within(other, backends...):
			t.Errorf("%s depends on the backend %s", d, dep)
		case within(d, neutral...) && within(other, programs...):
			t.Errorf("%s depends on %s, which is above it", d, dep)
		}
	}
	if !within(d, "queuetest") {
		for _, i := range p.Imports {
			if i == "testing" || strings.HasPrefix(i, "testing/") || i == module+"/queuetest" {
				t.Errorf("%s imports %s in a file that is no test", d, i)
			}
		}
	}
	if d != "." && d != "internal/child" && !within(d, slices.Concat(backends, neutral, programs)...) {
		t.Errorf("this test does not know what %s may import", d)
	}
}

// light reports whether a package is one of the few of others that everybody may have to link.
func light(dep string) bool {
	return dep == "github.com/google/uuid" || within(dep, "github.com/go-json-experiment/json")
}

// testServer reports whether a folder is that of a package which starts a backend's servers.
func testServer(d string) bool { return strings.HasSuffix(d, "test") }

func topFolder(d string) string {
	top, _, _ := strings.Cut(d, "/")
	return top
}

// Nobody who uses the memory backend links a database driver.
func TestImportsOfMemory(t *testing.T) {
	all := packages(t)
	for _, dep := range all[module+"/queuememory"].Deps {
		if !all[dep].Standard && dir(dep) == "" && !light(dep) {
			t.Errorf("queuememory depends on %s", dep)
		}
	}
}
