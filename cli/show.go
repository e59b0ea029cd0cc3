package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

var errFormats = usagef("--json and --null cannot both be given")

func (e *env) show() *cobra.Command {
	var f jobqueue.Filter
	var group, asJSON, asNull bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Show how many jobs there are",
		Long: `Show how many jobs are ready, delayed, claimed and abandoned, and how long the oldest
ready one has been so: in all, and with --group for each domain and type.

"no handler" means that this program cannot run the type: its jobs wait for one that can.
"not enabled" means that the farm file enables the type on other domains only.
"without" names backends and partitions that are away, whose jobs are not counted; so does
"missing" in the document. What is paused is held back until it is resumed; what is held is being copied to another
backend, or was when that was interrupted. A type whose handler is at fault rests
in the runners that say so. A transaction that somebody else has kept open in a PostgreSQL
database for over a minute, so that nothing is cleaned up there, is named.`,
		Args: noArgs,
		RunE: nil,
	}
	c.Flags().BoolVar(&group, "group", false, "a line for each domain and type")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().BoolVarP(&asNull, "null", "0", false, "print domain, type and the numbers ready, delayed, claimed and abandoned, names as they are, with tabs between and a NUL behind each queue")
	filterFlags(c, &f)
	c.RunE = e.run(false, func(ctx context.Context, s *session) error {
		if asJSON && asNull {
			return errFormats
		}
		if err := s.known(ctx, f.Domain); err != nil {
			return err
		}
		rows, away, err := s.rows(ctx, f)
		if err != nil && len(away) == 0 {
			return err
		}
		missing := err // to be told behind what there is
		// The counts are shown though something besides them cannot be asked.
		known := func(err error) bool {
			away := errors.Is(err, jobqueue.ErrUnavailable)
			if away && missing == nil {
				missing = err
			}
			return err == nil || away
		}
		pauses, err := s.Pauses(ctx)
		if !known(err) {
			return err
		}
		pauses = slices.DeleteFunc(pauses, func(p jobqueue.Pause) bool { return !touches(p, f) })
		faults, err := s.faults(ctx, f)
		if !known(err) {
			return err
		}
		holders, err := s.holders(ctx)
		if !known(err) {
			return err
		}
		held, err := s.held(ctx, f)
		if !known(err) {
			return err
		}
		for i := range rows {
			rows[i].pausedBy(pauses)
			rows[i].Fault = faults[rows[i].Type]
		}
		sum := total(rows)
		switch out := c.OutOrStdout(); {
		case asJSON:
			return errors.Join(showJSON(out, rows, sum, away, pauses, faults, holders, held), missing)
		case asNull:
			return errors.Join(showNull(out, rows), missing)
		case group:
			return errors.Join(showTable(out, rows, sum, away), showHeld(out, held), showHolders(out, holders), missing)
		default:
			return errors.Join(showTotal(out, rows, sum, away, pauses, faults), showHeld(out, held), showHolders(out, holders), missing)
		}
	})
	return c
}

// filterFlags are the flags by which jobs are chosen.
func filterFlags(c *cobra.Command, f *jobqueue.Filter) {
	c.Flags().Var(name(&f.Domain, "domain"), "domain", "only those of this `domain`, also spelled --wiki")
	c.Flags().Var(name(&f.Type, "type"), "type", "only those of this `type`")
}

// A row is what show says of one domain and type.
type row struct {
	Domain    string  `json:"domain,omitempty"`
	Type      string  `json:"type,omitempty"`
	Ready     int     `json:"ready"`
	Delayed   int     `json:"delayed"`
	Claimed   int     `json:"claimed"`
	Abandoned int     `json:"abandoned"`
	Oldest    float64 `json:"oldest"` // seconds
	NoHandler bool    `json:"noHandler"`

	NotEnabled bool `json:"notEnabled,omitempty"` // on this domain

	Paused []shownPause `json:"paused,omitempty"`
	Fault  string       `json:"fault,omitempty"` // of the handler in some runner
}

// faults returns the types whose handler is at fault in some live runner, and why.
func (s *session) faults(ctx context.Context, f jobqueue.Filter) (map[string]string, error) {
	all, err := runner.Runners(ctx, s.Group)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	faults := map[string]string{}
	for _, p := range all {
		for typ, reason := range p.Faults {
			if f.Type == "" || f.Type == typ {
				faults[typ] = reason
			}
		}
	}
	return faults, nil
}

// touches reports whether a pause may hold back what f matches.
func touches(p jobqueue.Pause, f jobqueue.Filter) bool {
	return (p.Domain == "" || f.Domain == "" || p.Domain == f.Domain) && (p.Type == "" || f.Type == "" || p.Type == f.Type)
}

func (r *row) pausedBy(pauses []jobqueue.Pause) {
	for _, p := range pauses {
		if p.Covers(jobqueue.Name{Domain: r.Domain, Type: r.Type}) {
			r.Paused = append(r.Paused, shownPause(p))
		}
	}
}

// note says what else there is to say of a queue.
func (r *row) note() string {
	var notes []string
	if r.NoHandler {
		notes = append(notes, "no handler")
	}
	if r.NotEnabled {
		notes = append(notes, "not enabled")
	}
	if r.Fault != "" {
		notes = append(notes, "handler at fault: "+escape(r.Fault))
	}
	for _, p := range r.Paused {
		notes = append(notes, fmt.Sprintf("paused by %s: %s", escape(p.By), escape(p.Reason)))
	}
	return strings.Join(notes, "; ")
}

