package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue"
)

// pushFlags are the flags of push.
type pushFlags struct {
	spec     jobqueue.Spec
	params   string
	fromLine int
	event    string
	inline   bool
}

func (e *env) push() *cobra.Command {
	f := &pushFlags{fromLine: 1}
	c := &cobra.Command{
		Use:   "push",
		Short: "Push one job, or many from standard input",
		Long: `Push one job, which --type and the other flags describe; or, without --type, the jobs
on standard input, one JSON object a line:

  {"type": "null", "domain": "enwiki", "params": {"lives": 3}, "delay": "10s",
   "dedupe": true, "root": "page:17", "maxTries": 5}

Further keys are "releaseAt", "dedupeKey", "rootTime" and "headers"; "root" may also be an
object with "key" and "time". Params are kept byte for byte. What is
not given is left out: null is an error, and so is a key that appears twice.

With --event push the jobs that the farm file, or the program, makes of an event.

Jobs whose types the farm file does not have stored are run at once; so are all that are not
delayed with --inline. If one of them fails, so does the command.

A line that is wrong ends the push. The lines before it are stored then; the
message says which, and the --from-line to go on with.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(name(&f.spec.Type, "type"), "type", "the `type` of the job")
	fs.Var(name(&f.event, "event"), "event", "the `name` of an event, instead of --type")
	fs.BoolVar(&f.inline, "inline", false, "run the jobs at once instead of storing them")
	fs.Var(name(&f.spec.Domain, "domain"), "domain", "the `domain`, also spelled --wiki, of jobs that name none; without it the farm's only one")
	fs.StringVar(&f.params, "params", "", "the parameters, a `JSON` object")
	fs.Var(duration(&f.spec.Delay), "delay", "run the job no earlier than in so long")
	fs.BoolVar(&f.spec.Dedupe, "dedupe", false, "drop the job while an equal one waits")
	fs.Var(given(&f.spec.DedupeKey, "key"), "dedupe-key", "what makes jobs equal, instead of their parameters; implies --dedupe")
	fs.Var(given(&f.spec.Root.Key, "key"), "root", "the `key` of the edit or action that the job comes from")
	fs.Var(instant(&f.spec.Root.Time), "root-time", "when that was; without it now")
	fs.Var(whole(&f.spec.MaxTries, 1, math.MaxInt32), "max-tries", "how often to try the job")
	fs.Var(whole(&f.fromLine, 1, math.MaxInt), "from-line", "begin with this line of standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.check(c); err != nil {
			return err
		}
		return e.run(true, func(ctx context.Context, s *session) error {
			push := f.many
			if f.spec.Type != "" {
				push = f.one
			} else if f.event != "" {
				push = f.emit
			}
			if f.inline {
				ctx = jobqueue.WithSynchronous(ctx)
			}
			if err := push(ctx, c, s); err != nil {
				return err
			}
			return tellOfMemory(c, s)
		})(c, args)
	}
	return c
}

// tellOfMemory says which backends, or partitions of them, forget what was pushed when the command ends.
func tellOfMemory(c *cobra.Command, s *session) error {
	for _, st := range s.Stores {
		for _, what := range s.inMemory(st.Name) {
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s is in memory: what is stored there ends with this command\n", what); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses flags that do not go together.
func (f *pushFlags) check(c *cobra.Command) error {
	one, event := c.Flags().Changed("type"), c.Flags().Changed("event")
	if one && event {
		return usagef("give either --type or --event")
	}
	if !one && !event && isTerminal(c.InOrStdin()) {
		return usagef("give --type, or jobs as JSON lines on standard input")
	}
	var err error
	c.Flags().Visit(func(fl *pflag.Flag) {
		switch fl.Name {
		case "config", "domain", "type", "event", "inline":
		case "from-line":
			if one {
				err = usagef("--from-line is for jobs on standard input, it does not go with --type")
			} else if event {
				err = usagef("--from-line is for jobs on standard input, it does not go with --event")
			}
		case "params", "root", "root-time":
			if !one && !event {
				err = usagef("--%s needs --type or --event; for jobs on standard input write it into the lines", fl.Name)
			}
		default:
			if !one {
				err = usagef("--%s needs --type; for jobs on standard input write it into the lines", fl.Name)
			}
		}
	})
	return err
}

func (f *pushFlags) one(ctx context.Context, c *cobra.Command, s *session) error {
	var err error
	if f.spec.Domain, err = s.home(f.spec.Domain); err != nil {
		return err
	}
	if c.Flags().Changed("params") {
		f.spec.Params = json.RawMessage(f.params)
	}
	if err := s.check(f.spec); err != nil {
		return err
	}
	if err := unique(f.spec.Params); err != nil {
		return usagef("--params: %w", err)
	}
	pushed, err := s.Push(ctx, f.spec)
	if err != nil {
		return err
	}
	return told(c.OutOrStdout(), pushed[0], s.label(s.Backend(f.spec.Type), pushed[0].ID))
}

// many pushes the jobs on standard input.
func (f *pushFlags) many(ctx context.Context, c *cobra.Command, s *session) error {
	ctx, _, stop := onSignals(ctx, endSignals...)
	defer stop()
	p := &pusher{s: s, in: newIntake(f.fromLine), domain: f.spec.Domain}
	if isTerminal(c.ErrOrStderr()) {
		p.bar = newBar(c.ErrOrStderr(), -1, "pushed")
	}
	if f.spec.Domain != "" {
		if _, err := s.home(f.spec.Domain); err != nil {
			return err
		}
	}
	go p.in.read(c.InOrStdin(), p.spec)
	start := time.Now()
	err := p.run(ctx)
	if p.bar != nil {
		p.bar.Finish()
	}
	fmt.Fprintf(c.OutOrStdout(), "%s in %v\n", p.sum, time.Since(start).Round(time.Millisecond))
	return err
}
