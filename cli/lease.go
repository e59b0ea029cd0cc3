package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
)

func (e *env) lease() *cobra.Command {
	c := &cobra.Command{
		Use:   "lease",
		Short: "Show or reset who runs a domain on demand",
		Run:   func(*cobra.Command, []string) {},
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unknown command %q of lease, it must be one of %s", args[0], commandNames(c))
		}
		return usagef("lease what? It must be one of %s", commandNames(c))
	}
	c.AddCommand(e.leaseShow(), e.leaseReset())
	return c
}

func (e *env) leaseShow() *cobra.Command {
	var fossil, asJSON bool
	c := &cobra.Command{
		Use:   "show [DOMAIN]",
		Short: "Show the lease of a domain",
		Long: `Show the lease of a domain, by default the farm's only one: who runs it or did so last, when the next
may begin, and who is on deck for that. (exists) is who has given a sign of life within the TTL, or is on deck
and not late; (done) is who has ended or given none. Seconds are counted from now by the store's clock.

With --fossil it is four numbers as Fossil's backoffice has them: the process of the current holder and until when
nobody else may begin, the process on deck and until when it is waited for, as seconds since 1970. A process is the number
at the end of its owner, or 1 if there is none; 0 is nobody.`,
		Args: atMostOne("domain"),
	}
	c.Flags().BoolVar(&fossil, "fossil", false, "print four numbers")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.RunE = func(c *cobra.Command, args []string) error {
		if fossil && asJSON {
			return usagef("give either --fossil or --json")
		}
		return e.run(false, func(ctx context.Context, s *session) error {
			domain, leases, err := s.leaseOf(args)
			if err != nil {
				return err
			}
			rec, err := leases.Read(ctx, domain)
			if err != nil {
				return err
			}
			l := leaseNow{domain, rec, leases.Rules.WithDefaults(), time.Now()}
			switch out := c.OutOrStdout(); {
			case fossil:
				_, err = fmt.Fprintln(out, l.fossil())
			case asJSON:
				err = printJSON(out, l.document(), "  ")
			default:
				err = l.print(out)
			}
			return err
		})(c, args)
	}
	return c
}

func (e *env) leaseReset() *cobra.Command {
	c := &cobra.Command{
		Use:   "reset [DOMAIN]",
		Short: "Make the lease of a domain free at once",
		Long: `Make the lease of a domain, by default the farm's only one, free at once, whoever has it or is on deck. The next
run may begin now. One that is at work ends when it hears of it, within a part of the TTL; until then there may be two.`,
		Args: atMostOne("domain"),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.run(false, func(ctx context.Context, s *session) error {
			domain, leases, err := s.leaseOf(args)
			if err != nil {
				return err
			}
			if err := leases.Reset(ctx, domain); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "lease of %s reset\n", jobqueue.EscapeName(domain))
			return err
		})(c, args)
	}
	return c
}

// atMostOne lets a command have one argument.
func atMostOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("unexpected argument %q, only one %s may be given", args[1], what)
		}
		if len(args) == 1 {
			if err := name(new(string), what).Set(args[0]); err != nil {
				return usagef("the %s %q: %w", what, args[0], err)
			}
		}
		return nil
	}
}

// leaseOf returns the leases of the farm, and the domain that arguments name.
func (s *session) leaseOf(args []string) (string, *lease.Store, error) {
	domain, err := s.home(strings.Join(args, ""))
	if err != nil {
		return "", nil, err
	}
	leases, err := s.farm.Leases(s.Queues)
	return domain, leases, err
}

// A leaseNow is a lease as it was read now.
type leaseNow struct {
	domain string
	lease.Record
	rules lease.Rules
	now   time.Time
}

// alive says whether who holds the lease, and who is on deck, counts as there.
func (l *leaseNow) alive() (current, next bool) {
	return l.Alive(l.rules), l.Next.ID != "" && l.NextExpires >= 0
}

