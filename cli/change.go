package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
)

// A change is delete or requeue.
type change struct {
	name, done string
	usual      []jobqueue.State // what it takes when no state is asked for
	never      []jobqueue.State // what it leaves alone even then
	do         func(*jobqueue.Group, context.Context, jobqueue.Filter) (int, error)
	needsAll   bool // whether all jobs must be asked for by --all

	f      jobqueue.Filter
	dryRun bool
	all    bool
}

func (e *env) delete() *cobra.Command {
	return e.change(&change{
		name: "delete", done: "deleted",
		usual:    []jobqueue.State{jobqueue.Ready, jobqueue.Delayed, jobqueue.Abandoned},
		do:       (*jobqueue.Group).Delete,
		needsAll: true,
	}, "Delete jobs", `Delete the jobs that all the flags match. Running ones stay unless --status claimed
asks for them; what they do is then not recorded. Without any flag nothing is
deleted: --all deletes every job of the farm.`)
}

func (e *env) requeue() *cobra.Command {
	return e.change(&change{
		name: "requeue", done: "requeued",
		usual: []jobqueue.State{jobqueue.Abandoned},
		never: []jobqueue.State{jobqueue.Ready},
		do:    (*jobqueue.Group).Requeue,
	}, "Make jobs ready again", `Make the jobs that all the flags match ready, at the back of their queues, with all
their tries. Without --status these are the abandoned ones. A claimed one that is
asked for runs again although it may be running.`)
}

func (e *env) change(ch *change, short, long string) *cobra.Command {
	c := &cobra.Command{Use: ch.name, Short: short, Long: long, Args: noArgs}
	fs := c.Flags()
	filterFlags(c, &ch.f)
	fs.Var(each(&ch.f.IDs, given, "id"), "id", "only the job of this `id`; may be repeated")
	fs.Var(states(&ch.f.States), "status", "only those in this `state`: ready, delayed, claimed or abandoned; may be repeated")
	fs.BoolVar(&ch.dryRun, "dry-run", false, "print how many it would be")
	if ch.needsAll {
		fs.BoolVar(&ch.all, "all", false, "every job of the farm but those that run")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		filtered := ch.f.Domain != "" || ch.f.Type != "" || ch.f.IDs != nil || ch.f.States != nil
		switch {
		case ch.needsAll && !filtered && !ch.all:
			return usagef("%s what? Give --id, --type, --domain or --status, or --all for every job of the farm", ch.name)
		case filtered && ch.all:
			return usagef("--all goes with no other choice of jobs")
		}
		return e.run(false, func(ctx context.Context, s *session) error { return ch.run(ctx, c, s) })(c, args)
	}
	return c
}

func (ch *change) run(ctx context.Context, c *cobra.Command, s *session) error {
	if err := s.known(ctx, ch.f.Domain); err != nil {
		return err
	}
	parts, err := s.parts(ch.f)
	if err != nil {
		return err
	}
	var away error
	sum, done := 0, ch.done
	if ch.dryRun {
		done = "would be " + ch.done
	}
	for _, p := range parts {
		n := 0
		if ch.dryRun {
			n, err = ch.count(ctx, p)
		} else {
			n, err = ch.do(p.Group, ctx, p.f)
		}
		sum += n
		if errors.Is(err, jobqueue.ErrUnavailable) {
			away = errors.Join(away, err)
			continue
		}
		if err != nil {
			if sum > 0 {
				err = fmt.Errorf("%w (%d jobs were %s before that)", err, sum, done)
			}
			return err
		}
	}
	if sum > 0 || away == nil {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%d jobs %s\n", sum, done); err != nil {
			return err
		}
	}
	return away
}

// count returns how many jobs the change would take.
func (ch *change) count(ctx context.Context, p part) (int, error) {
	wanted := p.f.States
	if wanted == nil {
		wanted = ch.usual
	}
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(st jobqueue.State) bool { return slices.Contains(ch.never, st) })
	if len(wanted) == 0 {
		return 0, nil
	}
	n := 0
	if p.f.IDs != nil {
		p.f.States = wanted
		for _, err := range p.List(ctx, p.f) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	counts, err := p.Counts(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range counts {
		if p.f.Domain != "" && c.Domain != p.f.Domain || p.f.Type != "" && c.Type != p.f.Type {
			continue
		}
		by := map[jobqueue.State]int{
			jobqueue.Ready: c.Ready, jobqueue.Delayed: c.Delayed, jobqueue.Claimed: c.Claimed, jobqueue.Abandoned: c.Abandoned,
		}
		slices.Sort(wanted)
		for _, st := range slices.Compact(wanted) {
			n += by[st]
		}
	}
	return n, nil
}
