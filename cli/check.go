package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
)

// A severity is the exit status of check, as monitoring plugins have it.
type severity int

const (
	fine severity = iota
	warning
	critical
	unknown
)

// byWorst are the severities, the worst first: what is known to be bad goes before what is not known.
var byWorst = []severity{critical, unknown, warning, fine}

func (s severity) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s] }

// check is what check is asked for, and finds.
type check struct {
	maxAge       time.Duration
	maxIdle      time.Duration // 0: not looked at
	maxAbandoned int           // -1: not looked at
	maxGrowth    int
	noCount      bool
	minFree      int64
	noRunners    bool
	asJSON       bool
	timeout      time.Duration

	looked   bool // at all queues that have work
	problems []problem
	perf     []string
	paused   int // queues that have work and are paused
	closed   int // queues that have work and whose type is not enabled on their domain
	overruns int // runs on demand that go on for longer than they should
}

// A problem is one thing that is not as it should be.
type problem struct {
	Status string `json:"status"`
	Text   string `json:"text"`
	level  severity
}

func (k *check) add(level severity, format string, args ...any) {
	k.problems = append(k.problems, problem{level.String(), fmt.Sprintf(format, args...), level})
}

// newCheck returns a check without flags.
func newCheck() *check {
	return &check{
		maxAge: 10 * time.Minute, maxIdle: 10 * time.Minute, maxAbandoned: -1, maxGrowth: 100, minFree: 64 << 20, timeout: 10 * time.Second,
	}
}

func (e *env) check() *cobra.Command {
	k := newCheck()
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the farm, for a monitoring system",
		Long: `Check the farm in the manner of a Nagios plugin: one line, what was measured after
a |, and the exit status 0 if all is well, 1 for a warning, 2 if it is critical, and
3 if that cannot be told, as when a store is away or a flag is wrong. Of several the worst
counts: critical before what cannot be told, and that before a warning.

Critical: the oldest ready job is older than --max-age; jobs have been ready for --max-idle
and runners got nothing done; no live runner runs a type or domain that has ready jobs.
Warning: a type that has ready jobs has no handler, here or in a live runner; ready jobs
are in a backend their type is no longer routed to; within an hour there are --max-growth more
abandoned jobs, or more than --max-abandoned in all; the disk of a store is nearly full;
a run on demand goes on for 30 s longer than the interval.
What is paused, or not enabled on its domain, is left alone and counted.

To see growth, it notes the number of abandoned jobs in the default backend.`,
		Args: func(c *cobra.Command, args []string) error { return undecided(noArgs(c, args)) },
	}
	fs := c.Flags()
	fs.Var(duration(&k.maxAge), "max-age", "how long the oldest ready job may have waited; without it 10m")
	fs.Var(duration(&k.maxIdle), "max-idle", "how long runners may get nothing done while jobs are ready; without it 10m, with 0 for ever")
	fs.Var(whole(&k.maxGrowth, 0, math.MaxInt), "max-growth", "by how many the abandoned jobs may become more within an hour; without it 100")
	fs.Var(whole(&k.maxAbandoned, 0, math.MaxInt), "max-abandoned", "how many abandoned jobs there may be; without it any number")
	fs.BoolVar(&k.noCount, "no-count", false, "do not count abandoned jobs, which takes time in a very large store")
	fs.Var(size(&k.minFree), "min-free", "how much room the disk of a store must have; without it 64M")
	fs.BoolVar(&k.noRunners, "no-runners", false, "do not expect a live runner, as where cron starts them")
	fs.BoolVar(&k.asJSON, "json", false, "print one JSON document")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return undecided(flagError(c, err)) })
	fs.Var(&flag{text: k.timeout.String(), kind: "duration", read: k.setTimeout}, "timeout", "how long it may take; what has not answered by then is UNKNOWN")
	c.RunE = func(c *cobra.Command, _ []string) error { return k.within(e, c).print(c) }
	return c
}

func (k *check) setTimeout(s string) error {
	d, err := config.ParseDuration(s)
	if err != nil || d < time.Second {
		return errors.New("it must be a length of time from 1s on")
	}
	k.timeout = d
	return nil
}

// within checks the farm, and returns what was found in the time there is.
func (k *check) within(e *env, c *cobra.Command) *check {
	deadline := time.Now().Add(k.timeout)
	ctx, cancel := context.WithTimeout(c.Context(), k.timeout-k.timeout/8)
	defer cancel()
	c.SetContext(ctx)
	last := time.NewTimer(k.timeout)
	defer last.Stop()
	found, closed := make(chan *check, 1), make(chan struct{})
	go func() {
		defer close(closed)
		own, judged := *k, false
		err := e.run(false, func(ctx context.Context, s *session) error {
			// Half of the time is for reading, the rest for what is written then.
			own.judge(ctx, watch(ctx, s, "", time.Until(deadline)/2))
			judged = true
			found <- &own
			return nil
		})(c, nil)
		if !judged {
			own.unasked("", err)
			found <- &own
		}
	}()
	select {
	case k = <-found:
	case <-last.C:
		k.unasked("", fmt.Errorf("the stores could not be opened within %v", k.timeout))
		return k
	}
	// A store that hangs may not even be closed.
	select {
	case <-closed:
	case <-last.C:
	}
	return k
}

// undecided makes a mistake in the command line one that leaves the check undecided.
func undecided(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*statusError](err); ok {
		return &statusError{int(unknown), e.err}
	}
	return err
}

// verdict returns the worst that was found, and what is to be said of it.
func (k *check) verdict() (worst severity, line string) {
	var texts []string
	for _, level := range byWorst {
		for _, p := range k.problems {
			if p.level == level {
				texts = append(texts, p.Text)
			}
		}
		if worst == fine && len(texts) > 0 {
			worst = level
		}
	}
	if len(texts) == 0 {
		texts = []string{"nothing waits too long"}
	}
	if k.paused > 0 {
		texts = append(texts, fmt.Sprintf("%d paused", k.paused))
	}
	if k.closed > 0 {
		texts = append(texts, fmt.Sprintf("%d not enabled", k.closed))
	}
	return worst, strings.Join(texts, "; ")
}

func (k *check) print(c *cobra.Command) error {
	worst, line := k.verdict()
	var err error
	if k.asJSON {
		err = printJSON(c.OutOrStdout(), struct {
			Status   string    `json:"status"`
			Text     string    `json:"text"`
			Problems []problem `json:"problems"`
			Measured []string  `json:"measured"`
			Overruns int       `json:"overruns"`
		}{worst.String(), line, append([]problem{}, k.problems...), append([]string{}, k.perf...), k.overruns}, "  ")
	} else {
		// The bar ends the text.
		text := fmt.Sprintf("JOBQUEUE %v: %s", worst, strings.ReplaceAll(line, "|", "/"))
		if len(k.perf) > 0 {
			text += " | " + strings.Join(k.perf, " ")
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), text)
	}
	if err != nil || worst == fine {
		return err
	}
	return &statusError{status: int(worst)}
}
