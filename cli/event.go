package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
)

// emit pushes the jobs of an event.
func (f *pushFlags) emit(ctx context.Context, c *cobra.Command, s *session) error {
	e := jobqueue.Event{Name: f.event, Root: f.spec.Root}
	var err error
	if e.Domain, err = s.home(f.spec.Domain); err != nil {
		return err
	}
	if c.Flags().Changed("params") {
		e.Params = json.RawMessage(f.params)
		// It may be that no job has these.
		if err := s.check(jobqueue.Spec{Type: "event", Params: e.Params, Domain: e.Domain}); err != nil {
			return err
		}
		if err := unique(e.Params); err != nil {
			return usagef("--params: %w", err)
		}
	}
	pushed, err := s.Emit(ctx, e)
	if errors.Is(err, jobqueue.ErrUnknownEvent) {
		return usagef("nothing says what jobs the event %q becomes; add it to the events of the farm file", f.event)
	}
	if err != nil {
		return err
	}
	var n sum
	n.add(pushed)
	_, err = fmt.Fprintln(c.OutOrStdout(), n)
	return err
}

// A sum says what became of several jobs.
type sum struct{ stored, duplicates, ran int }

func (n *sum) add(p jobqueue.Pushed) {
	n.stored += p.Stored()
	n.duplicates += p.Duplicates()
	n.ran += p.Ran()
}

func (n sum) String() string {
	text := fmt.Sprintf("stored %d jobs, dropped %d duplicates", n.stored, n.duplicates)
	if n.ran > 0 {
		text += fmt.Sprintf(", ran %d inline", n.ran)
	}
	return text
}

// told says what became of one job, whose id is as list shows it.
func told(w io.Writer, job jobqueue.PushedJob, id string) error {
	var err error
	switch {
	case job.Inline:
		_, err = fmt.Fprintln(w, "ran the job inline")
	case job.Duplicate:
		_, err = fmt.Fprintf(w, "duplicate of job %s\n", id)
	default:
		_, err = fmt.Fprintf(w, "stored job %s\n", id)
	}
	return err
}
