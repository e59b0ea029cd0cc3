package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/control"
	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// An order is what ctl is asked for.
type order struct {
	to      []string
	timeout time.Duration
	cmd     control.Command
}

func (e *env) ctl() *cobra.Command {
	o := &order{timeout: 30 * time.Second}
	c := &cobra.Command{
		Use:   "ctl",
		Short: "Give a command to the runners",
		Long: `Give a command to every runjobs --wait of the farm, or to those of --to, and wait for their answers.
They look for commands once a second, wherever they run.

Exit status: 0 if all have obeyed, or for workers all that run the group, 1 if one refused or did
not answer within --timeout or is gone, or there is none. Who was told to stop or restart, and has, is not gone.`,
		Run: func(*cobra.Command, []string) {},
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unknown command %q of ctl, it must be one of %s", args[0], commandNames(c))
		}
		return usagef("ctl what? It must be one of %s", commandNames(c))
	}
	c.AddCommand(
		e.order(o, daemon.VerbReload, "", "Read the farm file anew, also if it is unchanged"),
		e.order(o, daemon.VerbUpdate, "DOMAIN", "Read the farm file anew, and say whether a domain is one of the farm's"),
		e.order(o, daemon.VerbStop, "", "End with the exit status 100, that is, not to be started again"),
		e.order(o, daemon.VerbRestart, "", "End with the exit status 101, that is, to be started again"),
		e.order(o, daemon.VerbWorkers, "[GROUP] N", "Run so many jobs of a group at once, or of all without groups"),
		e.order(o, daemon.VerbLogLevel, "LEVEL", "Log what is at least debug, info, warn or error"),
		e.pause(o), e.resume(o),
	)
	c.PersistentFlags().Var(each(&o.to, name, "runner"), "to", "only this `runner`, its owner or process as jobctl runners shows them; may be repeated")
	c.PersistentFlags().Var(duration(&o.timeout), "timeout", "how long to wait for answers")
	return c
}

// order returns a command of ctl.
func (e *env) order(o *order, verb, args, short string) *cobra.Command {
	c := &cobra.Command{Use: strings.TrimSpace(verb + " " + args), Short: short}
	c.Args = func(_ *cobra.Command, given []string) error {
		switch words := strings.Fields(args); {
		case len(given) == len(words):
			o.cmd.Args = given
		case verb == daemon.VerbWorkers && len(given) == 1:
			o.cmd.Args = []string{"", given[0]}
		case args == "":
			return noArgs(c, given)
		default:
			return usagef("%s takes %s", verb, args)
		}
		return o.check(verb)
	}
	if verb == daemon.VerbWorkers {
		c.SetFlagErrorFunc(negative)
	}
	c.RunE = e.run(false, func(ctx context.Context, s *session) error {
		o.cmd.Verb = verb
		return o.give(ctx, c.OutOrStdout(), s)
	})
	return c
}

// check finds mistakes before anybody is told.
func (o *order) check(verb string) error {
	switch verb {
	case daemon.VerbWorkers:
		if n, err := strconv.Atoi(o.cmd.Args[1]); err != nil || n < 1 || n > daemon.MaxWorkers {
			return notWorkers(o.cmd.Args[1])
		}
	case daemon.VerbLogLevel:
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, o.cmd.Args[0]) {
			return usagef("the level must be debug, info, warn or error, not %q", o.cmd.Args[0])
		}
	}
	return nil
}

func notWorkers(count string) error {
	return usagef("the number of workers must be 1 to %d, not %q", daemon.MaxWorkers, count)
}

// negative tells a number of workers below 0 from a flag that there is not.
func negative(c *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if _, bad := strconv.Atoi(e.GetSpecifiedShortnames()); bad == nil {
			return notWorkers("-" + e.GetSpecifiedShortnames())
		}
	}
	return flagError(c, err)
}

// answerTime is the time between two looks for answers.
const answerTime = 100 * time.Millisecond

// goneLooks is how many looks for answers there are for one at who is alive.
const goneLooks = 10