func (l *leaseNow) fossil() string {
	numbers := [4]int64{}
	at := func(d time.Duration) int64 { return l.now.Add(d).Round(time.Second).Unix() }
	if l.Current.ID != "" {
		numbers[0], numbers[1] = pidOf(l.Current.Owner), at(l.NotBefore)
	}
	if l.Next.ID != "" {
		numbers[2], numbers[3] = pidOf(l.Next.Owner), at(l.NextExpires)
		if l.Current.ID != "" {
			// Both rounded by themselves could be a second apart from what is between them.
			numbers[3] = numbers[1] + int64((l.NextExpires - l.NotBefore).Round(time.Second).Seconds())
		}
	}
	return strings.Trim(fmt.Sprint(numbers), "[]")
}

// pidOf returns the process id at the end of an owner, 1 if there is none.
func pidOf(owner string) int64 {
	if pid, err := strconv.ParseInt(owner[strings.LastIndexByte(owner, ':')+1:], 10, 64); err == nil && pid > 0 {
		return pid
	}
	return 1
}

func existing(is bool) string {
	if is {
		return "(exists)"
	}
	return "(done)"
}

func (l *leaseNow) print(out io.Writer) error {
	raw, err := json.Marshal(l.Record)
	if err != nil {
		return err
	}
	current, next := l.alive()
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", key, fmt.Sprintf(format, args...))
	}
	rel := func(d time.Duration) string { return fmt.Sprintf("now%+.0f", d.Seconds()) }
	line("domain", "%s", jobqueue.EscapeName(l.domain))
	line("now", "%d %s", l.now.Unix(), stamp(l.now))
	line("lease", "%s", escape(string(calm(raw))))
	line("token", "%d", l.Token)
	if l.Current.ID == "" {
		line("current", "nobody")
	} else {
		line("current", "%s %s", escape(l.Current.Owner), existing(current))
		line("started", "%s", rel(l.Started))
		line("not-before", "%s", rel(l.NotBefore))
		line("beat", "%s", rel(l.Beat))
		if l.Over {
			line("ended", "%s %s", rel(l.Ended), escape(l.Outcome))
		}
	}
	if l.Next.ID == "" {
		line("next", "nobody")
	} else {
		line("next", "%s %s", escape(l.Next.Owner), existing(next))
		line("next-expires", "%s", rel(l.NextExpires))
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// A shownParty is who holds a lease or is on deck, in JSON.
type shownParty struct {
	ID     string `json:"id"`
	Owner  string `json:"owner"`
	Exists bool   `json:"exists"`
}

// document returns the lease in JSON; times are seconds from now.
func (l *leaseNow) document() any {
	type shown struct {
		Domain      string      `json:"domain"`
		Now         time.Time   `json:"now"`
		Token       int64       `json:"token"`
		Current     *shownParty `json:"current"` // null: nobody
		Started     *float64    `json:"started,omitempty"`
		NotBefore   *float64    `json:"notBefore,omitempty"`
		Beat        *float64    `json:"beat,omitempty"`
		Ended       *float64    `json:"ended,omitempty"` // not of a run at work
		Outcome     string      `json:"outcome,omitempty"`
		Next        *shownParty `json:"next"`
		NextExpires *float64    `json:"nextExpires,omitempty"`
	}
	d := shown{Domain: l.domain, Now: l.now.UTC(), Token: l.Token}
	current, next := l.alive()
	if l.Current.ID != "" {
		d.Current = &shownParty{l.Current.ID, l.Current.Owner, current}
		d.Started, d.NotBefore, d.Beat = new(l.Started.Seconds()), new(l.NotBefore.Seconds()), new(l.Beat.Seconds())
		if l.Over {
			d.Ended, d.Outcome = new(l.Ended.Seconds()), l.Outcome
		}
	}
	if l.Next.ID != "" {
		d.Next, d.NextExpires = &shownParty{l.Next.ID, l.Next.Owner, next}, new(l.NextExpires.Seconds())
	}
	return d
}
