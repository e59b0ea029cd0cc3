package main

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"go/doc/comment"
	"html/template"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// A renderedPage is a page as its readers see it.
type renderedPage struct {
	Page int64
	HTML string
	Red  int   // links to no page
	Seen int64 // the newest edit that it shows
}

// An outlink is a link of a page with what is known of the page it leads to.
type outlink struct {
	link
	Exists   bool
	Synopsis string
}

// URL is where a link leads; one to no page offers to write it.
func (l outlink) URL() string {
	u := "/" + l.Wiki + "/" + l.Path
	if !l.Exists {
		u += "?redlink=1"
	}
	if l.Fragment != "" {
		u += "#" + l.Fragment
	}
	return u
}

// render makes a page from its text, its links, and what the pages it links to say of themselves.
func (s *store) render(ctx context.Context, t title) (r renderedPage, err error) {
	var text string
	var links []outlink
	var categories []string
	err = s.read(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "select id, touched, text from pages where wiki = ? and path = ?", t.Wiki, t.Path).
			Scan(&r.Page, &r.Seen, &text)
		if err != nil {
			return fmt.Errorf("render %v: %w", t, err)
		}
		if links, err = outlinks(ctx, tx, &r); err != nil {
			return err
		}
		categories, err = categoriesOf(ctx, tx, r.Page)
		return err
	})
	if err != nil {
		return r, err
	}
	r.HTML, err = renderHTML(t, text, links, categories)
	return r, err
}

func outlinks(ctx context.Context, tx *sql.Tx, r *renderedPage) ([]outlink, error) {
	return query(ctx, tx, func(scan scanner) (l outlink, err error) {
		var touched int64
		err = scan(&l.Kind, &l.Wiki, &l.Path, &l.Fragment, &l.Exists, &touched, &l.Synopsis)
		if !l.Exists {
			r.Red++
		}
		r.Seen = max(r.Seen, touched)
		return l, err
	}, `select kind, wiki, path, fragment, target is not null, coalesce(touched, 0), coalesce(synopsis, '')
		from leads where page = ? order by kind, wiki, path, fragment`, r.Page)
}

func categoriesOf(ctx context.Context, tx *sql.Tx, page int64) ([]string, error) {
	return query(ctx, tx, scanText,
		"select category from categorylinks where page = ? order by category", page)
}

func renderHTML(t title, text string, links []outlink, categories []string) (string, error) {
	var imports []outlink
	var paths []string
	byTarget := map[link]outlink{}
	symbols := set{}
	for _, l := range links {
		byTarget[l.link] = l
		switch {
		case l.Kind == "import":
			imports = append(imports, l)
			paths = append(paths, l.Path)
		case l.Wiki == t.Wiki && l.Path == t.Path:
			symbols[l.Fragment] = true
		}
	}
	parsed := docParser(paths, func(symbol string) bool { return symbols[symbol] }).Parse(text)
	printer := &comment.Printer{
		HeadingLevel: 2,
		DocLinkURL:   func(d *comment.DocLink) string { return byTarget[docLink(t, d)].URL() },
	}
	var b strings.Builder
	err := pageTemplate.Execute(&b, struct {
		Title      title
		Body       template.HTML // what the printer writes is escaped
		Imports    []outlink
		Categories []string
	}{t, template.HTML(printer.HTML(parsed)), imports, categories})
	return b.String(), err
}
