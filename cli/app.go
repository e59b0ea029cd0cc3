package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/runner"
	"github.com/wikifarm/jobqueue/service"
)

// An App is a program that has the commands. The zero App has no jobs but
// those of the farm file and null.
type App struct {
	// Register adds the program's own job types to reg. Jobs that push
	// others push them to g. It is called by the commands that need it, once, and by runjobs --wait again
	// whenever the farm file has changed, with a new reg and g.
	Register func(reg *jobqueue.Registry, g *jobqueue.Group) error

	// Services adds the program's own services, which runjobs --wait runs beside the jobs. It is called once; group returns
	// the group of the farm file as it is now, which a service asks for each time it pushes something.
	Services func(set *service.Set, group func() *jobqueue.Group)

	// Options may change how runjobs runs the jobs, after the flags have been
	// read: a Middleware, say. OnEnd is taken by the command; one that replaces
	// it calls it. Of what it sets, run-one uses the Middleware, and jobs that run where they
	// are pushed what [runner.Inline] says; for these it is called once each time a farm is opened.
	Options func(*runner.Options)

	// Trace has hooks for the groups of all commands, as to make spans of pushes; it may be nil.
	Trace *jobqueue.Trace
}

// An env is what the commands of one command line share.
type env struct {
	app     App
	config  string  // the farm file; "" for none
	exports exports // of runjobs
	advised bool    // whether the command says what of a store may lose jobs
	handed  int     // the file with the last good farm, of a supervisor; 0: none

	fits func(*config.Farm) error // whether a farm has what the flags name; nil: they name nothing
}

// Main runs the command line of a program: the subcommands are runjobs, nextjobdb and
// those of jobctl. It does not return.
func Main(app App) {
	name := filepath.Base(os.Args[0])
	e := &env{app: app}
	os.Exit(Execute(e.root(name, "Push, run and look after jobs", append(e.jobctl(), e.runJobs(), e.nextJobDB())...)))
}

// RunJobs returns the command runjobs.
func RunJobs(app App) *cobra.Command {
	e := &env{app: app}
	return e.standalone(e.runJobs())
}

// JobCtl returns the command jobctl with its subcommands.
func JobCtl(app App) *cobra.Command {
	e := &env{app: app}
	return e.root("jobctl", "Push, show and look after jobs", e.jobctl()...)
}

func (e *env) jobctl() []*cobra.Command {
	return []*cobra.Command{
		e.push(), e.show(), e.list(), e.delete(), e.requeue(), e.runOne(), e.pause(nil), e.resume(nil), e.ctl(), e.runners(), e.why(),
		e.check(), e.onDemand(), e.lease(), e.snmpPass(), e.top(), e.copy(), e.configure(), e.migrate(), e.simulate(),
	}
}

func (e *env) root(name, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   name,
		Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q, the commands are %s", args[0], commandNames(c))
			}
			return usagef("which command? They are %s", commandNames(c))
		},
		Run: func(*cobra.Command, []string) {},
	}
	c.AddCommand(commands...)
	return e.standalone(c)
}

func commandNames(c *cobra.Command) string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return enumerate(names)
}

// standalone makes c the top of a command line.
func (e *env) standalone(c *cobra.Command) *cobra.Command {
	c.SilenceErrors, c.SilenceUsage = true, true
	c.PersistentFlags().Var(given(&e.config, "file"), "config", "farm `file`; without one the jobs are in ./"+defaultFile)
	c.Version = version()
	c.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	c.SetGlobalNormalizationFunc(normalize)
	c.SetFlagErrorFunc(flagError)
	onlyOnce(c)
	return c
}
