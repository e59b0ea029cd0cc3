// Package metrics counts what the groups and the runners of a process do, looks at their
// stores when it is asked, and tells it all to Prometheus. It works with every backend.
//
//	m := metrics.New(metrics.Options{Types: reg.Types()})
//	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: backend, Trace: m.Trace()})
//	m.Watch(g)
//	go http.ListenAndServe(":9199", m.Handler())
//	o := runner.Options{Wait: true}
//	m.Runner(&o)
//	runner.Run(ctx, g, reg, &o)
//
// Counters and histograms are of the process: their sum over processes is that of the farm. What
// is read from the stores is of the farm: every process says the same, so take the maximum.
package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wikifarm/jobqueue/ondemand"
	"github.com/wikifarm/jobqueue/service"
)

// Other is the label of all types, or domains, that are too many to have one of their own.
const Other = "other"

// Options say what gets a label of its own. The zero Options are fine.
type Options struct {
	// Types and Domains have a label from the start, whatever others there are, as far as there
	// is room: nobody can take it from them by pushing jobs with made-up names.
	Types   []string
	Domains []string

	// MaxTypes and MaxDomains are how many labels there may be. The rest share the
	// label [Other]. Default 100 and 50; negative means none.
	MaxTypes, MaxDomains int

	// Every is the least time between two looks at a store, however often metrics are
	// asked for. After a look that took long it is ten times as long as that. Default 10 s.
	Every time.Duration

	// CountEvery has the jobs of each type, and of each domain, counted by their state, at most so often. That is dear in a very
	// large store, so by default it is not done.
	CountEvery time.Duration
}

// Metrics is a [prometheus.Collector]. It is safe for concurrent use.
type Metrics struct {
	o       Options
	vecs    vecs
	domains labels[*domain]
	types   labels[*kind]
	sight   atomic.Pointer[sight]
	health  health
	reloads reloads

	hands    [shards]hand
	near     sync.Pool // of *hand: it keeps for each processor the one that it had last
	given    atomic.Uint64
	services atomic.Pointer[service.Set]
	onDemand atomic.Pointer[ondemand.Runner]

	handler sync.Once
	gather  prometheus.Gatherer
}

// New returns metrics of nothing so far.
func New(o Options) *Metrics {
	orElse(&o.MaxTypes, 100)
	orElse(&o.MaxDomains, 50)
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	m := &Metrics{o: o, vecs: newVecs()}
	for i := range m.hands {
		m.hands[i].shard = i
	}
	m.near.New = m.nextHand
	m.types.init(o.MaxTypes, m.newKind, o.Types)
	m.domains.init(o.MaxDomains, func(name string) *domain { return &domain{name} }, o.Domains)
	return m
}

// Know gives more types and domains labels of their own, as far as there is room, as [Options] do.
func (m *Metrics) Know(types, domains []string) {
	m.types.know(types)
	m.domains.know(domains)
}

func orElse(n *int, def int) {
	if *n == 0 {
		*n = def
	}
	*n = max(*n, 0)
}

// A domain has a label of its own.
type domain struct{ name string }

// labels are the things that have labels of their own, and one for all others.
type labels[T any] struct {
	most  int
	make  func(label string) T
	known atomic.Pointer[map[string]T] // replaced, never changed
	mu    sync.Mutex
	other T
	full  bool // other exists
}

func (l *labels[T]) init(most int, mk func(string) T, first []string) {
	l.most, l.make = most, mk
	l.known.Store(&map[string]T{})
	l.know(first)
}

func (l *labels[T]) know(names []string) {
	for _, name := range names {
		if len(*l.known.Load()) >= l.most {
			return
		}
		l.get(name)
	}
}

// get returns what a name has, which may be what the others have.
func (l *labels[T]) get(name string) T {
	if t, ok := (*l.known.Load())[name]; ok {
		return t
	}
	return l.add(name)
}

func (l *labels[T]) add(name string) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := *l.known.Load()
	if t, ok := known[name]; ok {
		return t
	}
	if name == Other || len(known) >= l.most {
		if !l.full {
			l.other, l.full = l.make(Other), true
		}
		return l.other
	}
	t := l.make(valid(name))
	grown := make(map[string]T, len(known)+1)
	for k, v := range known {
		grown[k] = v
	}
	grown[name] = t
	l.known.Store(&grown)
	return t
}

// all returns everything that has a label.
func (l *labels[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []T
	for _, t := range *l.known.Load() {
		all = append(all, t)
	}
	if l.full {
		all = append(all, l.other)
	}
	return all
}
