package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// A tree is the source of the farm: a directory of Go packages.
type tree struct{ fs.FS }

// An article is what a package says as a page.
type article struct {
	Title      title
	Synopsis   string
	Text       string // the doc comment
	Links      []link
	Categories []string
}

// A link leads from one page to another, or to a place on it.
type link struct {
	Kind     string `json:"kind"` // import or doc
	Wiki     string `json:"wiki"`
	Path     string `json:"path"`
	Fragment string `json:"fragment"` // doc: the symbol, "" for the package
}

// titles returns the titles of all packages below dir, sorted by path.
func (t tree) titles(dir string) ([]title, error) {
	found := map[string]bool{}
	err := fs.WalkDir(t, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			// The directories that the go command does not look into.
			if n := d.Name(); n == "testdata" || n != "." && strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go") {
			found[path.Dir(p)] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	titles := make([]title, 0, len(found))
	for _, p := range slices.Sorted(maps.Keys(found)) {
		titles = append(titles, titleOf(p))
	}
	return titles, nil
}

// parse reads the package of a page. Files that are excluded from every build,
// mostly tools, are part of it only if there are no others.
// The error is an [fs.ErrNotExist] without such a package.
func (t tree) parse(of title) (*article, error) {
	entries, err := fs.ReadDir(t, of.Path)
	if err != nil {
		return nil, err
	}
	p := &page{title: of, imports: set{}, symbols: set{}, categories: set{}}
	var built, tools []*ast.File
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".s"):
			p.categories["has assembly"] = true
		case strings.HasSuffix(name, "_test.go"):
			p.categories["has tests"] = true
		case strings.HasSuffix(name, ".go"):
			f, err := t.file(path.Join(of.Path, name))
			if err != nil {
				return nil, err
			}
			if slices.Contains(buildTags(f), "ignore") {
				tools = append(tools, f)
			} else {
				built = append(built, f)
			}
		}
	}
	if len(built) == 0 {
		built = tools
	}
	if len(built) == 0 {
		return nil, fmt.Errorf("%v: no Go file: %w", of, fs.ErrNotExist)
	}
	for _, f := range built {
		p.add(f)
	}
	return p.article(), nil
}

func (t tree) file(name string) (*ast.File, error) {
	src, err := fs.ReadFile(t, name)
	if err != nil {
		return nil, err
	}
	return parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
}