// rows counts every store, so that jobs whose type is routed elsewhere by now are seen too. Where stores or partitions are
// away it returns their names and an error, with the rows that there are.
func (s *session) rows(ctx context.Context, f jobqueue.Filter) (rows []row, away []string, missing error) {
	byName := map[jobqueue.Name]*row{}
	for _, st := range s.Stores {
		counts, err := st.Backend.Counts(ctx)
		if part, partly := errors.AsType[*jobqueue.PartError](err); partly {
			away = append(away, part.Parts...)
			missing = errors.Join(missing, err)
		} else if errors.Is(err, jobqueue.ErrUnavailable) {
			away = append(away, st.Name)
			missing = errors.Join(missing, &jobqueue.Error{Op: "count", Err: err})
		} else if err != nil {
			return nil, nil, &jobqueue.Error{Op: "count", Err: err}
		}
		for _, n := range counts {
			if f.Domain != "" && n.Domain != f.Domain || f.Type != "" && n.Type != f.Type || n.Total() == 0 {
				continue
			}
			r := byName[n.Name]
			if r == nil {
				r = &row{Domain: n.Domain, Type: n.Type, NoHandler: !s.reg.Has(n.Type), NotEnabled: !s.farm.Enabled(n.Name)}
				byName[n.Name] = r
			}
			r.add(row{Ready: n.Ready, Delayed: n.Delayed, Claimed: n.Claimed, Abandoned: n.Abandoned, Oldest: n.Age.Seconds()})
		}
	}
	if missing != nil && len(away) == len(s.Stores) && len(byName) == 0 {
		away = nil // Nothing is known.
	}
	rows = make([]row, 0, len(byName))
	for _, r := range byName {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if c := strings.Compare(a.Domain, b.Domain); c != 0 {
			return c
		}
		return strings.Compare(a.Type, b.Type)
	})
	return rows, away, missing
}

func (r *row) add(o row) {
	r.Ready += o.Ready
	r.Delayed += o.Delayed
	r.Claimed += o.Claimed
	r.Abandoned += o.Abandoned
	r.Oldest = max(r.Oldest, o.Oldest)
}

func (r *row) oldest() string {
	if r.Ready == 0 {
		return "-"
	}
	return time.Duration(r.Oldest * float64(time.Second)).Round(time.Second).String()
}

func total(rows []row) row {
	var sum row
	for _, r := range rows {
		sum.add(r)
	}
	return sum
}

// without says what is not counted; "" if everything is.
func without(away []string) string {
	if len(away) == 0 {
		return ""
	}
	return "without " + enumerate(away)
}

func showTotal(w io.Writer, rows []row, sum row, away []string, pauses []jobqueue.Pause, faults map[string]string) error {
	line := fmt.Sprintf("ready %d, delayed %d, claimed %d, abandoned %d, oldest %s",
		sum.Ready, sum.Delayed, sum.Claimed, sum.Abandoned, sum.oldest())
	if len(away) > 0 {
		line += ", " + without(away)
	}
	if _, err := fmt.Fprintln(w, line); err != nil {
		return err
	}
	var types, closed []string
	for _, r := range rows {
		if r.NotEnabled {
			closed = append(closed, jobqueue.Name{Domain: r.Domain, Type: r.Type}.String())
		}
		if r.NoHandler {
			types = append(types, jobqueue.EscapeName(r.Type))
		}
	}
	slices.Sort(types)
	if types = slices.Compact(types); len(types) > 0 {
		if _, err := fmt.Fprintf(w, "no handler: %s\n", enumerate(types)); err != nil {
			return err
		}
	}
	if len(closed) > 0 {
		if _, err := fmt.Fprintf(w, "not enabled: %s\n", some(closed)); err != nil {
			return err
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(faults)) {
		if _, err := fmt.Fprintf(w, "handler at fault: %s: %s\n", jobqueue.EscapeName(typ), escape(faults[typ])); err != nil {
			return err
		}
	}
	for _, p := range pauses {
		if _, err := fmt.Fprintf(w, "paused: %s\n", pauseLine(p)); err != nil {
			return err
		}
	}
	return nil
}

func showTable(w io.Writer, rows []row, sum row, away []string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "DOMAIN\tTYPE\tREADY\tDELAYED\tCLAIMED\tABANDONED\tOLDEST\t")
	line := func(domain, typ string, r row, note string) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", domain, typ, r.Ready, r.Delayed, r.Claimed, r.Abandoned, r.oldest(), note)
	}
	for _, r := range rows {
		line(jobqueue.EscapeName(r.Domain), jobqueue.EscapeName(r.Type), r, r.note())
	}
	line("total", "", sum, without(away))
	return t.Flush()
}

func showNull(w io.Writer, rows []row) error {
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\x00", r.Domain, r.Type, r.Ready, r.Delayed, r.Claimed, r.Abandoned); err != nil {
			return err
		}
	}
	return nil
}

func showJSON(w io.Writer, rows []row, sum row, away []string, pauses []jobqueue.Pause, faults map[string]string, holders []holder, held []heldBy) error {
	return printJSON(w, struct {
		Queues    []row             `json:"queues"`
		Total     row               `json:"total"`
		Missing   []string          `json:"missing,omitempty"` // backends and partitions that are away: the numbers are without them
		Pauses    []shownPause      `json:"pauses"`
		Faults    map[string]string `json:"faults"`
		Held      []heldBy          `json:"held,omitempty"`
		Snapshots []holder          `json:"snapshots,omitempty"`
	}{rows, sum, away, shownPauses(pauses), faults, held, holders}, "  ")
}
