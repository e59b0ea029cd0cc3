package schedule

import (
	"math"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Place is room for one job of a queue.
type Place struct {
	jobqueue.Name
	Cost time.Duration // what its domain was charged
	flow *flow

	// The virtual times of the class and the domain at which it begins, without what these were charged.
	slot, start float64
}

// An Answer is what a caller says of a queue that would get a place.
type Answer int

const (
	Admit    Answer = iota
	NoRoom          // no more of its type in this deal
	NoType          // nor for a while: domains that get work now need not wait for those that have jobs of it
	NoDomain        // no more of its domain in this deal
)

// Extra returns a place for a job of a queue that came without one. It costs nothing and goes before all others.
func (d *Dealer) Extra(now time.Time, n jobqueue.Name) Place {
	return Place{n, 0, d.queue(now, n).flow, ahead, ahead}
}

// Charge adds to what the domain and class of a place that was dealt have used: what its run, of MinCost at least, takes
// longer than its Cost. It is less than 0 for one that took less. At once their other places
// begin that much later in the order. Unlike the methods of a Dealer it may be called at any time.
func (p *Place) Charge(more time.Duration) {
	f := p.flow
	f.class.used.Add(int64(more))
	f.used.Add(int64(more))
	if !f.noted.Swap(true) {
		f.class.dealer.note(f)
	}
}

// Refund takes back what a place cost that has no job.
func (d *Dealer) Refund(p Place) {
	p.flow.move(-ms(p.Cost))
	p.flow.class.tag -= ms(p.Cost) / p.flow.class.share
}

func (d *Dealer) note(f *flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted = append(d.noted, f)
}

// collect moves the tags by what was charged.
func (d *Dealer) collect(now time.Time) {
	for _, c := range d.classes {
		used := c.used.Load()
		c.tag += ms(used-c.paid) / c.share
		c.paid = used
	}
	d.mu.Lock()
	noted := d.noted
	d.noted = nil
	d.mu.Unlock()
	for _, f := range noted {
		f.noted.Store(false)
		used := f.used.Load()
		more := ms(used - f.paid)
		f.paid = used
		if f.gone {
			f = d.flow(now, f.class, f.domain) // it still owes for what went on
		}
		f.move(more)
	}
}

// begins returns the virtual times of the class and the domain at which the place begins.
func (p Place) begins() (slot, start float64) {
	f := p.flow
	return p.slot + ms(f.class.used.Load())/f.class.share, p.start + ms(f.used.Load())/f.weight
}

// A Share is a domain in a class. It is comparable.
type Share struct{ *flow }

// Share returns whose place it is.
func (p Place) Share() Share { return Share{p.flow} }

// ahead is when a place begins that goes before all others.
var ahead = math.Inf(-1)

func ms[T ~int64](d T) float64 { return float64(d) / float64(time.Millisecond) }
