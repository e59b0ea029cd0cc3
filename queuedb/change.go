package queuedb

import (
	"context"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// Delete implements [jobqueue.Backend].
func (b *Backend) Delete(ctx context.Context, f jobqueue.Filter) (int, error) {
	if f.States == nil {
		f.States = []jobqueue.State{jobqueue.Ready, jobqueue.Delayed, jobqueue.Abandoned}
	}
	return b.change(ctx, f, func(t tx, ids Numbers) error {
		if err := t.Exec("dedupe_delete", ids); err != nil {
			return err
		}
		if err := t.Exec("abandoned_delete", ids); err != nil {
			return err
		}
		return t.deleteJobs(ids)
	})
}

// Requeue implements [jobqueue.Backend].
func (b *Backend) Requeue(ctx context.Context, f jobqueue.Filter) (int, error) {
	if f.States == nil {
		f.States = []jobqueue.State{jobqueue.Abandoned}
	}
	f.States = slices.DeleteFunc(slices.Clone(f.States), func(s jobqueue.State) bool { return s == jobqueue.Ready })
	if len(f.States) == 0 {
		return 0, nil
	}
	return b.change(ctx, f, func(t tx, ids Numbers) error {
		positions, err := t.positions(len(ids))
		if err != nil {
			return err
		}
		// Each job is found by one of the two.
		if err := t.ExecEach("job_reset", positions, []int64(ids)); err != nil {
			return err
		}
		if err := t.ExecEach("job_reopen", positions, []int64(ids)); err != nil {
			return err
		}
		if err := t.Exec("abandoned_delete", ids); err != nil {
			return err
		}
		return t.putReady(ids, column(len(ids), t.now()))
	})
}

// change takes the jobs that f matches out of where they wait or are held and hands them
// to do, a page in each transaction. Abandoned ones still are.
func (b *Backend) change(ctx context.Context, f jobqueue.Filter, do func(tx, Numbers) error) (changed int, err error) {
	c, err := newCursor(f)
	if err != nil {
		return 0, err
	}
	c.hold = true
	for !c.end {
		n, next := 0, *c
		err := b.write(ctx, func(t tx) error {
			n, next = 0, *c
			var claims []*live
			places, err := next.next(t, func() (_ []*live, err error) {
				claims, err = t.lives()
				return claims, err
			})
			if err != nil || len(places) == 0 {
				return err
			}
			ids, err := t.pullOut(places, claims)
			if err != nil {
				return err
			}
			n = len(ids)
			return do(t, ids)
		})
		if err != nil {
			return changed, err
		}
		changed += n
		*c = next
	}
	return changed, nil
}

// holdRounds is how often hold looks again for what moved meanwhile.
const holdRounds = 3

// hold keeps jobs where they are, and the claims of those that are nowhere, until the transaction ends.
func (t tx) hold(ids Numbers) error {
	if t.Exclusive() {
		return nil
	}
	for round := range holdRounds {
		if _, err := t.numbers("place_hold", ids, true); err != nil {
			return err
		}
		claimed, err := t.numbers("claim_hold", ids)
		if err != nil {
			return err
		}
		// While it waited for claims, jobs may have been given back.
		held, err := t.numbers("place_hold", ids, true)
		if err != nil {
			return err
		}
		places, err := t.places(ids, true)
		if err != nil {
			return err
		}
		slices.Sort(claimed)
		slices.Sort(held)
		moved, nowhere := false, false
		for _, p := range places {
			if p.since == 0 && p.release == 0 && !p.abandoned {
				nowhere = nowhere || !has(claimed, p.id)
			} else {
				moved = moved || !has(held, p.id)
			}
		}
		// What is nowhere again and again is so because of damage.
		if !moved && (!nowhere || round == holdRounds-1) {
			return nil
		}
	}
	return ErrAgain
}

// pullOut takes jobs out of the tables that say where they wait, and out of their claims.
func (t tx) pullOut(places []place, claims []*live) (ids Numbers, err error) {
	var ready, later Numbers
	for _, p := range places {
		ids = append(ids, p.id)
		switch {
		case p.since != 0:
			ready = append(ready, p.id)
		case p.release != 0:
			later = append(later, p.id)
		case p.claim != nil:
			p.claim.take(p.id)
		}
	}
	for statement, part := range map[string]Numbers{"ready_delete": ready, "later_delete": later} {
		if len(part) == 0 {
			continue
		}
		if err := t.Exec(statement, part); err != nil {
			return nil, err
		}
	}
	for _, c := range claims {
		if c.changed() {
			if err := c.write(t); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}
