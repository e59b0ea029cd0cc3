package schedule

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	newCost = 10 * time.Millisecond // of a place while nothing is known about the type
	minCost = 10 * time.Microsecond // of any place: claiming and settling are no runs, but take time

	// credit is how far a domain that got less than its share, as it was charged too much or could not be
	// admitted, may lag behind, in milliseconds of virtual time.
	credit = 1000

	// forgiven is after how long without a place a domain owes nothing any more, and
	// may be forgotten if it has no work.
	forgiven = 10 * time.Minute
)

// A Sharer shares places for jobs out over the queues that have work. Each place goes to the
// class whose turn it is, there to the domain, and there to the type that has waited for longest.
//
// Whose turn it is follows from what each has used, in milliseconds of runners: at once
// what a run usually takes, and once that is known what it took. A class or domain that
// had no work begins with as much as those have that are to be served next:
// it is served soon, and nothing is saved up.
//
// A Sharer is not safe for concurrent use. Its calls cost no more than the logarithm of
// the number of ready queues for each place or queue they are about.
type Sharer struct {
	plan    Plan
	rand    *rand.Rand
	classes []*class
	types   map[string]*typ
	sources map[int][]*queue
	now     float64 // as class.now, for the tags of the classes
	turn    uint64
	round   uint64
	idle    int // flows without work that were not yet looked through
}

// A Place is room for one job of a queue.
type Place struct {
	jobqueue.Name
	Cost  time.Duration // what its domain was charged
	class int
	slot  float64 // the virtual time of the class
	start float64 // and of the domain, at which it begins
}

// An Answer is what a caller says of a queue that would get a place.
type Answer int

const (
	Admit    Answer = iota
	NoType          // no more of its type in this deal
	NoDomain        // no more of its domain in this deal
)

// NewSharer returns a Sharer. The seed decides which of two domains with equal rights goes first.
func NewSharer(seed uint64, p Plan) *Sharer {
	return &Sharer{
		plan: p, rand: rand.New(rand.NewPCG(seed, seed)), classes: p.classes(),
		types: map[string]*typ{}, sources: map[int][]*queue{},
	}
}

// Replace says that of all queues of a source, such as a store, these are ready.
// The queues of two sources should differ.
func (s *Sharer) Replace(now time.Time, source int, ready []jobqueue.Backlog) {
	s.round++
	before := s.sources[source]
	after := make([]*queue, 0, len(ready))
	for _, b := range ready {
		q := s.queue(now, b.Name)
		if q.round == s.round {
			continue
		}
		q.round = s.round
		s.add(q, now.Add(-b.Age))
		if f := q.flow; now.Sub(f.served) > forgiven && f.tag > f.class.now {
			f.move((f.class.now - f.tag) * f.weight)
		}
		after = append(after, q)
	}
	for _, q := range before {
		if q.round != s.round {
			s.remove(q)
		}
	}
	s.sources[source] = after
	s.forget(now)
}

// Add says that a queue of a source has become ready.
func (s *Sharer) Add(now time.Time, source int, n jobqueue.Name) {
	q := s.queue(now, n)
	if q.pos == notReady {
		s.add(q, now)
		s.sources[source] = append(s.sources[source], q)
	}
}

// Remove says that a queue has no work at the moment.
func (s *Sharer) Remove(n jobqueue.Name) {
	if q := s.find(n); q != nil {
		s.remove(q)
	}
}

// Ready returns how many queues are ready.
func (s *Sharer) Ready() (n int) {
	for _, t := range s.types {
		n += len(t.heap)
	}
	return n
}

// Deal gives out at most n places, in the order in which their jobs should begin. Before each it
// asks admit. A queue may get more places than it has jobs.
func (s *Sharer) Deal(now time.Time, n int, admit func(n jobqueue.Name, cost time.Duration) Answer) []Place {
	var places []Place
	var closed []*typ
	var aside []*flow
	for len(places) < n {
		c, f := s.next()
		if f == nil {
			break
		}
		q := f.next()
		cost := q.cost()
		switch admit(q.name, cost) {
		case NoType:
			q.typ.closed = true
			closed = append(closed, q.typ)
		case NoDomain:
			f.withdraw()
			aside = append(aside, f)
		default:
			places = append(places, s.place(now, c, q, cost))
		}
	}
	for _, t := range closed {
		t.closed = false
	}
	for _, f := range aside {
		f.restore()
	}
	return places
}

// next returns the class to be served next and the domain in it; nil if nothing is ready.
func (s *Sharer) next() (class *class, first *flow) {
	for _, c := range s.classes {
		if class != nil && c.tag >= class.tag {
			continue
		}
		if f := c.next(); f != nil {
			class, first = c, f
		}
	}
	return class, first
}

