package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// A report is all that was measured.
type report struct {
	Settings []string
	Lines    []line
	Targets  []target
	Failures []string
}

// A line is what one system showed in one row: the median of some rounds, the least and the most.
type line struct {
	Row, System         string
	Median, Least, Most float64
	Unit                string
	Note                string `json:",omitempty"`
}

// A target is what must hold.
type target struct {
	What      string
	Want, Got float64
	Most      bool // Got must be at most Want, else at least
}

func (t target) met() bool {
	if math.IsNaN(t.Got) {
		return false
	}
	return t.Most && t.Got <= t.Want || !t.Most && t.Got >= t.Want
}

// add adds a line of what rounds have shown.
func (r *report) add(row, system, unit, note string, rounds []float64) {
	if len(rounds) == 0 {
		return
	}
	slices.Sort(rounds)
	r.Lines = append(r.Lines, line{row, system, median(rounds), rounds[0], rounds[len(rounds)-1], unit, note})
}

// of returns a median that was measured; NaN if it was not.
func (r *report) of(row, system string) float64 {
	for _, l := range r.Lines {
		if l.Row == row && l.System == system {
			return l.Median
		}
	}
	return math.NaN()
}

// aim notes a target: got is that of the rows which were measured.
func (r *report) aim(what string, want, got float64, most bool) {
	if !math.IsNaN(got) {
		r.Targets = append(r.Targets, target{what, want, got, most})
	}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// percentile returns the smallest value that so many per cent are not above; it sorts.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(math.Ceil(p/100*float64(len(values))))-1)]
}

// figure writes a number with three digits, or all of an integer.
func figure(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return "-"
	case a >= 1000:
		n := fmt.Sprintf("%.0f", f)
		for i := len(n) - 3; i > 0; i -= 3 {
			n = n[:i] + "," + n[i:]
		}
		return n
	case a >= 100:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

func (r *report) print(w io.Writer) {
	for _, s := range r.Settings {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "row\tsystem\tmedian\tleast\tmost\tunit\t")
	last := ""
	for _, l := range r.Lines {
		row := l.Row
		if row == last {
			row = ""
		}
		last = l.Row
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row, l.System, figure(l.Median), figure(l.Least), figure(l.Most), l.Unit, l.Note)
	}
	tw.Flush()
	fmt.Fprintln(w)
	fmt.Fprintln(tw, "target\twanted\tmeasured\t")
	for _, t := range r.Targets {
		sign, met := "at least", "met"
		if t.Most {
			sign = "at most"
		}
		if !t.met() {
			met = "MISSED"
		}
		fmt.Fprintf(tw, "%s\t%s %s\t%s\t%s\n", t.What, sign, figure(t.Want), figure(t.Got), met)
	}
	tw.Flush()
	for _, f := range r.Failures {
		fmt.Fprintln(w, "failed:", f)
	}
}
