package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

func (e *env) runners() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "runners",
		Short: "List the runners that are alive",
		Long: `List the runners that are alive, a line each, and below it the jobs that run there. Those of
runjobs --wait also have a process, to which jobctl ctl gives commands, and say how often that has
read the farm file; while jobs of an earlier reading run it has a runner for them, too. config tells
what the farm file said that a runner goes by; "differs" marks one that said something else than
the file of this command says now.
A runner says every 5 s that it is alive; one that was killed is listed for 15 s more.`,
		Args: noArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = e.run(false, func(ctx context.Context, s *session) error {
		all, err := runner.Runners(ctx, s.Group)
		if err != nil {
			return err
		}
		if asJSON {
			return runnersJSON(c.OutOrStdout(), all, s.farm.Digest())
		}
		for _, p := range all {
			if err := printRunner(c.OutOrStdout(), p, s.farm.Digest()); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

// differs reports whether a runner goes by something else than the farm file with a digest.
func differs(p runner.Presence, digest string) bool {
	return p.Config != digest && p.Config != "" && digest != ""
}

func runnersJSON(w io.Writer, all []runner.Presence, digest string) error {
	type shown struct {
		runner.Presence
		Beat    float64 `json:"beat"` // seconds ago
		Differs bool    `json:"differs,omitempty"`
	}
	list := make([]shown, len(all))
	for i, p := range all {
		list[i] = shown{p, p.Beat.Seconds(), differs(p, digest)}
	}
	return printJSON(w, struct {
		Runners []shown `json:"runners"`
	}{list}, "  ")
}

func printRunner(w io.Writer, p runner.Presence, digest string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s owner=%s host=%s pid=%d version=%s started=%s beat=%s workers=%d busy=%d ended=%d types=%s domains=%s\n",
		jobqueue.EscapeName(p.ID), jobqueue.EscapeName(p.Owner), jobqueue.EscapeName(p.Host), p.PID, jobqueue.EscapeName(p.Version),
		stamp(p.Started), p.Beat.Round(time.Second), p.Workers, p.Busy, p.Ended, typesOf(p), domainsOf(p))
	var more []string
	if p.Process != "" {
		more = append(more, fmt.Sprintf("process=%s generation=%d", jobqueue.EscapeName(p.Process), p.Generation))
	}
	if p.Config != "" {
		more = append(more, "config="+jobqueue.EscapeName(p.Config))
	}
	if differs(p, digest) {
		more = append(more, "differs")
	}
	if len(more) > 0 {
		fmt.Fprintf(&b, "  %s\n", strings.Join(more, " "))
	}
	for _, j := range p.Running {
		fmt.Fprintf(&b, "  %s %s attempt=%d since=%s\n",
			jobqueue.Name{Domain: j.Domain, Type: j.Type}, jobqueue.EscapeName(j.ID), j.Attempt, stamp(j.Since))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func typesOf(p runner.Presence) string {
	if !p.Others {
		return few(p.Types, p.TypeCount)
	}
	if len(p.Except) > 0 {
		return "all-but:" + few(p.Except, len(p.Except))
	}
	return "all"
}

func domainsOf(p runner.Presence) string {
	if p.AllDomains {
		return "all"
	}
	return few(p.Domains, p.DomainCount)
}

// few joins the first names of a list of so many.
func few(list []string, count int) string {
	const most = 10
	names := make([]string, 0, most+1)
	for _, n := range list[:min(len(list), most)] {
		names = append(names, jobqueue.EscapeName(n))
	}
	if more := count - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and-%d-more", more))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}
