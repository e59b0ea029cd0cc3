package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A report is all that was measured.
type report struct {
	Command  string
	Took     string
	Settings []string
	Lines    []line
	Targets  []target
	Failures []string
}

// A line is what one system showed in one row: the median of some rounds, the least and the most. A percentile is of the samples of
// all rounds instead.
type line struct {
	Row, System         string
	Median, Least, Most float64
	Unit                string
	Rounds              int
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

// met, in words.
func (t target) verdict() string {
	if t.met() {
		return "holds"
	}
	return "MISSED"
}

// wanted says what is to be reached.
func (t target) wanted() string {
	if t.Most {
		return "at most " + figure(t.Want)
	}
	return "at least " + figure(t.Want)
}

// beaten says in which rows another did better than we.
func (r *report) beaten() (lines []string) {
	for _, l := range r.Lines {
		ours := r.of(l.Row, own)
		if strings.HasPrefix(l.System, own) || strings.HasPrefix(l.System, "bare") || math.IsNaN(ours) {
			continue
		}
		if l.Unit == "jobs/s" && l.Median > ours || l.Unit != "jobs/s" && l.Median < ours {
			lines = append(lines, fmt.Sprintf("%s: %s, %s against %s %s", l.Row, l.System, figure(l.Median), figure(ours), l.Unit))
		}
	}
	return lines
}

// add adds a line of what rounds have shown.
func (r *report) add(row, system, unit, note string, rounds []float64) {
	if len(rounds) == 0 {
		return
	}
	slices.Sort(rounds)
	r.addAll(row, system, unit, note, median(rounds), rounds)
}

// addAll adds a line of a figure that was found over all rounds.
func (r *report) addAll(row, system, unit, note string, figure float64, rounds []float64) {
	if len(rounds) > 0 {
		r.Lines = append(r.Lines, line{row, system, figure, slices.Min(rounds), slices.Max(rounds), unit, len(rounds), note})
	}
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
