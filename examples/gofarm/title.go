package main

import (
	"fmt"
	"slices"
	"strings"
)

// The wikis of the farm.
const (
	wikiStd      = "std"      // what programs may import
	wikiCmd      = "cmd"      // the go command and its companions
	wikiInternal = "internal" // what only the standard library imports, and what is vendored
)

var wikis = []string{wikiStd, wikiCmd, wikiInternal}

// A title names a page of the farm: a package, on the wiki it belongs to.
type title struct {
	Wiki string
	Path string // the directory below the source tree
}

// titleOf returns the title of a package, whether or not there is one in that directory.
func titleOf(path string) title {
	elements := strings.Split(path, "/")
	switch {
	case slices.Contains(elements, "vendor"):
		return title{wikiInternal, path}
	case elements[0] == "cmd":
		return title{wikiCmd, path}
	case slices.Contains(elements, "internal"):
		return title{wikiInternal, path}
	}
	return title{wikiStd, path}
}

// resolve returns the title that an import path stands for when the package t imports it.
func (t title) resolve(importPath string) title {
	first, _, _ := strings.Cut(importPath, "/")
	if !strings.Contains(first, ".") {
		return titleOf(importPath)
	}
	if strings.HasPrefix(t.Path, "cmd/") {
		return titleOf("cmd/vendor/" + importPath)
	}
	return titleOf("vendor/" + importPath)
}

func (t title) String() string { return t.Wiki + ":" + t.Path }

// MarshalText writes a title as wiki:path.
func (t title) MarshalText() ([]byte, error) {
	if t == (title{}) {
		return nil, nil
	}
	return []byte(t.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (t *title) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = title{}
		return nil
	}
	wiki, path, ok := strings.Cut(string(text), ":")
	if !ok || !slices.Contains(wikis, wiki) || path == "" {
		return fmt.Errorf("%q is no title, such as std:net/http", text)
	}
	*t = title{wiki, path}
	return nil
}
