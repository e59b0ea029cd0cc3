package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/supervisor"
)

// A supervision is the command that keeps processes of runjobs.
type supervision struct {
	e         *env
	processes int // 0: not given
	group     string
	domain    string
	workers   int          // --procs; 0: not given
	words     []string     // what follows the executable's name to have it run jobs
	self      string       // the path of the executable
	passed    []string     // flags for the processes
	good      *config.Farm // the last one that could be used
	log       *slog.Logger
}

// commonProcesses is how many processes there are unless something else is said.
const commonProcesses = 2

// supervise returns the command supervise, which takes the flags of runjobs and passes them on.
func (e *env) supervise(run *cobra.Command) *cobra.Command {
	v := &supervision{e: e}
	c := &cobra.Command{
		Use:   "supervise",
		Short: "Keep processes that run the jobs that are ready",
		Long: `Keep processes of runjobs --wait, which get the flags given here. One that ends is
started again: at once if a limit was reached, else after a second, and later the more
often it ends soon. When this process ends, in whatever way, the others do too.

The workers of a group of types are divided among the processes that run it: in all there
are as many as the farm file says. A group with processes of its own there has that
many; the others share those of --processes.

The first SIGTERM or SIGINT has all finish, for as long as --grace says, and the second one
interrupts the jobs. SIGHUP has the farm file read anew.

When the farm file becomes one that cannot be used, processes go on, and are started again, with what it said before.

Exit status: 0 after a signal, 1 for a pid file that another process has, 2 for a mistake in the
flags or the farm file at the start, 100 when all processes were told to stop. When one was told to
restart, or there is a newer release, this program is executed anew once all have ended.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(processes(&v.processes), "processes", "keep so many `processes`, or auto for one for each CPU; without it 2")
	run.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "wait" && f.Name != "result" && !f.Hidden {
			fs.AddFlag(f)
		}
	})
	c.RunE = func(c *cobra.Command, _ []string) error { return v.run(c) }
	return c
}

// processes is a flag for a number of processes.
func processes(p *int) *flag {
	return &flag{kind: "N|auto", read: func(s string) error {
		if s == "auto" {
			*p = runtime.GOMAXPROCS(0)
			return nil
		}
		if err := whole(p, 1, 1000).Set(s); err != nil {
			return fmt.Errorf("it must be a whole number from 1 to 1000, or auto")
		}
		return nil
	}}
}

func (v *supervision) run(c *cobra.Command) error {
	v.log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{ReplaceAttr: readable})).With("supervisor", os.Getpid())
	v.words = strings.Fields(c.Parent().CommandPath())[1:]
	v.self = selfPath()
	var grace time.Duration
	soft, pid, addr := "", "", ""
	c.Flags().VisitAll(func(f *pflag.Flag) {
		switch text := f.Value.String(); f.Name {
		case "grace":
			grace, _ = config.ParseDuration(text)
		case "soft-memory":
			soft = text
		case "pid-file":
			pid = text
		case "http":
			addr = text
		case "group":
			v.group = text
		case "domain":
			v.domain = text
		case "procs":
			v.workers, _ = strconv.Atoi(text)
		}
		if f.Changed && !slices.Contains([]string{"config", "processes", "pid-file", "group", "help"}, f.Name) {
			v.passed = append(v.passed, again(f)...)
		}
	})
	if pid != "" {
		unlock, err := lockPID(pid)
		if err != nil {
			return err
		}
		defer unlock()
	}
	children, err := v.plan()
	if err != nil {
		return err
	}
	if addr != "" && len(children) > 1 {
		if _, low, high, err := ports(addr); err != nil || low == high && low > 0 {
			return usagef("--http %s: there are %d processes, give ports for all of them, such as :9199-9299", addr, len(children))
		}
	}
	if soft != "" {
		if err := checkSoftMemory(soft); err != nil {
			return err
		}
	}
	n := &notifier{log: v.log}
	replan, rest := v.watchFarm()
	defer rest()
	ctx, abort, stop := onSignals(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	order, err := supervisor.Run(ctx, supervisor.Options{
		Plan: v.plan, Replan: replan, Reload: hangups, Logger: v.log, Watch: n.tell, Finish: finishSignal,
		// After that the jobs are interrupted, and stores that are away get as long again to take results.
		Grace: grace + max(grace, 10*time.Second) + 20*time.Second,
		Abort: abort, AbortGrace: 25 * time.Second,
	})
	if refusal, ok := errors.AsType[*supervisor.RefusalError](err); ok {
		var mistakes []error
		for line := range strings.Lines(refusal.Text) {
			mistakes = append(mistakes, errors.New(strings.TrimSuffix(line, "\n")))
		}
		return &statusError{exitUsage, errors.Join(mistakes...)}
	}
	if err != nil {
		return err
	}
	switch order {
	case supervisor.Stop:
		v.log.Info("all processes were told to stop")
		return &statusError{status: supervisor.ExitStop}
	case supervisor.Restart:
		v.log.Info("the program is executed anew", "path", v.self)
		return execSelf(v.self)
	}
	return nil
}

// again returns what gives a flag to another process.
func again(f *pflag.Flag) (args []string) {
	if own, ok := f.Value.(*flag); ok && own.repeats {
		for _, text := range own.all {
			args = append(args, "--"+f.Name+"="+text)
		}
		return args
	}
	return []string{"--" + f.Name + "=" + f.Value.String()}
}

// watchFarm returns a channel that receives when the farm file has changed.
func (v *supervision) watchFarm() (changed <-chan struct{}, stop func()) {
	c, done := make(chan struct{}, 1), make(chan struct{})
	if v.e.config == "" {
		return c, func() {}
	}
	last, _ := os.Stat(v.e.config)
	go func() {
		tick := time.NewTicker(releaseTime)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if now, err := os.Stat(v.e.config); err == nil && !sameRelease(now, last) {
				last = now
				select {
				case c <- struct{}{}:
				default:
				}
			}
		}
	}()
	return c, func() { close(done) }
}
