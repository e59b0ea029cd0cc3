package schedule

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A class is types of one urgency. Its tag, as that of a flow, is the virtual time at which its
// next place begins: each place moves it by what the place costs, divided by the share.
type class struct {
	index int
	share float64
	tag   float64
	now   float64 // the start of the place of the class that a worker has begun with last
	top   float64 // the latest such start
	flows map[string]*flow
	types []*typ // that have ready queues
	ready int    // queues

	dealer *Dealer
	used   atomic.Int64 // what was charged beyond what places cost, in nanoseconds
	paid   int64        // so far the tag has been moved by that
}

// A flow is the work of one domain in one class.
type flow struct {
	class  *class
	domain string
	weight float64
	tag    float64
	tie    uint64   // decides between equal tags
	ready  []*queue // a few
	all    map[string]*queue
	served time.Time // when it got its last place or, without one, became known
	aside  bool      // gets no more places in this deal
	gone   bool      // was forgotten

	used  atomic.Int64 // as of a class
	paid  int64
	noted atomic.Bool // in Dealer.noted
}

// A queue is what is known about one.
type queue struct {
	name  jobqueue.Name
	flow  *flow
	typ   *typ
	pos   int       // in the heap of its type; notReady
	since time.Time // how long it has waited for a place
	turn  uint64    // when it got its last place, among all places
	each  float64   // how long a run takes, in milliseconds; 0 is not known
	round uint64    // when it was said to be ready, among all calls that say so
}

const notReady = -1

// A typ is what is known about a type, and its ready queues as a heap by the tags of their flows.
type typ struct {
	name   string
	class  *class
	heap   []*queue
	each   float64
	closed bool // gets no more places in this deal
	shut   bool // could not get any in the last one
	known  int  // queues
}

func (a *queue) before(b *queue) bool { return a.flow.before(b.flow) }

func (f *flow) before(g *flow) bool {
	if f.tag != g.tag {
		return f.tag < g.tag
	}
	return f.tie < g.tie
}

func (t *typ) push(q *queue) {
	if len(t.heap) == 0 {
		t.class.types = append(t.class.types, t)
	}
	q.pos = len(t.heap)
	t.heap = append(t.heap, q)
	t.up(q.pos)
}

func (t *typ) remove(q *queue) {
	last := len(t.heap) - 1
	i := q.pos
	t.swap(i, last)
	t.heap[last] = nil
	t.heap = t.heap[:last]
	q.pos = notReady
	if i < last {
		t.fix(t.heap[i])
	}
	if last == 0 {
		t.class.types = slices.DeleteFunc(t.class.types, func(o *typ) bool { return o == t })
	}
}

// fix restores the order after the tag of the queue's flow has changed.
func (t *typ) fix(q *queue) {
	if i := q.pos; !t.down(i) {
		t.up(i)
	}
}

func (t *typ) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.heap[i].before(t.heap[parent]) {
			return
		}
		t.swap(i, parent)
		i = parent
	}
}

func (t *typ) down(i int) (moved bool) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].before(t.heap[least]) {
				least = child
			}
		}
		if least == i {
			return moved
		}
		t.swap(i, least)
		i, moved = least, true
	}
}

func (t *typ) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].pos, t.heap[j].pos = i, j
}

// move adds to the flow's tag.
func (f *flow) move(d float64) {
	f.tag += d / f.weight
	if f.aside {
		return
	}
	for _, q := range f.ready {
		q.typ.fix(q)
	}
}

// least returns the tag with which a flow begins that gets work: none that competes with it has less.
func (c *class) least() float64 {
	return max(min(c.now, c.first()), c.top-credit)
}

// first returns the least tag of those that can be served; infinite if there are none.
func (c *class) first() float64 {
	least := math.Inf(1)
	for _, t := range c.types {
		if !t.shut {
			least = min(least, t.heap[0].flow.tag)
		}
	}
	return least
}

// next returns the flow of the class that is to be served next; nil if there is none.
func (c *class) next() (first *flow) {
	for _, t := range c.types {
		if t.closed {
			continue
		}
		if f := t.heap[0].flow; first == nil || f.before(first) {
			first = f
		}
	}
	return first
}

// next returns the ready queue of the flow that has waited for longest, of those whose types are not closed.
func (f *flow) next() (first *queue) {
	for _, q := range f.ready {
		switch {
		case q.typ.closed:
		case first == nil, q.since.Before(first.since), q.since.Equal(first.since) && q.turn < first.turn:
			first = q
		}
	}
	return first
}
