package schedule

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// MinCost is what any place costs at least: claiming and settling take time too.
const MinCost = 10 * time.Microsecond

const (
	newCost = 10 * time.Millisecond // of a place while nothing is known about the type

	// credit is how far a domain that got less than its share, as it was charged too much or could not be
	// admitted, may lag behind, in milliseconds of virtual time.
	credit = 1000

	// forgiven is after how long without a place a domain owes nothing any more, and
	// may be forgotten if it has no work, as is what was learned about a queue.
	forgiven = 10 * time.Minute
)

// A Dealer shares places for jobs out over the queues that have work. Each place goes to the
// class whose turn it is, there to the domain, and there to the type that has waited for longest.
//
// Whose turn it is follows from what each has used, in milliseconds of runners: at once
// what a run usually takes, and once that is known what it took. A class or domain that
// had no work begins with as much as those have that are to be served next:
// it is served soon, and nothing is saved up.
//
// What a run turns out to take is charged before the next begins, also to the places that its domain has already got. So beside
// any flood a domain that becomes ready waits for no more of others' work than it has itself, and one of their jobs for each worker.
//
// A Dealer is not safe for concurrent use. Its calls cost no more than the logarithm of
// the number of ready queues for each place or queue they are about.
type Dealer struct {
	plan    Plan
	rand    *rand.Rand
	classes []*class
	types   map[string]*typ
	sources map[int][]*queue
	full    []*typ  // that were closed in the last deal
	dealt   int     // places in the last deal
	now     float64 // as class.now and class.top, for the tags of the classes
	top     float64
	turn    uint64
	round   uint64
	known   int // queues
	idle    int // queues without work that were not yet looked through

	mu    sync.Mutex
	noted []*flow // that were charged since their tags were moved last
}

// New returns a Dealer. The seed decides which of two domains with equal rights goes first.
func New(seed uint64, p Plan) *Dealer {
	d := &Dealer{
		plan: p, rand: rand.New(rand.NewPCG(seed, seed)), classes: p.classes(),
		types: map[string]*typ{}, sources: map[int][]*queue{},
	}
	for _, c := range d.classes {
		c.dealer = d
	}
	return d
}

// Replace says that of all queues of a source, such as a store, these are ready.
// The queues of two sources should differ.
func (d *Dealer) Replace(now time.Time, source int, ready []jobqueue.Backlog) {
	d.collect(now)
	d.round++
	before := d.sources[source]
	after := make([]*queue, 0, len(ready))
	for _, b := range ready {
		q := d.queue(now, b.Name)
		if q.round == d.round {
			continue
		}
		q.round = d.round
		d.add(q, now.Add(-b.Age))
		if f := q.flow; now.Sub(f.served) > forgiven && f.tag > f.class.now {
			f.move((f.class.least() - f.tag) * f.weight)
		}
		after = append(after, q)
	}
	for _, q := range before {
		if q.round != d.round {
			d.remove(q)
		}
	}
	d.sources[source] = after
	d.forget(now)
}

// Add says that a queue of a source has become ready.
func (d *Dealer) Add(now time.Time, source int, n jobqueue.Name) {
	d.collect(now)
	q := d.queue(now, n)
	if q.pos == notReady {
		d.add(q, now)
		d.sources[source] = append(d.sources[source], q)
	}
}

// Remove says that a queue has no work at the moment.
func (d *Dealer) Remove(n jobqueue.Name) {
	if q := d.find(n); q != nil {
		d.remove(q)
	}
}

// Ready returns how many queues of each type are ready.
func (d *Dealer) Ready() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, c := range d.classes {
			for _, t := range c.types {
				if !yield(t.name, len(t.heap)) {
					return
				}
			}
		}
	}
}

// Deal gives out at most n places, in the order in which their jobs should begin. Before each it
// asks admit. A queue may get more places than it has jobs.
func (d *Dealer) Deal(now time.Time, n int, admit func(p Place) Answer) []Place {
	d.collect(now)
	var places []Place
	var aside []*flow
	for _, t := range d.full {
		t.shut = false
	}
	d.full = d.full[:0]
	for len(places) < n {
		c, f := d.next()
		if f == nil {
			break
		}
		q := f.next()
		p := d.place(c, q)
		switch admit(p) {
		case NoRoom:
			d.close(q.typ)
		case NoType:
			d.close(q.typ)
			q.typ.shut = true
		case NoDomain:
			f.withdraw()
			aside = append(aside, f)
		default:
			d.give(now, q, p)
			if places == nil {
				places = make([]Place, 0, min(n, d.dealt+1)) // as many as last time
			}
			places = append(places, p)
		}
	}
	for _, t := range d.full {
		t.closed = false
	}
	for _, f := range aside {
		f.restore()
	}
	d.dealt = len(places)
	return places
}

