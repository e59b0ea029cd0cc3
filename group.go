package jobqueue

import (
	"context"
	"fmt"
	"slices"
)

// Routes say which backend keeps which job type, and how types are treated.
type Routes struct {
	Default   Backend                 // for every type without a backend of its own; required, unless Inline runs all jobs
	Types     map[string]Backend      // by type
	Exclude   []string                // types that run only when asked for by name
	ReadOnly  string                  // a reason refuses push, pop, delete and requeue
	MaxParams int                     // bytes of parameters per job; 0 means DefaultMaxParams
	Policy    func(typ string) Policy // zero fields mean the defaults; nil means all defaults
	Control   Control                 // keeps what is paused; nil means Default, if it is one
	// Knows reports whether a domain is one of the farm's; what is pushed for another one, the group's own too, is an [ErrInvalid], since
	// nobody would run it. Nil means that all are. It is called while something is pushed, for each queue.
	Knows func(domain string) bool
	// Aggregator is told, in the background, of the queues that get jobs; nil means that runners ask every backend.
	Aggregator Aggregator
	Trace      *Trace

	// Async reports whether the jobs of a queue are stored; those of others run inline, see [Group.Push]. Nil
	// means that all are.
	Async func(n Name) bool
	// Fallback reports whether a job of the type runs inline when it could not be stored. Nil means that none does.
	Fallback func(typ string) bool
	// Inline makes a job ready to run in this process; package runner has one. The error says why it cannot be; with
	// neither an error nor run the job is not for this process, and is stored. What run returns, and
	// any panic, is an error of the job; it keeps to the policy of g, which pushes the job. Async and Fallback need it.
	Inline func(g *Group, c *Claim) (run func(ctx context.Context) error, err error)
	// Events returns the jobs that an event becomes, see [Group.Emit]; an [ErrUnknownEvent] if there is no such event.
	Events func(e Event) ([]Spec, error)
}

// A Group is how programs reach queues: it routes job types to backends, for a
// home domain. It checks what is pushed, splits and joins batches, and turns
// policies into what backends are told. It is safe for concurrent use.
type Group struct {
	*routes
	domain string
}

type routes struct {
	Routes
	backends  []Backend // each once, the default first
	maxParams int
	pauses    pauses
	notes     *notifier // nil without an aggregator
}

// NewGroup returns a group at home in domain. It panics without a default
// backend, unless it has Inline and no backend at all, if Inline is missing, and if the domain is no valid part of a [Name].
func NewGroup(domain string, r Routes) *Group {
	switch {
	case r.Default == nil && (r.Inline == nil || len(r.Types) > 0):
		panic("jobqueue: new group: Routes.Default is required")
	case r.Inline == nil && (r.Async != nil || r.Fallback != nil):
		panic("jobqueue: new group: Routes.Async and Fallback need Inline")
	}
	if err := checkPart("domain", domain); err != nil {
		panic("jobqueue: new group: " + err.Error())
	}
	rs := &routes{Routes: r, maxParams: r.MaxParams}
	if r.Default != nil {
		rs.backends = []Backend{r.Default}
	}
	def(&rs.maxParams, DefaultMaxParams)
	rs.pauses.turn = make(chan struct{}, 1)
	if rs.Control == nil {
		rs.Control, _ = r.Default.(Control)
	}
	for _, b := range r.Types {
		if !slices.Contains(rs.backends, b) {
			rs.backends = append(rs.backends, b)
		}
	}
	if rs.Trace == nil {
		rs.Trace = &Trace{}
	}
	if rs.Aggregator != nil {
		rs.notes = &notifier{aggregator: rs.Aggregator, trace: rs.Trace}
	}
	return &Group{rs, domain}
}

// On returns the same group at home in another domain. It does no I/O and no
// check; a bad domain is found when something is pushed.
func (g *Group) On(domain string) *Group { return &Group{g.routes, domain} }

// Domain returns the home domain.
func (g *Group) Domain() string { return g.domain }

// Backends returns every backend that types are routed to, each once.
func (g *Group) Backends() []Backend { return slices.Clone(g.backends) }

// Backend returns the backend of a type; nil if the group has none at all.
func (g *Group) Backend(typ string) Backend {
	if b, ok := g.Types[typ]; ok {
		return b
	}
	return g.Default
}

// Excluded reports whether a type runs only when asked for by name.
func (g *Group) Excluded(typ string) bool { return slices.Contains(g.Exclude, typ) }

// Policy returns the policy of a type with every default filled in.
func (g *Group) Policy(typ string) Policy {
	if g.Routes.Policy == nil {
		return Policy{}.WithDefaults()
	}
	return g.Routes.Policy(typ).WithDefaults()
}

// Queue returns the queue of a type on the home domain.
func (g *Group) Queue(typ string) Queue { return &queue{g, Name{g.domain, typ}} }

func (g *Group) writable() error {
	if g.ReadOnly != "" {
		return fmt.Errorf("%w: %s", ErrReadOnly, g.ReadOnly)
	}
	return nil
}
