package main

import (
	"context"
	"fmt"
	"io"
)

// A demo is the main job from beginning to end.
type demo struct {
	out   io.Writer
	below string                                                // which part of the source to import
	with  func(ctx context.Context, do func(*farm) error) error // calls do with the queue open
	drain func(ctx context.Context, most int) error             // runs at most so many jobs; 0 means all that are ready
}

const (
	editedPages = 8   // the most used
	jobsBetween = 500 // run after the first edits and before the next
)

// run makes the wikis, edits them, and reports. Every step is pushed twice, as
// by two people who don't know of each other.
func (d *demo) run(ctx context.Context) error {
	fmt.Fprintln(d.out, "Importing every package as a page, twice.")
	if err := d.with(ctx, func(f *farm) error { return d.importAll(ctx, f) }); err != nil {
		return err
	}
	if err := d.drain(ctx, 0); err != nil {
		return err
	}
	for _, round := range []struct {
		text string
		jobs int
	}{
		{fmt.Sprintf("Editing the %d most used pages, twice, and running %d of the jobs.", editedPages, jobsBetween), jobsBetween},
		{"Editing them again, twice: jobs of the first edits that still wait are superseded.", 0},
	} {
		fmt.Fprintln(d.out, round.text)
		if err := d.with(ctx, func(f *farm) error { return editMostUsed(ctx, f) }); err != nil {
			return err
		}
		if err := d.drain(ctx, round.jobs); err != nil {
			return err
		}
	}
	return d.with(ctx, func(f *farm) error { return f.report(ctx, d.out, d.below) })
}

func (d *demo) importAll(ctx context.Context, f *farm) error {
	pages, err := f.tree.titles(d.below)
	if err != nil {
		return err
	}
	for range 2 {
		if err := f.importPages(ctx, pages); err != nil {
			return err
		}
	}
	return nil
}

func editMostUsed(ctx context.Context, f *farm) error {
	pages, err := f.store.mostUsed(ctx, editedPages)
	if err != nil {
		return err
	}
	for range 2 {
		for _, t := range pages {
			if err := f.edit(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}
