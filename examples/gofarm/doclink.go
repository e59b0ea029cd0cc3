package main

import (
	"go/doc/comment"
	"path"
	"regexp"
	"slices"
)

var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// docParser returns a parser of the doc comments of a package that imports
// these packages and declares what symbol reports.
func docParser(imports []string, symbol func(name string) bool) *comment.Parser {
	byName := make(map[string]string, len(imports))
	// Of two imports with one name it is always the same that counts.
	for _, p := range slices.Sorted(slices.Values(imports)) {
		byName[path.Base(majorVersion.ReplaceAllString(p, ""))] = p
	}
	return &comment.Parser{
		LookupPackage: func(name string) (string, bool) {
			if p, ok := byName[name]; ok {
				return p, true
			}
			return comment.DefaultLookupPackage(name)
		},
		LookupSym: func(recv, name string) bool { return symbol(fragment(recv, name)) },
	}
}

func fragment(recv, name string) string {
	if recv == "" {
		return name
	}
	return recv + "." + name
}

// docLink returns where a link in the doc comment of a package leads.
func docLink(from title, d *comment.DocLink) link {
	to := from
	if d.ImportPath != "" {
		to = from.resolve(d.ImportPath)
	}
	return link{"doc", to.Wiki, to.Path, fragment(d.Recv, d.Name)}
}

// eachDocLink calls f for every doc link of a text.
func eachDocLink(d *comment.Doc, f func(*comment.DocLink)) {
	for _, b := range d.Content {
		blockLinks(b, f)
	}
}

func blockLinks(b comment.Block, f func(*comment.DocLink)) {
	switch b := b.(type) {
	case *comment.Heading:
		textLinks(b.Text, f)
	case *comment.Paragraph:
		textLinks(b.Text, f)
	case *comment.List:
		for _, item := range b.Items {
			for _, b := range item.Content {
				blockLinks(b, f)
			}
		}
	}
}

func textLinks(text []comment.Text, f func(*comment.DocLink)) {
	for _, t := range text {
		if d, ok := t.(*comment.DocLink); ok {
			f(d)
		}
	}
}
