package aggregator

import (
	"context"
	"errors"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Swept is what one Sweep did.
type Swept struct {
	Added   int // queues with work that had no entry
	Cleared int // entries without work
	Aged    int // entries whose age was wrong
	Kept    int // entries whose backend could not be asked
}

const (
	pageSize = 1000                    // entries in one call
	turnTime = 2500 * time.Millisecond // between two sweeps of those who take turns
)

// SweepInTurn sweeps unless somebody, of all who take turns, began to do so less than two and a half seconds
// ago; who says to people who it was. Those with the same [jobqueue.Routes].Control take turns; without one everybody sweeps.
func SweepInTurn(ctx context.Context, g *jobqueue.Group, a jobqueue.Aggregator, who string) (Swept, error) {
	if g.Control != nil {
		_, mine, err := g.Control.SetValue(ctx, jobqueue.Value{Key: "turn/sweep", Data: []byte(who), TTL: turnTime})
		if err != nil || !mine {
			return Swept{}, err
		}
	}
	return Sweep(ctx, g, a)
}

// Sweep makes an aggregator agree with what the backends of a group say: it adds what is
// missing, such as delayed jobs that have become due, and clears what is empty. Entries of
// a backend that cannot be asked are kept; the errors of these backends are returned,
// joined, when the rest is done. Any number of sweeps may run at once.
func Sweep(ctx context.Context, g *jobqueue.Group, a jobqueue.Aggregator) (s Swept, err error) {
	// The entries are read first: what is notified later has a newer version and stays.
	entries := map[jobqueue.Name]jobqueue.Backlog{}
	for q, err := range a.Ready(ctx) {
		if err != nil {
			return s, err
		}
		entries[q.Name] = q
	}
	silent, errs := map[jobqueue.Backend]bool{}, []error(nil)
	var add []jobqueue.Backlog
	for _, b := range g.Backends() {
		for q, err := range b.Ready(ctx) {
			if err != nil {
				silent[b], errs = true, append(errs, err)
				continue
			}
			if g.Backend(q.Type) != b {
				continue
			}
			e, known := entries[q.Name]
			delete(entries, q.Name)
			switch {
			case !known:
				s.Added++
			case wrong(e.Age, q.Age):
				s.Aged++
			default:
				continue
			}
			q.Age = max(q.Age, time.Microsecond) // 0 would leave the age as it is
			add = append(add, q)
		}
	}
	var gone []jobqueue.Backlog
	for _, e := range entries {
		if silent[g.Backend(e.Type)] {
			s.Kept++
			continue
		}
		gone = append(gone, e)
	}
	s.Cleared = len(gone)
	for ; len(add) > 0 && err == nil; add = add[min(pageSize, len(add)):] {
		err = a.Notify(ctx, add[:min(pageSize, len(add))]...)
	}
	for ; len(gone) > 0 && err == nil; gone = gone[min(pageSize, len(gone)):] {
		err = a.Clear(ctx, gone[:min(pageSize, len(gone))]...)
	}
	return s, errors.Join(append(errs, err)...)
}

// wrong reports whether an age is off by more than a second and a tenth.
func wrong(entry, age time.Duration) bool {
	return (entry - age).Abs() > time.Second+age/10
}
