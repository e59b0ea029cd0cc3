package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A table is rows of cells, of which the first are the titles.
type table [][]string

// tables returns what was measured, and what must hold.
func (r *report) tables() []table {
	lines := table{{"row", "system", "median", "least", "most", "unit", "rounds", "note"}}
	last := ""
	for _, l := range r.Lines {
		row := l.Row
		if row == last {
			row = ""
		}
		last = l.Row
		lines = append(lines, []string{row, l.System, figure(l.Median), figure(l.Least), figure(l.Most), l.Unit, fmt.Sprint(l.Rounds), l.Note})
	}
	targets := table{{"must hold", "wanted", "measured", "verdict"}}
	for _, t := range r.Targets {
		targets = append(targets, []string{t.What, t.wanted(), figure(t.Got), t.verdict()})
	}
	return []table{lines, targets}
}

// notes are what follows the tables.
func (r *report) notes() (lines []string) {
	for _, l := range r.beaten() {
		lines = append(lines, "faster or smaller than ours: "+l)
	}
	for _, f := range r.Failures {
		lines = append(lines, "failed: "+f)
	}
	return lines
}

// print writes it for a terminal.
func (r *report) print(w io.Writer) {
	for _, s := range append([]string{r.Command + ", " + r.Took}, r.Settings...) {
		fmt.Fprintln(w, s)
	}
	for _, t := range r.tables() {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, cells := range t {
			fmt.Fprintln(tw, strings.Join(cells, "\t"))
		}
		tw.Flush()
	}
	fmt.Fprintln(w)
	for _, n := range r.notes() {
		fmt.Fprintln(w, n)
	}
}

// markdown writes it for a page.
func (r *report) markdown(w io.Writer) {
	fmt.Fprintf(w, "`%s`, %s:\n\n", r.Command, r.Took)
	for _, s := range r.Settings {
		fmt.Fprintln(w, "-", s)
	}
	for _, t := range r.tables() {
		fmt.Fprintln(w)
		for i, cells := range t {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
			if i == 0 {
				fmt.Fprintln(w, strings.Repeat("|---", len(cells))+"|")
			}
		}
	}
	fmt.Fprintln(w)
	for _, n := range r.notes() {
		fmt.Fprintln(w, "-", n)
	}
}
