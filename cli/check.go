package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/runner"
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

	count func(context.Context, config.Store) ([]jobqueue.Counts, error) // of a store

	looked   bool // at all queues that have work
	problems []problem
	perf     []string
	paused   int // queues that have work and are paused
	closed   int // queues that have work and whose type is not enabled on their domain
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
		maxAge: 10 * time.Minute, maxIdle: 10 * time.Minute, maxAbandoned: -1, maxGrowth: 100, minFree: 64 << 20,
		count: func(ctx context.Context, st config.Store) ([]jobqueue.Counts, error) { return st.Backend.Counts(ctx) },
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
abandoned jobs, or more than --max-abandoned in all; the disk of a store is nearly full.
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
	inner := e.run(false, func(ctx context.Context, s *session) error { return k.run(ctx, s) })
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := inner(c, args); err != nil {
			k.unasked(err)
		}
		return k.print(c)
	}
	return c
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

func (k *check) run(ctx context.Context, s *session) error {
	err := k.ready(ctx, s)
	if !k.noCount {
		err = errors.Join(err, k.abandoned(ctx, s))
	}
	return errors.Join(err, k.room(s))
}

// unasked notes what could not be asked, each once.
func (k *check) unasked(err error) {
	for _, line := range lines(err) {
		p := problem{unknown.String(), escape(line), unknown}
		if !slices.Contains(k.problems, p) {
			k.problems = append(k.problems, p)
		}
	}
}

// ready looks at the queues that have work.
func (k *check) ready(ctx context.Context, s *session) error {
	runners, err := runner.Runners(ctx, s.Group)
	expect := !k.noRunners
	if errors.Is(err, errors.ErrUnsupported) {
		expect, err = false, nil
	}
	if err != nil {
		return err
	}
	pauses, err := s.Pauses(ctx)
	if err != nil {
		return err
	}
	var queues int
	var old, uncovered, astray []string
	var oldest time.Duration
	unhandled := map[string]bool{}
	k.looked = true
	for _, st := range s.Stores {
		for b, err := range st.Backend.Ready(ctx) {
			if err != nil {
				k.unasked(err)
				k.looked = false
				continue // That was the last of this store.
			}
			queues++
			runs := func(p runner.Presence) bool { return p.Covers(b.Name) }
			handles := func(p runner.Presence) bool {
				p.AllDomains, p.Only = true, nil
				return p.Covers(b.Name)
			}
			switch {
			case slices.ContainsFunc(pauses, func(p jobqueue.Pause) bool { return p.Covers(b.Name) }):
				k.paused++
				continue
			case !s.farm.Enabled(b.Name):
				k.closed++
				continue
			case s.Backend(b.Type) != st.Backend:
				astray = append(astray, st.Name+":"+b.Name.String())
			case !s.reg.Has(b.Type) && !slices.ContainsFunc(runners, handles):
				unhandled[jobqueue.EscapeName(b.Type)] = true
			case expect && !slices.ContainsFunc(runners, runs):
				uncovered = append(uncovered, b.Name.String())
			}
			if oldest = max(oldest, b.Age); b.Age > k.maxAge {
				old = append(old, b.Name.String())
			}
		}
	}
	if len(old) > 0 {
		k.add(critical, "the oldest ready job has waited for %v, more than %v, in %s", oldest.Round(time.Second), k.maxAge, example(old))
	}
	if len(uncovered) > 0 {
		k.add(critical, "no live runner, of %d, runs %s", len(runners), example(uncovered))
	}
	if len(unhandled) > 0 {
		var types []string
		for t := range unhandled {
			types = append(types, t)
		}
		k.add(warning, "no handler for %s", example(types))
	}
	if len(astray) > 0 {
		k.add(warning, "jobs in a backend their type is not routed to: %s", example(astray))
	}
	if err := k.idle(ctx, s, oldest); err != nil {
		return err
	}
	k.measure("oldest", "s", oldest.Seconds(), "", strconv.FormatFloat(k.maxAge.Seconds(), 'f', -1, 64))
	k.measure("queues", "", float64(queues), "", "")
	k.measure("paused", "", float64(k.paused), "", "")
	if s.farm.Restricted() {
		k.measure("not_enabled", "", float64(k.closed), "", "")
	}
	k.measure("runners", "", float64(len(runners)), "", "")
	return nil
}

// idle looks at whether runners get anything done, the oldest ready job being so old.
func (k *check) idle(ctx context.Context, s *session, oldest time.Duration) error {
	ago, ok, err := runner.Progress(ctx, s.Group)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	if ok {
		k.measure("idle", "s", ago.Seconds(), "", "")
	}
	switch {
	case k.maxIdle == 0 || oldest <= k.maxIdle:
	case !ok:
		k.add(critical, "jobs have been ready for %v, and no runner ever got anything done", oldest.Round(time.Second))
	case ago > k.maxIdle:
		k.add(critical, "runners got nothing done for %v, with jobs ready", ago.Round(time.Second))
	}
	return nil
}

// room looks at the disks of the stores, where that can be told.
func (k *check) room(s *session) error {
	return s.farm.Files(func(f config.File) error {
		free, ok := freeBytes(filepath.Dir(f.Path))
		if !ok {
			return nil
		}
		if free < uint64(k.minFree) {
			k.add(warning, "the disk of %s has %d MiB left, less than %d MiB", f.Name, free>>20, k.minFree>>20)
		}
		k.measure("free_"+f.Name, "B", float64(free), fmt.Sprintf("%d:", k.minFree), "")
		return nil
	})
}

// perfLabel makes of a name one of a measurement, which is in quotes and before an equals sign, behind the bar.
var perfLabel = strings.NewReplacer("'", "%27", "=", "%3D", "|", "%7C")

// measure adds to what is printed behind the bar.
func (k *check) measure(name, unit string, value float64, warn, crit string) {
	item := fmt.Sprintf("'%s'=%.0f%s", perfLabel.Replace(jobqueue.EscapeName(name)), value, unit)
	if warn != "" || crit != "" {
		item += ";" + warn + ";" + crit
	}
	k.perf = append(k.perf, item)
}

// example names the first of a list, and how many more there are.
func example(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
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
		}{worst.String(), line, append([]problem{}, k.problems...), append([]string{}, k.perf...)}, "  ")
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
