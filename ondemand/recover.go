package ondemand

import (
	"context"
	"time"
)

// Recover sees to it that domains are run for which another process was on deck, or at work, and died. A program
// calls it once when it starts: what its last life was poked for, and had written down, is not forgotten. It reads all
// leases once; each that somebody has a place of is looked at again when that must have been used or given up.
func (r *Runner) Recover(ctx context.Context) error {
	all, err := r.o.Leases.All(ctx)
	if err != nil {
		return err
	}
	u := r.o.Leases.Rules.WithDefaults()
	for domain, now := range all {
		if d, ok := now.Doubt(u); ok {
			r.later(&want{domain: domain, lost: true}, d)
		}
	}
	return nil
}

// find looks whether a place of a domain's lease was given up by who had it, who may have died; if so the domain is poked.
func (r *Runner) find(w *want) {
	ctx, cancel := context.WithTimeout(r.ctx, callTime)
	defer cancel()
	now, err := r.o.Leases.Read(ctx, w.domain)
	if err != nil {
		w.rest = min(max(2*w.rest, firstRest), mostRest)
		r.later(w, w.rest)
		return
	}
	switch d, ok := now.Doubt(r.o.Leases.Rules.WithDefaults()); {
	case !ok:
	case d > 0:
		r.later(w, max(d, time.Millisecond))
	default:
		r.Poke(w.domain)
	}
}
