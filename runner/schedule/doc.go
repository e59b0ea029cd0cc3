// Package schedule decides which queues a runner asks next. It does no I/O and reads no clock: the
// same seed and the same calls give the same answers, so that it can be simulated, see package
// simulate.
//
// It is a hierarchy of virtual times. Each class of types has one, and in each class each domain: what it has
// used, in milliseconds of workers, divided by its share or weight. Whoever has the least is served
// next. Of the types of a domain it is the one that has waited for longest.
//
//	Dealer ── class ── flow: a domain in a class ── queue: one of its types
//	   │                          │
//	   └── typ: a heap of the ready queues of one type, by the virtual times of their flows
//
// A type that cannot be run at the moment costs nothing that way, however many
// domains have jobs of it.
//
// Places are dealt ahead of their jobs' beginning. Each bears the virtual times at which it
// begins, by which [Sort] orders jobs of several deals.
package schedule
