package cli

import (
	"context"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/daemon"
	"github.com/wikifarm/jobqueue/runner"
)

// runFlags are the flags of runjobs.
type runFlags struct {
	domain, result string
	o              runner.Options
	change         func(*runner.Options) // App.Options
	process        process
}

func (e *env) runJobs() *cobra.Command {
	f := &runFlags{o: runner.Options{Grace: 30 * time.Second}, change: e.app.Options}
	c := &cobra.Command{
		Use:   "runjobs",
		Short: "Run the jobs that are ready",
		Long: `Run jobs until none is ready, or with --wait for ever.

The first SIGTERM or SIGINT stops claiming, gives jobs that have not started back,
and lets running ones finish for as long as --grace says. A second one interrupts
them; they run again later.

With --wait the farm file holds as it is: a second after it has changed jobs run with what
it says then, and those that run finish with what it said before. SIGHUP has it read
anew, unless standard input is a terminal; so has jobctl ctl.

Exit status: 0 if all is well, 1 if in a run without --wait a job failed or a handler
is at fault, 2 for a mistake in the flags or the farm file, 3 if a store is away or
read-only, 100 after jobctl ctl stop and 101 after jobctl ctl restart.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(name(&f.domain, "domain"), "domain", "serve only this `domain`, also spelled --wiki; without it all of the farm")
	fs.Var(each(&f.o.Types, name, "type"), "type", "run only this `type`, also if it is excluded; may be repeated")
	fs.Var(whole(&f.o.MaxJobs, 1, math.MaxInt), "maxjobs", "stop after so many jobs")
	fs.Var(seconds(&f.o.MaxTime), "maxtime", "stop after so many seconds, also while idle")
	fs.Var(whole(&f.o.Workers, 1, 1000), "procs", "run so many jobs at once; without it four for each CPU")
	fs.BoolVar(&f.o.NoThrottle, "nothrottle", false, "ignore the rates of the types")
	fs.BoolVar(&f.o.Wait, "wait", false, "wait for more jobs instead of ending when none is ready")
	fs.Var(size(&f.o.MemoryLimit), "memory-limit", "stop when the process uses more memory than this, such as 150M")
	fs.Var(duration(&f.o.Grace), "grace", "how long running jobs may take to finish after a signal")
	fs.Var(oneOf(&f.result, "json"), "result", "print one JSON document instead of lines")
	e.exports.flags(fs)
	f.process.add(e, fs)
	run := e.run(true, func(ctx context.Context, s *session) error { return f.run(ctx, e, c, s) })
	c.RunE = f.process.around(func(c *cobra.Command, args []string) error {
		e.fits = f.fits
		return run(c, args)
	})
	c.AddCommand(e.supervise(c))
	return c
}

func (f *runFlags) run(ctx context.Context, e *env, c *cobra.Command, s *session) error {
	ends, hangups := endSignals, make(chan os.Signal, 1)
	if f.o.Wait && !isTerminal(c.InOrStdin()) {
		ends = []os.Signal{os.Interrupt, syscall.SIGTERM}
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
	ctx, abort, stop := onSignals(ctx, ends...)
	defer stop()
	ctx, abort, untie := f.process.tie(ctx, abort)
	defer untie()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &reported{reporter: f.reporter(ctx, c.OutOrStdout(), s, cancel), abort: abort}
	e.exports.exhausted = r.ended
	o, err := f.options(s, r)
	if err != nil {
		return err
	}
	quiet, err := e.exports.start(ctx, s.log)
	if err != nil {
		return err
	}
	defer quiet()
	var res *runner.Result
	order := daemon.NoOrder
	if f.o.Wait {
		res, order = e.follow(ctx, f, s, r, hangups)
	} else {
		e.exports.watch(s, o)
		// The error is in the result too.
		res, _ = runner.Run(ctx, s.Group, s.reg, o)
	}
	if err := r.close(res); err != nil {
		return err
	}
	switch order {
	case daemon.Stop:
		return &statusError{status: exitStop}
	case daemon.Restart:
		return &statusError{status: exitRestart}
	}
	if err := f.process.verdict(res); err != nil {
		return err
	}
	return f.verdict(res)
}

// fits returns an error unless a farm has the domain and the group that the flags name.
func (f *runFlags) fits(farm *config.Farm) error {
	if f.domain != "" {
		if _, err := (&session{farm: farm}).home(f.domain); err != nil {
			return err
		}
	}
	return f.process.checkGroup(farm)
}

// A reported is what all runs of a command have in common.
type reported struct {
	reporter
	abort <-chan struct{}
}

// options says how to run the jobs of a session.
func (f *runFlags) options(s *session, r *reported) (*runner.Options, error) {
	if err := f.reach(context.Background(), s); err != nil {
		return nil, err
	}
	o := f.o
	o.Logger, o.Label, o.Abort, o.Config = s.log, s.claimed, r.abort, s.farm.Digest()
	o.OnEnd = func(e runner.Ended) { r.ended(s, e) }
	s.farm.Share(&o)
	if s.farm.Domains() != nil {
		o.Domains = s.farm.Domains
	}
	f.process.share(s.farm, &o)
	if f.domain != "" {
		o.Domains = func() []string { return []string{f.domain} }
	}
	if o.Grace == 0 {
		o.Grace = -1
	}
	_, o.Unlogged = r.reporter.(*printer)
	if f.change != nil {
		f.change(&o)
	}
	return &o, nil
}

// echoTime is for how long the same signal is not a second one: timeout(1) sends its
// signal to the process and then to the process group.
const echoTime = 250 * time.Millisecond

// endSignals ask a command to end.
var endSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// onSignals returns a context that the first of some signals ends, and a
// channel that the second one closes. A third one ends the process.
// A pipe that nobody reads any more is an error of the write, not the end of the process.
func onSignals(parent context.Context, ends ...os.Signal) (ctx context.Context, abort <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	second, done := make(chan struct{}), make(chan struct{})
	signal.Notify(signals, ends...)
	// Ignoring it instead would be inherited by the programs that jobs are.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go func() {
		var first os.Signal
		select {
		case first = <-signals:
			cancel()
		case <-done:
			return
		}
		for at := time.Now(); ; {
			select {
			case again := <-signals:
				if again == first && time.Since(at) < echoTime {
					continue
				}
				signal.Stop(signals)
				close(second)
			case <-done:
			}
			return
		}
	}()
	return ctx, second, func() {
		signal.Stop(pipes)
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// verdict says with which status the command ends.
func (f *runFlags) verdict(res *runner.Result) error {
	n := res.Counts
	switch {
	case res.Reached == runner.NonePossible:
		return &statusError{exitUsage, res.Err}
	case res.Reached == runner.ReadOnly, res.Reached == runner.Exception:
		return openStatus(res.Err)
	case res.Reached == runner.HandlerFault, res.Reached == runner.Stuck:
		return &statusError{exitFailed, res.Err}
	case f.o.Wait:
		return nil
	case n.Unsettled > 0:
		return &statusError{status: exitStore}
	case n.Failed > 0 || n.Abandoned > 0 || len(res.Stuck) > 0:
		return &statusError{status: exitFailed}
	}
	return nil
}
