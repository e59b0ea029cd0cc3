package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

func (e *env) why() *cobra.Command {
	var n jobqueue.Name
	var id string
	var asJSON bool
	c := &cobra.Command{
		Use:   "why",
		Short: "Say why a job, or a queue, is not running",
		Long: `Say what keeps the job of --id, or the jobs of a type on a domain, from running: one
reason a line.`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.Var(name(&n.Domain, "domain"), "domain", "the `domain`, also spelled --wiki; without it the farm's only one")
	fs.Var(name(&n.Type, "type"), "type", "the `type`")
	fs.Var(given(&id, "id"), "id", "the `id` of a job, as list shows it")
	fs.BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		if id == "" && n.Type == "" {
			return usagef("give --id, or --type and --domain")
		}
		return e.run(false, func(ctx context.Context, s *session) error {
			r := &reasons{session: s, name: n}
			if err := r.find(ctx, id); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), r.shown(), "  ")
			}
			return r.print(c.OutOrStdout())
		})(c, args)
	}
	return c
}

// reasons are why something does not run.
type reasons struct {
	*session
	name  jobqueue.Name
	list  []reason
	ready bool // the job is, or some are

	away []string // stores that cannot be asked
}

// A reason is one of them.
type reason struct {
	Kind string `json:"kind"` // for programs to tell them apart
	Text string `json:"text"`
}

func (r *reasons) add(kind, format string, args ...any) {
	r.list = append(r.list, reason{kind, fmt.Sprintf(format, args...)})
}

func (r *reasons) print(w io.Writer) error {
	for _, x := range r.list {
		if _, err := fmt.Fprintln(w, x.Text); err != nil {
			return err
		}
	}
	return nil
}

func (r *reasons) shown() any {
	return struct {
		Domain  string   `json:"domain"`
		Type    string   `json:"type"`
		Reasons []reason `json:"reasons"`
	}{r.name.Domain, r.name.Type, r.list}
}

// find fills in the reasons for one job or, without an id, for a queue.
func (r *reasons) find(ctx context.Context, id string) error {
	if id != "" {
		e, backend, found, err := r.entry(ctx, id)
		if err != nil {
			return err
		}
		if !found || r.name.Type != "" && e.Type != r.name.Type || r.name.Domain != "" && e.Domain != r.name.Domain {
			r.add("not there", "there is no such job %s: it is done, was deleted, or never was", escape(id))
			return nil
		}
		r.name = e.Name
		if !r.job(e, backend) {
			return nil
		}
	} else {
		var err error
		if r.name.Domain == "" {
			if r.name.Domain, err = r.home(""); err != nil {
				return err
			}
		} else if err := r.known(ctx, r.name.Domain); err != nil {
			return err
		}
		if waits, err := r.queue(ctx); err != nil || !waits {
			return err
		}
	}
	held := len(r.list)
	if err := r.holdups(ctx); err != nil {
		return err
	}
	if len(r.list) == held && r.ready {
		r.add("free", "nothing holds it back: it waits for its turn")
	}
	return nil
}

// entry returns a stored job and the backend that has it.
func (r *reasons) entry(ctx context.Context, label string) (e jobqueue.Entry, b jobqueue.Backend, found bool, err error) {
	parts, err := r.parts(jobqueue.Filter{IDs: []string{label}})
	if err != nil {
		return e, nil, false, err
	}
	for _, p := range parts {
		for e, err := range p.List(ctx, p.f) {
			return e, p.backend, err == nil, err
		}
	}
	return e, nil, false, nil
}

