package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
)

func (e *env) list() *cobra.Command {
	f := jobqueue.Filter{Limit: 100}
	var asJSON, asNull bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List jobs",
		Long: `List jobs, a line each, in the order in which they were pushed.

When there are more than --limit, a line on standard error says so, and with
which --after to go on.`,
		Args: noArgs,
	}
	filterFlags(c, &f)
	c.Flags().Var(states(&f.States), "status", "only those in this `state`: ready, delayed, claimed or abandoned; may be repeated")
	c.Flags().Var(whole(&f.Limit, 1, math.MaxInt32), "limit", "at most so many; without it 100")
	c.Flags().Var(given(&f.After, "id"), "after", "only those after the job of this `id`")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	c.Flags().BoolVarP(&asNull, "null", "0", false, "print id, domain, type and state as they are, with tabs between and a NUL behind, as for xargs -0")
	c.RunE = e.run(false, func(ctx context.Context, s *session) error {
		if asJSON && asNull {
			return errFormats
		}
		out := bufio.NewWriter(c.OutOrStdout())
		show := printEntry
		switch {
		case asJSON:
			show = printEntryJSON
		case asNull:
			show = printEntryNull
		}
		more, err := s.each(ctx, f, func(label string, e jobqueue.Entry) error { return show(out, label, e) })
		if err := out.Flush(); err != nil {
			return err
		}
		if more != "" {
			_, unsaid := fmt.Fprintf(c.ErrOrStderr(), "there are more, go on with --after %s\n", more)
			err = errors.Join(err, unsaid)
		}
		return err
	})
	return c
}

// each calls show for the jobs that f matches, store by store. When there are more
// than f.Limit it returns the label of the last one shown. Of stores that are away it returns an error, behind those of the others.
func (s *session) each(ctx context.Context, f jobqueue.Filter, show func(label string, e jobqueue.Entry) error) (more string, err error) {
	if err := s.known(ctx, f.Domain); err != nil {
		return "", err
	}
	parts, err := s.parts(f)
	if err != nil {
		return "", err
	}
	var away error
	left, last := f.Limit, ""
	for _, p := range parts {
		p.f.Limit = left + 1
		if f.Limit == 0 {
			p.f.Limit = 0
		}
		for e, err := range p.List(ctx, p.f) {
			if errors.Is(err, jobqueue.ErrUnavailable) {
				away = errors.Join(away, err)
				continue // That was the last of this store.
			}
			if err != nil {
				return "", errors.Join(away, err)
			}
			if f.Limit > 0 && left == 0 {
				return last, away
			}
			left--
			last = s.label(p.backend, e.ID)
			if err := show(last, e); err != nil {
				return "", errors.Join(away, err)
			}
		}
	}
	return "", away
}

// printEntry prints the id, the queue, the state, and then what there is to say.
func printEntry(w io.Writer, label string, e jobqueue.Entry) error {
	line := fmt.Sprintf("%s %s %s queued=%s", label, e.Name, e.State, stamp(e.QueuedAt))
	add := func(name string, t time.Time) {
		if !t.IsZero() {
			line += fmt.Sprintf(" %s=%s", name, stamp(t))
		}
	}
	if e.State == jobqueue.Delayed {
		add("ready", e.ReadyAt)
	}
	add("expires", e.Expires)
	add("prune", e.PruneAt)
	if e.Owner != "" {
		line += " owner=" + jobqueue.EscapeName(e.Owner)
	}
	if e.Failures > 0 {
		line += fmt.Sprintf(" failures=%d", e.Failures)
	}
	if e.Expiries > 0 {
		line += fmt.Sprintf(" expiries=%d", e.Expiries)
	}
	if e.Root.Key != "" {
		line += " root=" + jobqueue.EscapeName(e.Root.Key)
	}
	line += " params=" + short(e.Params)
	if e.LastError != "" {
		line += " error=" + escape(e.LastError)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// printEntryNull prints what scripts need. Names have no control characters.
func printEntryNull(w io.Writer, label string, e jobqueue.Entry) error {
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\x00", label, e.Domain, e.Type, e.State)
	return err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A listed is an entry as list --json prints it.
type listed struct {
	ID        string            `json:"id"`
	Domain    string            `json:"domain"`
	Type      string            `json:"type"`
	Status    string            `json:"status"`
	Params    json.RawMessage   `json:"params"`
	QueuedAt  time.Time         `json:"queuedAt,omitzero"`
	ReadyAt   time.Time         `json:"readyAt,omitzero"`
	Root      *listedRoot       `json:"root,omitempty"`
	MaxTries  int               `json:"maxTries,omitzero"`
	Headers   map[string]string `json:"headers,omitempty"`
	Failures  int               `json:"failures"`
	Expiries  int               `json:"expiries"`
	LastError string            `json:"lastError,omitempty"`
	Owner     string            `json:"owner,omitempty"`
	Expires   time.Time         `json:"expires,omitzero"`
	PruneAt   time.Time         `json:"pruneAt,omitzero"`
}

type listedRoot struct {
	Key  string    `json:"key"`
	Time time.Time `json:"time,omitzero"`
}

func printEntryJSON(w io.Writer, label string, e jobqueue.Entry) error {
	l := listed{
		ID: label, Domain: e.Domain, Type: e.Type, Status: e.State.String(), Params: e.Params,
		QueuedAt: e.QueuedAt.UTC(), MaxTries: e.MaxTries, Headers: e.Headers,
		Failures: e.Failures, Expiries: e.Expiries, LastError: e.LastError, Owner: e.Owner,
		ReadyAt: e.ReadyAt.UTC(), Expires: e.Expires.UTC(), PruneAt: e.PruneAt.UTC(),
	}
	if e.Root.Key != "" {
		l.Root = &listedRoot{e.Root.Key, e.Root.Time.UTC()}
	}
	return printJSON(w, l, "")
}
