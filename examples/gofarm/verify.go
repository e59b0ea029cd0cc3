package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
)

// checks are what must hold, each with a query for how many break it.
var checks = []struct{ rule, sql string }{
	{"every page is rendered", "select count(*) from pages where id not in (select page from rendered)"},
	{"every page shows the newest edit of itself and of all pages it links to", `
		select count(*) from rendered r join pages p on p.id = r.page
		where r.seen <> max(p.touched, (select coalesce(max(touched), 0) from leads where page = p.id))`},
	{"the red links are the broken ones", `
		select count(*) from rendered r where red <> (select count(*) from leads where page = r.page and target is null)`},
	{"the categories list the pages that say so, and no other", `
		select (select count(*) from (select category, page from members except select category, page from categorylinks)) +
			(select count(*) from (select category, page from categorylinks except select category, page from members))`},
	{"every stored job has run, or a newer edit has superseded it", "select count(*) from jobs where runs + superseded = 0"},
}

// verify prints each rule and how it is kept.
func (f *farm) verify(ctx context.Context, w io.Writer, below string) error {
	wrong := 0
	say := func(rule string, broken int) {
		wrong += broken
		if broken > 0 {
			fmt.Fprintf(w, "WRONG  %s: not so in %d cases\n", rule, broken)
		} else {
			fmt.Fprintf(w, "true   %s\n", rule)
		}
	}
	fmt.Fprintln(w)
	broken, err := f.verifySource(ctx, below)
	if err != nil {
		return err
	}
	say("every package of the source is a page with the links and categories that the source, read again, has", broken)
	for _, c := range checks {
		if err := f.store.reader.QueryRowContext(ctx, c.sql).Scan(&broken); err != nil {
			return fmt.Errorf("%s: %w", c.rule, err)
		}
		say(c.rule, broken)
	}
	left, err := f.left(ctx)
	if err != nil {
		return err
	}
	broken = 0
	for _, n := range left {
		broken += n
	}
	say("the queue is empty", broken)
	if wrong > 0 {
		return errWrong
	}
	return nil
}

// verifySource reads all packages again and returns how many pages are missing or differ.
func (f *farm) verifySource(ctx context.Context, below string) (wrong int, err error) {
	titles, err := f.tree.titles(below)
	if err != nil {
		return 0, err
	}
	links, err := byPage(ctx, f.store.reader, "select from_wiki, from_path, kind || ' ' || wiki || ':' || path || '#' || fragment from leads")
	if err != nil {
		return 0, err
	}
	categories, err := byPage(ctx, f.store.reader, "select wiki, path, category from pages join categorylinks on page = id")
	if err != nil {
		return 0, err
	}
	pages, err := byPage(ctx, f.store.reader, "select wiki, path, text from pages")
	if err != nil {
		return 0, err
	}
	for _, t := range titles {
		a, err := f.tree.parse(t)
		if err != nil {
			return 0, err
		}
		want := set{}
		for _, l := range a.Links {
			want[fmt.Sprintf("%s %s:%s#%s", l.Kind, l.Wiki, l.Path, l.Fragment)] = true
		}
		if !pages[t][a.Text] || !maps.Equal(links[t], want) || !slices.Equal(slices.Sorted(maps.Keys(categories[t])), a.Categories) {
			wrong++
		}
	}
	return wrong + max(0, len(pages)-len(titles)), nil
}
