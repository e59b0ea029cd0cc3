package jobqueue

import (
	"fmt"
	"slices"
)

// Routes say which backend keeps which job type, and how types are treated.
type Routes struct {
	Default   Backend                 // for every type without a backend of its own; required
	Types     map[string]Backend      // by type
	Exclude   []string                // types that run only when asked for by name
	ReadOnly  string                  // a reason refuses push, pop, delete and requeue
	MaxParams int                     // bytes of parameters per job; 0 means DefaultMaxParams
	Policy    func(typ string) Policy // zero fields mean the defaults; nil means all defaults
	Control   Control                 // keeps what is paused; nil means Default, if it is one
	// Aggregator is told, in the background, of the queues that get jobs; nil means that runners ask every backend.
	Aggregator Aggregator
	Trace      *Trace
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
// backend, and if the domain is no valid part of a [Name].
func NewGroup(domain string, r Routes) *Group {
	if r.Default == nil {
		panic("jobqueue: new group: Routes.Default is required")
	}
	if err := checkPart("domain", domain); err != nil {
		panic("jobqueue: new group: " + err.Error())
	}
	rs := &routes{Routes: r, backends: []Backend{r.Default}, maxParams: r.MaxParams}
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

// Backend returns the backend of a type.
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