// job says where one job stands, and reports whether it waits.
func (r *reasons) job(e jobqueue.Entry, b jobqueue.Backend) (waits bool) {
	last := ""
	if e.LastError != "" {
		last = "; the last error was: " + escape(e.LastError)
	}
	switch e.State {
	case jobqueue.Delayed:
		r.add("delayed", "delayed until %s, after %d failures%s", stamp(e.ReadyAt), e.Failures, last)
	case jobqueue.Claimed:
		r.add("claimed", "claimed by %s until %s, unless that is extended", jobqueue.EscapeName(e.Owner), stamp(e.Expires))
	case jobqueue.Abandoned:
		r.add("abandoned", "abandoned after %d failures and %d claims that ran out%s", e.Failures, e.Expiries, last)
	default:
		r.add("ready", "ready since %s, after %d failures%s", stamp(e.ReadyAt), e.Failures, last)
	}
	if e.State == jobqueue.Abandoned || e.State == jobqueue.Claimed {
		return false
	}
	switch {
	case e.Expiries > 1:
		r.add("alone", "%d of its claims ran out, so it may kill its process: it runs only where nothing else does", e.Expiries)
	case e.Expiries == 1:
		r.add("suspect", "one of its claims ran out, so it may have killed its process: it is claimed only when a worker is free")
	}
	if r.Backend(e.Type) != b {
		r.add("elsewhere", "it is in the backend %s, but its type is routed to %s: no runner looks for it there",
			r.store(b), r.store(r.Backend(e.Type)))
	}
	r.ready = e.State == jobqueue.Ready
	return true
}

// store returns the name of a backend.
func (s *session) store(b jobqueue.Backend) string {
	for _, st := range s.Stores {
		if st.Backend == b {
			return st.Name
		}
	}
	return "?"
}

// queue says how many jobs stand where, in every store, and reports whether any waits.
func (r *reasons) queue(ctx context.Context) (waits bool, err error) {
	var sum jobqueue.Counts
	var astray []string
	for _, st := range r.Stores {
		counts, err := r.only(st.Backend).Counts(ctx, r.name)
		if errors.Is(err, jobqueue.ErrUnavailable) && st.Backend != r.Backend(r.name.Type) {
			r.add("away", "whether there are jobs in the backend %s, to which their type is not routed, is not known: it is away", st.Name)
			r.away = append(r.away, st.Name)
			continue
		}
		if err != nil {
			return false, err
		}
		c := counts[0]
		if c.Total() > 0 && st.Backend != r.Backend(r.name.Type) {
			astray = append(astray, fmt.Sprintf("%d jobs are in the backend %s, but their type is routed to %s: no runner looks for them there",
				c.Total(), st.Name, r.store(r.Backend(r.name.Type))))
		}
		sum.Ready += c.Ready
		sum.Delayed += c.Delayed
		sum.Claimed += c.Claimed
		sum.Abandoned += c.Abandoned
		sum.Age = max(sum.Age, c.Age)
	}
	if sum.Total() == 0 {
		r.add("not there", "there are no jobs of %s", r.name)
		return false, nil
	}
	if sum.Ready > 0 {
		r.add("ready", "%d ready, the oldest for %s", sum.Ready, sum.Age.Round(time.Second))
	}
	if sum.Delayed > 0 {
		text, err := r.delayed(ctx, sum.Delayed)
		if err != nil {
			return false, err
		}
		r.add("delayed", "%s", text)
	}
	if sum.Claimed > 0 {
		r.add("claimed", "%d claimed", sum.Claimed)
	}
	if sum.Abandoned > 0 {
		r.add("abandoned", "%d abandoned", sum.Abandoned)
	}
	for _, text := range astray {
		r.add("elsewhere", "%s", text)
	}
	r.ready = sum.Ready > 0
	return r.ready || sum.Delayed > 0, nil
}

// mostDelayed is for how many jobs why looks when the first of them is released.
const mostDelayed = 1000

func (r *reasons) delayed(ctx context.Context, n int) (string, error) {
	if n > mostDelayed {
		return fmt.Sprintf("%d delayed", n), nil
	}
	var first time.Time
	f := jobqueue.Filter{Domain: r.name.Domain, Type: r.name.Type, States: []jobqueue.State{jobqueue.Delayed}}
	for _, st := range r.Stores {
		if slices.Contains(r.away, st.Name) {
			continue
		}
		for e, err := range r.only(st.Backend).List(ctx, f) {
			if err != nil {
				return "", err
			}
			if first.IsZero() || e.ReadyAt.Before(first) {
				first = e.ReadyAt
			}
		}
	}
	if first.IsZero() {
		return fmt.Sprintf("%d delayed until now", n), nil // They were released meanwhile.
	}
	return fmt.Sprintf("%d delayed, the first until %s", n, stamp(first)), nil
}

