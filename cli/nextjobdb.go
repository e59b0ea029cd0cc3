package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// NextJobDB returns the command nextjobdb.
func NextJobDB(app App) *cobra.Command {
	e := &env{app: app}
	return e.standalone(e.nextJobDB())
}

// nextFlags are the flags of nextjobdb.
type nextFlags struct {
	typ, types     string
	policy         string
	asJSON, asNull bool
}

func (e *env) nextJobDB() *cobra.Command {
	f := &nextFlags{}
	c := &cobra.Command{
		Use:   "nextjobdb",
		Short: "Print a domain that has ready jobs",
		Long: `Print a domain that has ready jobs, and with --types also the type, with a blank
between. Prints nothing if there is none. What is excluded, paused or not enabled on its
domain, and types that no group of the farm file runs, are left out.

Each ready queue is equally likely. With --policy fair classes and domains are as likely as
their shares and weights in the farm file say, and the type is the one that has waited for longest.

Exit status: 0 also if nothing is ready, 2 for a mistake in the flags or the farm
file, 3 if no store can be asked or the farm is read-only.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(name(&f.typ, "type"), "type", "only queues of this `type`, also if it is excluded")
	fs.Var(given(&f.types, "types"), "types", "only queues of these `types`, with blanks between; print the type too")
	fs.Var(oneOf(&f.policy, "random", "fair"), "policy", "random or fair: how likely each queue is")
	fs.BoolVar(&f.asJSON, "json", false, "print a JSON object")
	fs.BoolVarP(&f.asNull, "null", "0", false, "print the names as they are, with a tab between and a NUL behind, as for xargs -0")
	c.RunE = e.run(true, func(ctx context.Context, s *session) error {
		types, err := f.wanted()
		if err != nil {
			return err
		}
		next, err := (&chooser{s, types, f.policy == "fair"}).next(ctx)
		if err != nil || next == nil {
			return err
		}
		return f.print(c.OutOrStdout(), *next)
	})
	return c
}

// wanted returns the types to look for; nil for all that are not excluded.
func (f *nextFlags) wanted() ([]string, error) {
	switch {
	case f.typ != "" && f.types != "":
		return nil, usagef("--type and --types cannot both be given")
	case f.asJSON && f.asNull:
		return nil, errFormats
	case f.typ != "":
		return []string{f.typ}, nil
	case f.types == "":
		return nil, nil
	}
	types := strings.Fields(f.types)
	if len(types) == 0 {
		return nil, usagef("--types names no type")
	}
	for _, t := range types {
		if err := (jobqueue.Name{Domain: "d", Type: t}).Check(); err != nil {
			return nil, usagef("--types: %w", err)
		}
	}
	return types, nil
}

func (f *nextFlags) print(w io.Writer, n jobqueue.Name) error {
	parts := []string{n.Domain}
	if f.types != "" {
		parts = append(parts, n.Type)
	}
	var err error
	switch {
	case f.asJSON:
		err = printJSON(w, struct {
			Domain string `json:"domain"`
			Type   string `json:"type"`
		}{n.Domain, n.Type}, "")
	case f.asNull:
		_, err = io.WriteString(w, strings.Join(parts, "\t")+"\x00")
	default:
		for i := range parts {
			parts[i] = jobqueue.EscapeName(parts[i])
		}
		_, err = fmt.Fprintln(w, strings.Join(parts, " "))
	}
	return err
}

// A chooser chooses a queue.
type chooser struct {
	*session
	types []string // nil: all that are not excluded
	fair  bool     // as the farm's plan has it
}

// next chooses a queue that has work; nil for none.
func (s *chooser) next(ctx context.Context) (*jobqueue.Name, error) {
	if s.ReadOnly != "" {
		return nil, fmt.Errorf("%w: %s", jobqueue.ErrReadOnly, s.ReadOnly)
	}
	if s.Aggregator == nil {
		return s.nextReady(ctx, s.Group)
	}
	// There may be no waiting runner to do it. What cannot be asked now is told of below.
	_, _ = aggregator.SweepInTurn(ctx, s.Group, s.Aggregator, "nextjobdb")
	hints, errs := s.queues(s.Hints(ctx, s.types...))
	if len(errs) > 0 {
		s.log.Warn("the aggregator cannot be asked, the backends are", "error", escape(errs[0].Error()))
		r := s.Routes
		r.Aggregator = nil
		return s.nextReady(ctx, jobqueue.NewGroup(s.Domain(), r))
	}
	return s.nextHint(ctx, hints)
}

// queues returns those of some queues that runners of this farm may run, in random order, and the errors between them.
func (s *chooser) queues(seq iter.Seq2[jobqueue.Backlog, error]) (all []jobqueue.Backlog, errs []error) {
	for q, err := range seq {
		switch {
		case err != nil:
			errs = append(errs, err)
		case s.farm.Has(q.Domain) && s.farm.Enabled(q.Name) && (s.types != nil || !s.Excluded(q.Type) && s.farm.Runs(q.Type)):
			all = append(all, q)
		}
	}
	if s.fair {
		schedule.Shuffle(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), s.farm.Plan(), all)
		return all, errs
	}
	rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all, errs
}

// nextReady asks the backends of a group. What one holds that cannot be asked is left out.
func (s *chooser) nextReady(ctx context.Context, g *jobqueue.Group) (*jobqueue.Name, error) {
	ready, errs := s.queues(g.Hints(ctx, s.types...))
	if len(errs) == len(g.Backends()) {
		return nil, errors.Join(errs...)
	}
	if len(errs) > 0 {
		if _, err := g.Pauses(ctx); err != nil {
			return nil, &statusError{exitStore, err} // So no backend was asked.
		}
	}
	for _, err := range errs {
		s.log.Warn("a store cannot be asked", "error", escape(err.Error()))
	}
	if len(ready) == 0 {
		return nil, nil
	}
	return &ready[0].Name, nil
}

// nextHint returns the first of some hints that holds true. What it finds to be empty it clears.
func (s *chooser) nextHint(ctx context.Context, hints []jobqueue.Backlog) (*jobqueue.Name, error) {
	const atOnce = 20
	var errs []error
	asked := len(hints) == 0
	for len(hints) > 0 {
		some := hints[:min(atOnce, len(hints))]
		hints = hints[len(some):]
		ready, silent := map[jobqueue.Name]bool{}, map[jobqueue.Backend]bool{}
		for _, b := range s.Backends() {
			err := s.stillReady(ctx, b, some, ready)
			if silent[b] = err != nil; err != nil {
				errs = append(errs, err)
			}
		}
		var next *jobqueue.Name
		var wrong []jobqueue.Backlog
		for i := range some {
			q := &some[i]
			switch {
			case silent[s.Backend(q.Type)]:
				continue
			case !ready[q.Name]:
				wrong = append(wrong, *q)
			case next == nil:
				next = &q.Name
			}
			asked = true
		}
		if err := s.Aggregator.Clear(ctx, wrong...); err != nil {
			s.log.Warn("the aggregator cannot be told of empty queues", "error", escape(err.Error()))
		}
		if next != nil {
			return next, nil
		}
	}
	if !asked {
		return nil, errors.Join(errs...)
	}
	return nil, nil
}

// stillReady adds to ready those of some queues that are in b and have work.
func (s *chooser) stillReady(ctx context.Context, b jobqueue.Backend, some []jobqueue.Backlog, ready map[jobqueue.Name]bool) error {
	var names []jobqueue.Name
	for _, q := range some {
		if s.Backend(q.Type) == b {
			names = append(names, q.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	for q, err := range s.Ready(ctx, names...) {
		if err != nil {
			return err
		}
		ready[q.Name] = true
	}
	return nil
}