func (s *Sharer) place(now time.Time, c *class, q *queue, cost time.Duration) Place {
	f := q.flow
	s.turn++
	q.turn, q.since, f.served = s.turn, now, now
	c.tag, f.tag = max(c.tag, s.now-credit), max(f.tag, c.now-credit)
	p := Place{q.name, cost, c.index, c.tag, f.tag}
	c.tag += ms(cost) / c.share
	f.move(ms(cost))
	return p
}

// Begun says that workers have begun with all places up to p, of those that were dealt. Who has
// become ready since begins there.
func (s *Sharer) Begun(p Place) {
	s.now = max(s.now, p.slot)
	c := s.classes[p.class]
	c.now = max(c.now, p.start)
}

// Charge adds to what a queue's domain and class have used: what a run takes longer than
// its place costs. It is less than 0 for one that took less, and for a place without a job.
func (s *Sharer) Charge(now time.Time, n jobqueue.Name, more time.Duration) {
	q := s.queue(now, n)
	q.flow.move(ms(more))
	q.flow.class.tag += ms(more) / q.flow.class.share
}

// Learn says how long runs of a queue took on average.
func (s *Sharer) Learn(now time.Time, n jobqueue.Name, each time.Duration) {
	q := s.queue(now, n)
	learn(&q.each, ms(each))
	learn(&q.typ.each, ms(each))
}

func learn(average *float64, measured float64) {
	if *average == 0 {
		*average = measured
	}
	*average += (measured - *average) / 4
}

// cost returns what a place of the queue costs.
func (q *queue) cost() time.Duration {
	each := q.each
	if each == 0 {
		each = q.typ.each
	}
	if each == 0 {
		return newCost
	}
	return max(time.Duration(each*float64(time.Millisecond)), minCost)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// find returns what is known about a queue; nil if that is nothing.
func (s *Sharer) find(n jobqueue.Name) *queue {
	t := s.types[n.Type]
	if t == nil {
		return nil
	}
	if f := t.class.flows[n.Domain]; f != nil {
		return f.all[n.Type]
	}
	return nil
}

// queue returns a queue, which becomes known.
func (s *Sharer) queue(now time.Time, n jobqueue.Name) *queue {
	t := s.types[n.Type]
	if t == nil {
		t = &typ{name: n.Type, class: s.classes[s.plan.class(n.Type, len(s.classes))]}
		t.class.types = append(t.class.types, t)
		s.types[n.Type] = t
	}
	f := t.class.flows[n.Domain]
	if f == nil {
		f = &flow{
			class: t.class, domain: n.Domain, weight: s.plan.weight(n.Domain), tag: t.class.now,
			tie: s.rand.Uint64(), all: map[string]*queue{}, served: now,
		}
		t.class.flows[n.Domain] = f
		s.idle++
	}
	q := f.all[n.Type]
	if q == nil {
		q = &queue{name: n, flow: f, typ: t, pos: notReady}
		f.all[n.Type] = q
	}
	return q
}

func (s *Sharer) add(q *queue, since time.Time) {
	f := q.flow
	if q.pos != notReady {
		return
	}
	q.since = since
	if f.class.ready++; f.class.ready == 1 {
		f.class.tag = max(f.class.tag, s.now)
	}
	if len(f.ready) == 0 {
		f.tag = max(f.tag, f.class.now)
	}
	f.ready = append(f.ready, q)
	q.typ.push(q)
}

func (s *Sharer) remove(q *queue) {
	if q.pos == notReady {
		return
	}
	f := q.flow
	q.typ.remove(q)
	f.class.ready--
	f.ready = slices.DeleteFunc(f.ready, func(r *queue) bool { return r == q })
	if len(f.ready) == 0 {
		s.idle++
	}
}

// withdraw takes a flow out of the deal, and restore puts it back.
func (f *flow) withdraw() {
	f.aside = true
	for _, q := range f.ready {
		q.typ.remove(q)
	}
}

func (f *flow) restore() {
	f.aside = false
	for _, q := range f.ready {
		q.typ.push(q)
	}
}

// forget drops the domains that have no work and owe nothing, once there may be many of them.
func (s *Sharer) forget(now time.Time) {
	known := 0
	for _, c := range s.classes {
		known += len(c.flows)
	}
	if s.idle <= known/2 || s.idle < 100 {
		return
	}
	s.idle = 0
	for _, c := range s.classes {
		for domain, f := range c.flows {
			if len(f.ready) == 0 && (f.tag <= c.now || now.Sub(f.served) > forgiven) {
				delete(c.flows, domain)
			}
		}
	}
}