func (d *Dealer) close(t *typ) {
	t.closed = true
	d.full = append(d.full, t)
}

// next returns the class to be served next and the domain in it; nil if nothing is ready.
func (d *Dealer) next() (class *class, first *flow) {
	for _, c := range d.classes {
		if class != nil && c.tag >= class.tag {
			continue
		}
		if f := c.next(); f != nil {
			class, first = c, f
		}
	}
	return class, first
}

// place returns the next place of a queue.
func (d *Dealer) place(c *class, q *queue) Place {
	f := q.flow
	slot, start := max(c.tag, d.top-credit), max(f.tag, c.top-credit)
	return Place{q.name, q.cost(), f, slot - ms(c.paid)/c.share, start - ms(f.paid)/f.weight}
}

// least is what [class.least] is, for a class.
func (d *Dealer) least() float64 {
	least := d.now
	for _, c := range d.classes {
		if c.ready > 0 {
			least = min(least, c.tag)
		}
	}
	return max(least, d.top-credit)
}

func (d *Dealer) give(now time.Time, q *queue, p Place) {
	d.turn++
	f, c := q.flow, q.flow.class
	q.turn, q.since, f.served = d.turn, now, now
	c.tag = max(c.tag, d.top-credit) + ms(p.Cost)/c.share
	f.tag = max(f.tag, c.top-credit)
	f.move(ms(p.Cost))
}

// Begun says that workers have begun with all places up to p, of those that were dealt. Who has
// become ready since begins there.
func (d *Dealer) Begun(p Place) {
	if p.Cost == 0 {
		return // it was not dealt
	}
	c := p.flow.class
	d.now, c.now = p.begins()
	d.top, c.top = max(d.top, d.now), max(c.top, c.now)
}

// Caught says that all places that were dealt have begun, or have no job. Those that have work may be
// far ahead of what began last, if that goes on for long; who becomes ready since begins little before them.
func (d *Dealer) Caught(now time.Time) {
	d.collect(now)
	ready := math.Inf(1)
	for _, c := range d.classes {
		if least := c.first(); !math.IsInf(least, 1) {
			ready = min(ready, c.tag)
			c.now = max(c.now, least-credit)
		}
	}
	if !math.IsInf(ready, 1) {
		d.now = max(d.now, ready-credit)
	}
}

// Learn says how long runs of a queue took on average.
func (d *Dealer) Learn(now time.Time, n jobqueue.Name, each time.Duration) {
	q := d.queue(now, n)
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
	return max(time.Duration(each*float64(time.Millisecond)), MinCost)
}

// find returns what is known about a queue; nil if that is nothing.
func (d *Dealer) find(n jobqueue.Name) *queue {
	t := d.types[n.Type]
	if t == nil {
		return nil
	}
	if f := t.class.flows[n.Domain]; f != nil {
		return f.all[n.Type]
	}
	return nil
}

// queue returns a queue, which becomes known.
func (d *Dealer) queue(now time.Time, n jobqueue.Name) *queue {
	t := d.types[n.Type]
	if t == nil {
		t = &typ{name: n.Type, class: d.classes[d.plan.class(n.Type, len(d.classes))]}
		d.types[n.Type] = t
	}
	f := d.flow(now, t.class, n.Domain)
	q := f.all[n.Type]
	if q == nil {
		q = &queue{name: n, flow: f, typ: t, pos: notReady, since: now}
		f.all[n.Type] = q
		t.known++
		d.known++
		d.idle++
	}
	return q
}

func (d *Dealer) flow(now time.Time, c *class, domain string) *flow {
	f := c.flows[domain]
	if f == nil {
		f = &flow{
			class: c, domain: domain, weight: d.plan.weight(domain), tag: c.least(),
			tie: d.rand.Uint64(), all: map[string]*queue{}, served: now,
		}
		c.flows[domain] = f
	}
	return f
}

func (d *Dealer) add(q *queue, since time.Time) {
	f := q.flow
	if q.pos != notReady {
		return
	}
	q.since = since
	if f.class.ready == 0 {
		f.class.tag = max(f.class.tag, d.least())
	}
	f.class.ready++
	if len(f.ready) == 0 {
		f.tag = max(f.tag, f.class.least())
	}
	f.ready = append(f.ready, q)
	q.typ.push(q)
}

func (d *Dealer) remove(q *queue) {
	if q.pos == notReady {
		return
	}
	f := q.flow
	q.typ.remove(q)
	f.class.ready--
	f.ready = slices.DeleteFunc(f.ready, func(r *queue) bool { return r == q })
	d.idle++
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