// holdups says what holds back every job of the queue.
func (r *reasons) holdups(ctx context.Context) error {
	n := r.name
	if r.ReadOnly != "" {
		r.add("read-only", "the farm is read-only: %s", escape(r.ReadOnly))
	}
	pauses, err := r.pausing(ctx, n)
	if err != nil {
		return err
	}
	for _, p := range pauses {
		r.add("paused", "paused: %s", pauseLine(p))
	}
	if !r.farm.Has(n.Domain) {
		r.add("no domain", "%s is not one of the farm's domains", jobqueue.EscapeName(n.Domain))
	}
	if !r.farm.Enabled(n) {
		r.add("not enabled", "types.%s.domains of the farm file does not list %s: its jobs wait there until it does",
			jobqueue.EscapeName(n.Type), jobqueue.EscapeName(n.Domain))
	}
	if !r.reg.Has(n.Type) {
		r.add("no handler", "this program has no handler for %s", jobqueue.EscapeName(n.Type))
	}
	if len(r.farm.Groups()) > 0 && r.farm.Group(n.Type) == nil {
		r.add("no group", "none of the farm's groups runs %s", jobqueue.EscapeName(n.Type))
	}
	if err := r.runners(ctx); err != nil {
		return err
	}
	if err := r.caps(ctx); err != nil {
		return err
	}
	wait, err := runner.RateWait(ctx, r.Group, n.Type)
	if err != nil && !errors.Is(err, jobqueue.ErrReadOnly) {
		return err
	}
	if wait > 0 {
		r.add("throttled", "throttled to %v work items a second: the next may start in %v", r.Policy(n.Type).Rate, wait.Round(time.Millisecond))
	}
	return nil
}

// caps says whether as many jobs are claimed as may run at once.
func (r *reasons) caps(ctx context.Context) error {
	var o runner.Options
	r.farm.Share(&o)
	typ := o.Caps.Types[r.name.Type]
	domain, ok := o.Caps.Domains[r.name.Domain]
	if !ok {
		domain = o.Caps.Domain
	}
	if typ == 0 && domain == 0 {
		return nil
	}
	ofType, ofDomain := 0, 0
	for _, st := range r.Stores {
		if slices.Contains(r.away, st.Name) {
			continue
		}
		all, err := r.only(st.Backend).Counts(ctx)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.Type == r.name.Type {
				ofType += c.Claimed
			}
			if c.Domain == r.name.Domain {
				ofDomain += c.Claimed
			}
		}
	}
	if typ > 0 && ofType >= typ {
		r.add("cap", "%d jobs of %s are claimed, and at most %d may run at once in the farm", ofType, jobqueue.EscapeName(r.name.Type), typ)
	}
	if domain > 0 && ofDomain >= domain {
		r.add("cap", "%d jobs of %s are claimed, and at most %d may run at once in the farm", ofDomain, jobqueue.EscapeName(r.name.Domain), domain)
	}
	return nil
}

func (r *reasons) runners(ctx context.Context) error {
	all, err := runner.Runners(ctx, r.Group)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	covered := false
	for _, p := range all {
		covered = covered || p.Covers(r.name)
		if reason, ok := p.Faults[r.name.Type]; ok {
			r.add("fault", "its handler is at fault, and the type rests in the runner %s: %s", jobqueue.EscapeName(p.Owner), escape(reason))
		}
	}
	if covered {
		return nil
	}
	only := ""
	if r.Excluded(r.name.Type) {
		only = ", and only one that asks for this type by name does"
	}
	r.add("no runner", "no live runner runs it, of %d%s", len(all), only)
	return nil
}
