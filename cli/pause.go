package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// pause returns the command; that of ctl waits until the runners have heard of it.
func (e *env) pause(o *order) *cobra.Command {
	var p jobqueue.Pause
	var all bool
	c := &cobra.Command{
		Use:   "pause",
		Short: "Hold jobs back until they are resumed",
		Long: `Hold back the jobs of a type, of a domain, of one type on one domain, or all. Within
a second no runner starts to claim them any more; those that run go on. They can be
pushed, shown and changed as ever.`,
		Args: noArgs,
	}
	pauseFlags(c, &p.Domain, &p.Type, &all)
	c.Flags().StringVar(&p.Reason, "reason", "", "why, for those who wonder")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkTarget("pause", p, all); err != nil {
			return err
		}
		if p.Reason == "" {
			return usagef("--reason is missing: others will want to know why")
		}
		return e.run(false, func(ctx context.Context, s *session) error {
			if p.Domain != "" && !s.farm.Has(p.Domain) {
				return usagef("domain %q is not one of the farm's, which are %s", p.Domain, some(s.farm.Domains()))
			}
			if err := s.knownType(ctx, p.Type); err != nil {
				return err
			}
			p.By = whoami()
			if err := s.Pause(ctx, p); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s paused\n", target(p)); err != nil {
				return err
			}
			return o.confirm(ctx, c, s)
		})(c, args)
	}
	return c
}

// knownType returns an error for a type that nobody knows: neither the farm file, the program nor a runner names it, and
// nothing of it is in a store. To pause it would hold back nothing.
func (s *session) knownType(ctx context.Context, typ string) error {
	names := append(s.farm.Types(), s.reg.Types()...)
	if typ == "" || slices.Contains(names, typ) {
		return nil
	}
	all, err := runner.Runners(ctx, s.Group)
	if err != nil {
		return nil // What cannot be asked may know it.
	}
	for _, p := range all {
		if names = append(names, p.Types...); p.TypeCount > len(p.Types) {
			return nil
		}
	}
	for _, st := range s.Stores {
		counts, err := st.Backend.Counts(ctx)
		if err != nil {
			return nil
		}
		for _, c := range counts {
			if c.Total() > 0 {
				names = append(names, c.Type)
			}
		}
	}
	if slices.Contains(names, typ) {
		return nil
	}
	slices.Sort(names)
	return usagef("type %q is unknown: the farm file does not name it, no runner has it, and no store has jobs of it; known are %s", typ, some(slices.Compact(names)))
}

func (e *env) resume(o *order) *cobra.Command {
	var p jobqueue.Pause
	var all bool
	c := &cobra.Command{
		Use:   "resume",
		Short: "End a pause",
		Long: `End the pause of exactly this type, domain, type on domain, or all. Whatever else
is paused stays so, and is named.`,
		Args: noArgs,
	}
	pauseFlags(c, &p.Domain, &p.Type, &all)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkTarget("resume", p, all); err != nil {
			return err
		}
		return e.run(false, func(ctx context.Context, s *session) error {
			if err := s.endPause(ctx, c, p); err != nil {
				return err
			}
			return o.confirm(ctx, c, s)
		})(c, args)
	}
	return c
}

func (s *session) endPause(ctx context.Context, c *cobra.Command, p jobqueue.Pause) error {
	was, err := s.Resume(ctx, p.Domain, p.Type)
	if err != nil {
		return err
	}
	pauses, err := s.Pauses(ctx)
	if err != nil {
		return err
	}
	if was {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s resumed\n", target(p)); err != nil {
			return err
		}
	} else {
		err = fmt.Errorf("%s was not paused", target(p))
	}
	for _, q := range pauses {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "still paused: %s\n", pauseLine(q)); err != nil {
			return err
		}
	}
	return err
}

func pauseFlags(c *cobra.Command, domain, typ *string, all *bool) {
	c.Flags().Var(name(domain, "domain"), "domain", "this `domain`, also spelled --wiki")
	c.Flags().Var(name(typ, "type"), "type", "this `type`")
	c.Flags().BoolVar(all, "all", false, "every job of the farm")
}

func checkTarget(name string, p jobqueue.Pause, all bool) error {
	switch named := p.Domain != "" || p.Type != ""; {
	case !named && !all:
		return usagef("%s what? Give --type, --domain or both, or --all for every job of the farm", name)
	case named && all:
		return usagef("--all goes with no --type and no --domain")
	}
	return nil
}

// whoami returns the user and the host, for people to read.
func whoami() string {
	name := fmt.Sprint("uid ", os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// target names what a pause holds back.
func target(p jobqueue.Pause) string {
	domain, typ := jobqueue.EscapeName(p.Domain), jobqueue.EscapeName(p.Type)
	switch {
	case domain == "" && typ == "":
		return "everything"
	case typ == "":
		return "domain " + domain
	case domain == "":
		return "type " + typ
	}
	return "type " + typ + " on domain " + domain
}

func pauseLine(p jobqueue.Pause) string {
	return fmt.Sprintf("%s by %s since %s: %s", target(p), escape(p.By), stamp(p.At), escape(p.Reason))
}

// A shownPause is a pause in JSON.
type shownPause struct {
	Domain string    `json:"domain,omitempty"`
	Type   string    `json:"type,omitempty"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

func shownPauses(pauses []jobqueue.Pause) []shownPause {
	all := make([]shownPause, len(pauses))
	for i, p := range pauses {
		all[i] = shownPause(p)
	}
	return all
}

// pausing returns the pauses that hold back a queue.
func (s *session) pausing(ctx context.Context, n jobqueue.Name) ([]jobqueue.Pause, error) {
	pauses, err := s.Pauses(ctx)
	return slices.DeleteFunc(pauses, func(p jobqueue.Pause) bool { return !p.Covers(n) }), err
}

// pausedError says that a job is paused, nil if it is not.
func pausedError(label string, pauses []jobqueue.Pause) error {
	if len(pauses) == 0 {
		return nil
	}
	return fmt.Errorf("job %s is paused: %s", label, pauseLine(pauses[0]))
}
