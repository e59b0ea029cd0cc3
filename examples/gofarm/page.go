package main

import (
	"go/ast"
	"go/build/constraint"
	"go/doc"
	"go/doc/comment"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A page gathers an article from the files of its package.
type page struct {
	title      title
	doc        string
	imports    set // as written
	symbols    set // name, or receiver.name
	categories set
}

type set map[string]bool

func (p *page) add(f *ast.File) {
	for _, tag := range buildTags(f) {
		p.categories["needs or excludes "+tag] = true
	}
	if ast.IsGenerated(f) {
		p.categories["has generated files"] = true
	}
	if f.Name.Name == "main" {
		p.categories["is a program"] = true
	}
	if f.Doc != nil {
		p.doc = strings.TrimPrefix(p.doc+"\n"+f.Doc.Text(), "\n")
	}
	for _, imp := range f.Imports {
		if importPath, err := strconv.Unquote(imp.Path.Value); err == nil {
			p.imports[importPath] = true
		}
	}
	p.declare(f)
}

// buildTags returns the tags that the build constraint of f asks for, in either sense.
func buildTags(f *ast.File) (tags []string) {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			if expr, err := constraint.Parse(c.Text); err == nil {
				expr.Eval(func(tag string) bool { tags = append(tags, tag); return true })
			}
		}
	}
	return tags
}

func (p *page) declare(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil && len(d.Recv.List) > 0 {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			p.symbols[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					p.symbols[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						p.symbols[n.Name] = true
					}
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.ParenExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	}
	return ""
}

func (p *page) article() *article {
	a := &article{
		Title:      p.title,
		Synopsis:   new(doc.Package).Synopsis(p.doc),
		Text:       p.doc,
		Links:      []link{}, // both are stored as JSON lists, never null
		Categories: []string{},
	}
	links := map[link]bool{}
	var imports []string
	for importPath := range p.imports {
		to := p.title.resolve(importPath)
		links[link{"import", to.Wiki, to.Path, ""}] = true
		imports = append(imports, to.Path)
	}
	parser := docParser(imports, func(symbol string) bool { return p.symbols[symbol] })
	eachDocLink(parser.Parse(p.doc), func(d *comment.DocLink) {
		links[docLink(p.title, d)] = true
	})
	a.Links = slices.AppendSeq(a.Links, maps.Keys(links))

	first, _, nested := strings.Cut(p.title.Path, "/")
	if nested {
		p.categories["under "+first] = true
	}
	if p.doc == "" {
		p.categories["has no doc comment"] = true
	}
	if strings.Contains(p.doc, "\nDeprecated: ") || strings.HasPrefix(p.doc, "Deprecated: ") {
		p.categories["is deprecated"] = true
	}
	if p.imports["C"] {
		p.categories["uses cgo"] = true
	}
	a.Categories = slices.AppendSeq(a.Categories, maps.Keys(p.categories))
	slices.Sort(a.Categories)
	return a
}