// give gives the command to those whom it is for, and prints what they answer.
func (o *order) give(ctx context.Context, out io.Writer, s *session) error {
	processes, deaf, err := o.hearers(ctx, s)
	if err != nil {
		return err
	}
	for _, owner := range deaf {
		if _, err := fmt.Fprintf(out, "%s takes no commands\n", owner); err != nil {
			return err
		}
	}
	if len(processes) == 0 {
		return fmt.Errorf("no runner is alive that takes commands")
	}
	o.cmd.By = whoami()
	for id := range processes {
		o.cmd.To = append(o.cmd.To, id)
	}
	slices.Sort(o.cmd.To)
	id, err := control.Send(ctx, s.Control, o.cmd)
	if err != nil {
		return err
	}
	answers, gone, err := o.await(ctx, s, id)
	if err != nil {
		return err
	}
	failed, obeyed := len(deaf), 0
	for _, a := range answers {
		delete(processes, a.Process)
		text := a.Text
		switch {
		case a.NotMine:
			text = a.Err
		case a.Err != "":
			failed++
			text = "refused: " + a.Err
		default:
			obeyed++
		}
		if _, err := fmt.Fprintf(out, "%s %s\n", jobqueue.EscapeName(a.Owner), escape(text)); err != nil {
			return err
		}
	}
	why := fmt.Sprintf("did not answer within %v", o.timeout)
	if gone {
		why = "is gone"
	}
	if gone && (o.cmd.Verb == daemon.VerbStop || o.cmd.Verb == daemon.VerbRestart) {
		// Under a supervisor all end with the first.
		why, obeyed = "has ended", obeyed+len(processes)
	} else {
		failed += len(processes)
	}
	for _, owner := range processes {
		if _, err := fmt.Fprintf(out, "%s %s\n", owner, why); err != nil {
			return err
		}
	}
	if failed > 0 || obeyed == 0 {
		return &statusError{status: exitFailed}
	}
	return nil
}

// confirm waits until the runners have heard of a pause; without an order, nobody waits.
func (o *order) confirm(ctx context.Context, c *cobra.Command, s *session) error {
	if o == nil {
		return nil
	}
	o.cmd.Verb = daemon.VerbPauses
	return o.give(ctx, c.OutOrStdout(), s)
}

// hearers returns the processes that the command is for, by id, with their owners, and those that take no commands.
func (o *order) hearers(ctx context.Context, s *session) (processes map[string]string, deaf []string, err error) {
	all, err := runner.Runners(ctx, s.Group)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, &statusError{exitUsage, err}
	}
	if err != nil {
		return nil, nil, err
	}
	processes = map[string]string{}
	found := map[string]bool{}
	for _, p := range all {
		wanted := len(o.to) == 0
		for _, to := range o.to {
			if to == p.Owner || to == p.Process {
				wanted, found[to] = true, true
			}
		}
		switch owner := jobqueue.EscapeName(p.Owner); {
		case !wanted:
		case p.Process == "":
			deaf = append(deaf, owner)
		default:
			processes[p.Process] = owner
		}
	}
	for _, to := range o.to {
		if !found[to] {
			return nil, nil, fmt.Errorf("no runner %q is alive; jobctl runners lists them", to)
		}
	}
	return processes, deaf, nil
}

// await returns the answers, once all are there, the time is over, or those who have not answered are gone.
func (o *order) await(ctx context.Context, s *session, id string) (answers []control.Answer, gone bool, err error) {
	over := time.After(o.timeout)
	for n := 1; ; n++ {
		answers, err = control.Answers(ctx, s.Control, id)
		if err == nil && len(answers) < len(o.cmd.To) && n%goneLooks == 0 {
			gone, err = o.gone(ctx, s, answers)
		}
		if err != nil || gone || len(answers) >= len(o.cmd.To) {
			return answers, gone, err
		}
		select {
		case <-time.After(answerTime):
		case <-over:
			return answers, false, nil
		case <-ctx.Done():
			return answers, false, nil
		}
	}
}

// gone reports whether none of those who have not answered says any more that it is alive.
func (o *order) gone(ctx context.Context, s *session, answers []control.Answer) (bool, error) {
	alive, err := runner.Runners(ctx, s.Group)
	return !slices.ContainsFunc(alive, func(p runner.Presence) bool {
		return slices.Contains(o.cmd.To, p.Process) && !slices.ContainsFunc(answers, func(a control.Answer) bool { return a.Process == p.Process })
	}), err
}
