package cli

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/runner/schedule/simulate"
)

// simulateFlags are the flags of simulate.
type simulateFlags struct {
	load      string
	synthetic simulate.Synthetic
	o         simulate.Options
	policies  []simulate.Policy
	seed      int
	low       []string
	asJSON    bool
	svg       string
}

// madeUp are the flags of a load that is made up.
var madeUp = []string{"domains", "types", "jobs", "zipf", "mean", "slow"}

func (e *env) simulate() *cobra.Command {
	f := &simulateFlags{
		synthetic: simulate.Synthetic{Domains: 1000, Types: 1, Jobs: 100_000, Zipf: 1, Mean: 60 * time.Millisecond, Slow: 1},
		o:         simulate.Options{Workers: 16, Runners: 1, Duration: 5 * time.Minute},
		seed:      1,
	}
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Show how long jobs wait under several orders of serving queues",
		Long: `Run a load in virtual time, and print how long the jobs of the domains wait and how evenly
workers are shared, for each of four orders in which queues can be served: fifo, the oldest job of
all first; random, any ready queue; round-robin, one domain after the other; fair, as runners do.

The load is made up, or read from the JSON lines of --load, which say when a job came,
in seconds or as a time such as "2006-01-02T15:04:05Z", and how many milliseconds it ran:

  {"at": 0.25, "domain": "enwiki", "type": "refreshLinks", "ms": 180}

Nothing is run and no store is opened. The same flags print the same.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(policies(&f.policies), "policy", "only this `order`: fifo, random, round-robin or fair; may be repeated")
	fs.Var(given(&f.load, "file"), "load", "a `file` of JSON lines, - for standard input, instead of a load that is made up")
	fs.Var(preset(whole(&f.synthetic.Domains, 1, 1e6), 1000), "domains", "so many domains")
	fs.Var(preset(whole(&f.synthetic.Types, 1, 1000), 1), "types", "so many types, type1 and so on")
	fs.Var(preset(whole(&f.synthetic.Jobs, 1, 1e7), 100_000), "jobs", "so many jobs in all")
	fs.Var(preset(number(&f.synthetic.Zipf, 0, 10), 1), "zipf", "the second domain has 1/2 to the power of `S` of the jobs of the first, the third 1/3; 0 is the same for all")
	fs.Var(milliseconds(&f.synthetic.Mean), "mean", "how long a job runs on average")
	fs.Var(preset(number(&f.synthetic.Slow, 0.001, 1e6), 1), "slow", "the jobs of wiki1 run `N` times as long")
	fs.Var(preset(whole(&f.o.Workers, 1, 100_000), 16), "workers", "so many jobs run at once")
	fs.Var(preset(whole(&f.o.Runners, 1, 1000), 1), "runners", "so many runners share the workers, each choosing by itself; for fair")
	fs.Var(preset(whole(&f.seed, 0, math.MaxInt), 1), "seed", "what chance begins with")
	fs.Var(seconds(&f.o.Duration), "duration", "how long jobs come, and when to stop; without it 5 minutes, or when all jobs of --load have run")
	fs.Var(each(&f.low, name, "type"), "low", "a less urgent `type`, for fair; the others get nine tenths of the workers if they need them; may be repeated")
	fs.BoolVar(&f.asJSON, "json", false, "print one JSON document")
	fs.Var(given(&f.svg, "file"), "svg", "write a plot to this `file`")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c) }
	return c
}

func (f *simulateFlags) run(c *cobra.Command) error {
	jobs, title, err := f.jobs(c)
	if err != nil {
		return err
	}
	f.o.Seed = uint64(f.seed)
	if len(f.low) > 0 {
		f.o.Plan.Shares = []float64{9, 1}
		f.o.Plan.Class = func(typ string) int {
			if slices.Contains(f.low, typ) {
				return 1
			}
			return 0
		}
	}
	if f.policies == nil {
		f.policies = simulate.Policies()
	}
	var reports []*simulate.Report
	for _, p := range f.policies {
		reports = append(reports, simulate.Run(jobs, p, f.o))
	}
	if f.svg != "" {
		var b bytes.Buffer
		if err := simulate.Plot(&b, title, reports); err != nil {
			return err
		}
		if err := os.WriteFile(f.svg, b.Bytes(), 0o666); err != nil {
			return usagef("--svg: %w; it must be a file in a directory that is there, and that can be written", err)
		}
	}
	if f.asJSON {
		return simulationJSON(c.OutOrStdout(), reports)
	}
	return printSimulation(c.OutOrStdout(), title, reports)
}

// jobs returns the load, and says what it is.
func (f *simulateFlags) jobs(c *cobra.Command) ([]simulate.Job, string, error) {
	workers := fmt.Sprintf("%d workers", f.o.Workers)
	if f.o.Runners > 1 {
		workers += fmt.Sprintf(" of %d runners", f.o.Runners)
	}
	if f.load == "" {
		s := f.synthetic
		s.Seed, s.Duration = uint64(f.seed), f.o.Duration
		jobs := s.Load()
		return jobs, fmt.Sprintf("%d jobs of %d domains in %v, %s", len(jobs), s.Domains, s.Duration, workers), nil
	}
	for _, name := range madeUp {
		if c.Flags().Changed(name) {
			return nil, "", usagef("--%s is for a load that is made up, it does not go with --load", name)
		}
	}
	if !c.Flags().Changed("duration") {
		f.o.Duration = 0
	}
	in := c.InOrStdin()
	if f.load != "-" {
		file, err := os.Open(f.load)
		if err != nil {
			return nil, "", &statusError{exitUsage, err}
		}
		defer file.Close()
		in = file
	}
	jobs, err := readLoad(in)
	if err != nil {
		return nil, "", &statusError{exitUsage, err}
	}
	return jobs, fmt.Sprintf("%d jobs, %s", len(jobs), workers), nil
}

// preset is a flag that has a value from the beginning.
func preset(f *flag, v any) *flag {
	f.text = fmt.Sprint(v)
	return f
}

// number is a flag for a number.
func number(p *float64, low, high float64) *flag {
	return &flag{kind: "N", read: func(s string) error {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= low && n <= high) {
			return fmt.Errorf("it must be a number from %v to %v", low, high)
		}
		*p = n
		return nil
	}}
}

// milliseconds is a flag for a length of time that is more than 0.
func milliseconds(p *time.Duration) *flag {
	return &flag{text: p.String(), kind: "duration", read: func(s string) error {
		d, err := config.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("it must be a length of time, such as 50ms or 2s")
		}
		*p = d
		return nil
	}}
}

// policies is a repeatable flag for orders of serving.
func policies(list *[]simulate.Policy) *flag {
	return &flag{kind: "order", repeats: true, read: func(s string) error {
		p := simulate.Policy(s)
		if !slices.Contains(simulate.Policies(), p) {
			return errors.New("it must be one of fifo, random, round-robin, fair")
		}
		if !slices.Contains(*list, p) {
			*list = append(*list, p)
		}
		return nil
	}}
}
