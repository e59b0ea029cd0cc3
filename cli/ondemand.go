package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

func (e *env) onDemand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ondemand",
		Short: "Run domains as a web server does after its replies",
		Run:   func(*cobra.Command, []string) {},
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unknown command %q of ondemand, it must be one of %s", args[0], commandNames(c))
		}
		return usagef("ondemand what? It must be one of %s", commandNames(c))
	}
	c.AddCommand(e.onDemandRun(), e.onDemandStatus(), e.onDemandExplain(), e.onDemandAudit())
	return c
}

// onDemandFlags are the flags of ondemand run.
type onDemandFlags struct {
	domains            []string
	all                bool
	poll, min          time.Duration
	noDelay, noLease   bool
	debug, trace       bool
	logFile, logFormat string
	change             func(*runner.Options) // App.Options
}

const (
	atOnce     = 4 // domains that are run at the same time
	defaultMin = time.Hour
)

func (e *env) onDemandRun() *cobra.Command {
	f := &onDemandFlags{change: e.app.Options, min: defaultMin}
	c := &cobra.Command{
		Use:   "run [DOMAIN…]",
		Short: "Run domains once, each when it is due, or again and again",
		Long: `Run the jobs of a domain under its lease: at once if that is due; else when the interval is
over or the run at work ends, unless somebody else waits for that already. Of several domains,
with --all and with --poll, what is not due is not waited for. Without a domain it is the farm's only one.
It runs domains that are disabled, too; one that is read-only is left alone.

With --poll it goes on for ever: in each round it runs the domains that have ready jobs, and those
it last ran --min ago; in the first round all.

SIGTERM or SIGINT gives up the place on deck, and lets running jobs finish for 30 s; a second one
interrupts them.

Exit status: 0 if all is well, 1 if a job or a run failed, 2 for a mistake in the flags or the farm
file, 3 if a store is away.`,
		Args: func(_ *cobra.Command, args []string) error {
			f.domains = args
			return f.check()
		},
	}
	fs := c.Flags()
	fs.BoolVar(&f.all, "all", false, "run every domain of the farm or, if it names none, every one that has jobs")
	fs.Var(everySoOften(&f.poll), "poll", "go on for ever, with a round each such length of time")
	fs.Var(duration(&f.min), "min", "with --poll: run a domain that has no ready jobs when this has passed, with 0 never")
	fs.BoolVar(&f.noDelay, "nodelay", false, "do not wait for what is not due")
	fs.BoolVar(&f.noLease, "nolease", false, "run beside whatever else runs, also if it is not due; implies --nodelay")
	fs.BoolVar(&f.debug, "debug", false, "log more, and runs that did nothing")
	fs.BoolVar(&f.trace, "trace", false, "print on standard error what becomes of each run")
	fs.Var(given(&f.logFile, "file"), "logfile", "append a line for each run to this `file`; without it to that of the farm file")
	fs.Var(oneOf(&f.logFormat, "text", "json"), "log-format", "what the lines of the log are; without it as the farm file says")
	c.RunE = func(c *cobra.Command, args []string) error {
		if c.Flags().Changed("min") && f.poll == 0 {
			return usagef("--min goes with --poll alone")
		}
		return e.run(true, func(ctx context.Context, s *session) error { return f.run(ctx, c, s) })(c, args)
	}
	return c
}

// everySoOften is a flag for the time between rounds.
func everySoOften(p *time.Duration) *flag {
	return &flag{kind: "duration", read: func(s string) error {
		if err := duration(p).Set(s); err != nil || *p < time.Second {
			return errors.New("it must be a length of time from 1s on")
		}
		return nil
	}}
}

func (f *onDemandFlags) check() error {
	for i, d := range f.domains {
		switch {
		case name(new(string), "domain").Set(d) != nil:
			return usagef("the domain %q must be 1 to 255 bytes of UTF-8 without control characters", d)
		case slices.Contains(f.domains[:i], d):
			return usagef("domain %q is given twice", d)
		}
	}
	if f.all && len(f.domains) > 0 {
		return usagef("give either domains or --all")
	}
	return nil
}

func (f *onDemandFlags) run(ctx context.Context, c *cobra.Command, s *session) error {
	// What may not be written is left alone, and said of each domain.
	if err := (&runFlags{}).reach(ctx, s); err != nil && !errors.Is(err, jobqueue.ErrReadOnly) {
		return err
	}
	domains := f.domains
	if len(domains) == 0 && !f.all {
		one, err := s.home("")
		if err != nil {
			return usagef("run which domain? Give one or more of the farm's, %s, or --all", some(s.farm.Domains()))
		}
		domains = []string{one}
	}
	for _, d := range domains {
		if _, err := s.home(d); err != nil {
			return err
		}
	}
	ctx, abort, stop := onSignals(ctx, endSignals...)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := f.start(s, c, abort, cancel)
	if err != nil {
		return err
	}
	err = w.rounds(ctx, domains)
	return errors.Join(err, w.Close(context.WithoutCancel(ctx)), w.verdict())
}
