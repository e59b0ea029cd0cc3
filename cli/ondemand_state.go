package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
)

func (e *env) onDemandStatus() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [DOMAIN…]",
		Short: "Show how it stands with domains that are run on demand",
		Long: `Show how it stands with domains that are run on demand, by default with all that the farm file names or that have been
run within 30 days: a line for each, with its status, when its last run began, and how the last one ended.`,
		Args: domainsAlone,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.run(false, func(ctx context.Context, s *session) error {
			states, err := s.states(ctx, args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), struct {
					Domains []ondemand.State `json:"domains"`
				}{states}, "  ")
			}
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, st := range states {
				fmt.Fprintf(t, "%s\t%s\tlast run: %s\t%s\n", jobqueue.EscapeName(st.Domain), st.Status, st.LastRun, escape(st.Outcome))
			}
			return t.Flush()
		})(c, args)
	}
	return c
}

func (e *env) onDemandExplain() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain [DOMAIN]",
		Short: "Say why a domain is run on demand now, or is not",
		Long: `Say why a domain, by default the farm's only one, is run on demand now, or is not, as far as its lease and the farm
file tell. What a web server alone knows, such as that it cannot start a process, its status page says.`,
		Args: atMostOne("domain"),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.run(false, func(ctx context.Context, s *session) error {
			domain, _, err := s.leaseOf(args)
			if err != nil {
				return err
			}
			states, err := s.states(ctx, []string{domain})
			if err != nil {
				return err
			}
			st := states[0]
			if asJSON {
				return printJSON(c.OutOrStdout(), st, "  ")
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s\nlast run: %s\n", jobqueue.EscapeName(domain), escape(st.Why), st.LastRun)
			return err
		})(c, args)
	}
	return c
}

func (e *env) onDemandAudit() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "audit [DOMAIN…]",
		Short: "Check what the leases say of the last runs on demand",
		Long: `Check what the leases say of the last runs of domains, by default of all that have been run within 30 days. No run went on
when the next had begun; none began within the interval of the one before; no one was waited for for longer
than the interval, the TTL and 1 s; nobody has died on deck or at work without a run since.
Of each domain it knows the last runs, as many as the farm file has kept, and not those of --nolease.

Exit status: 0 if all that holds, 1 if not.`,
		Args: domainsAlone,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.run(false, func(ctx context.Context, s *session) error {
			leases, records, err := s.records(ctx, args)
			if err != nil {
				return err
			}
			return printAudit(c.OutOrStdout(), ondemand.Audit(records, leases.Rules), leases.Rules, asJSON)
		})(c, args)
	}
	return c
}

func printAudit(out io.Writer, r ondemand.Report, u lease.Rules, asJSON bool) error {
	broken, why := r.Broken(u), []string{}
	if broken != nil {
		why = lines(broken)
	}
	var err error
	if asJSON {
		err = printJSON(out, struct {
			Domains  int      `json:"domains"`
			Runs     int      `json:"runs"`
			Crashed  int      `json:"crashed"`
			Overlaps int      `json:"overlaps"`
			MinGap   float64  `json:"minGap"`  // seconds
			MaxWait  float64  `json:"maxWait"` // seconds
			Lost     int      `json:"lost"`
			Broken   []string `json:"broken"` // rules that do not hold
		}{r.Domains, r.Runs, r.Crashed, r.Overlaps, r.MinGap.Seconds(), r.MaxWait.Seconds(), r.Lost, why}, "  ")
	} else {
		_, err = fmt.Fprintln(out, r)
	}
	if err == nil && broken != nil {
		err = &statusError{exitFailed, broken}
	}
	return err
}

// domainsAlone lets a command have any number of domains.
func domainsAlone(_ *cobra.Command, args []string) error {
	return (&onDemandFlags{domains: args}).check()
}

// records returns the leases of the farm, and the records of domains; if none are named, of all that have one.
func (s *session) records(ctx context.Context, domains []string) (*lease.Store, map[string]lease.Record, error) {
	leases, err := s.farm.Leases(s.Queues)
	if err != nil {
		return nil, nil, err
	}
	if len(domains) == 0 {
		records, err := leases.All(ctx)
		return leases, records, err
	}
	records := map[string]lease.Record{}
	for _, d := range domains {
		if _, err := s.home(d); err != nil {
			return nil, nil, err
		}
		if records[d], err = leases.Read(ctx, d); err != nil {
			return nil, nil, err
		}
	}
	return leases, records, nil
}

// states returns how it stands with domains; if none are named, with all that are known.
func (s *session) states(ctx context.Context, domains []string) ([]ondemand.State, error) {
	leases, records, err := s.records(ctx, domains)
	if err != nil {
		return nil, err
	}
	if len(domains) == 0 {
		for _, d := range s.farm.Domains() {
			if _, known := records[d]; !known {
				records[d] = lease.Record{} // that of a domain without a run
			}
		}
	}
	states, now := make([]ondemand.State, 0, len(records)), time.Now()
	for _, d := range slices.Sorted(maps.Keys(records)) {
		states = append(states, ondemand.Explain(d, records[d], s.farm.OnDemandSwitch(d), leases.Rules, now))
	}
	return states, nil
}
