package queuedb

import (
	"context"
	"math/rand/v2"

	"github.com/wikifarm/jobqueue"
)

// Maintain implements [jobqueue.Backend].
func (b *Backend) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	var m jobqueue.Maintained
	for _, step := range []func(tx, *jobqueue.Maintained) (more bool, err error){
		recycleLapsed, releaseDue, pruneAbandoned, forget,
	} {
		for round, more := 0, true; more && round < maintainRounds; round++ {
			var done jobqueue.Maintained
			err := b.write(ctx, func(t tx) (err error) {
				done = jobqueue.Maintained{}
				more, err = step(t, &done)
				return err
			})
			if err != nil {
				return m, err
			}
			m.Recycled += done.Recycled
			m.Released += done.Released
			m.Pruned += done.Pruned
			m.Forgotten += done.Forgotten
		}
	}
	found, err := b.findLost(ctx)
	m.Recycled += found
	return m, err
}

// findLost makes ready the jobs that nothing but damage leaves nowhere: neither ready nor
// delayed, claimed or abandoned. It looks at some of all jobs, others each time.
func (b *Backend) findLost(ctx context.Context) (found int, err error) {
	var ids Numbers
	err = b.read(ctx, func(t tx) error {
		last, err := t.numbers("number_last")
		if err != nil || len(last) == 0 {
			return err
		}
		if ids, err = t.numbers("list_jobs", rand.Int64N(last[0]+1), nil, int64(lostBatch)); err != nil {
			return err
		}
		if len(ids) < lostBatch {
			if ids, err = t.numbers("list_jobs", int64(0), nil, int64(lostBatch)); err != nil {
				return err
			}
		}
		ids, err = t.lost(ids)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	err = b.write(ctx, func(t tx) error {
		if !t.Exclusive() {
			if err := t.Exec("job_hold", ids); err != nil {
				return err
			}
		}
		still, err := t.lost(ids)
		found = len(still)
		if err != nil {
			return err
		}
		return t.putBack(still, column(found, t.now()))
	})
	return found, err
}

// lost returns those of the jobs that are nowhere.
func (t tx) lost(ids Numbers) (lost Numbers, err error) {
	places, err := t.places(ids, false)
	if err == nil {
		err = t.statesOf(places, t.lives)
	}
	for _, p := range places {
		if p.state == jobqueue.Claimed && p.claim == nil {
			lost = append(lost, p.id)
		}
	}
	return lost, err
}

func recycleLapsed(t tx, m *jobqueue.Maintained) (more bool, err error) {
	m.Recycled, more, err = t.sweep()
	return more, err
}

func releaseDue(t tx, m *jobqueue.Maintained) (more bool, err error) {
	m.Released, err = t.releaseDue(releaseBatch, true)
	return m.Released == releaseBatch, err
}

func pruneAbandoned(t tx, m *jobqueue.Maintained) (more bool, err error) {
	ids, err := t.numbers("abandoned_due", t.now(), int64(pruneBatch))
	if err != nil || len(ids) == 0 {
		return false, err
	}
	m.Pruned = len(ids)
	return len(ids) == pruneBatch, t.Exec("abandoned_delete", ids)
}

// forgetFew forgets as fast as its callers add, who add n, so that it keeps up though nobody calls
// Maintain. It mostly does nothing, as the statement costs as much for one row as for many.
func (t tx) forgetFew(statement string, before int64, n int) error {
	times := 0
	for range n {
		if rand.IntN(forgetEvery) == 0 {
			times++
		}
	}
	if times == 0 {
		return nil
	}
	return t.Exec(statement, before, int64(times*forgetFew))
}

func forget(t tx, m *jobqueue.Maintained) (more bool, err error) {
	for statement, before := range map[string]int64{
		"push_forget":  t.now() - micros(jobqueue.PushMemory),
		"root_forget":  t.now() - micros(jobqueue.RootMemory),
		"hold_forget":  t.now() - micros(jobqueue.HoldMemory),
		"claim_forget": t.now(),
		"value_forget": t.now(),
	} {
		n, err := t.Count(statement, before, int64(forgetBatch))
		if err != nil {
			return false, err
		}
		m.Forgotten += n
		more = more || n == forgetBatch
	}
	if old := t.b.late.forgettable(); old != "" {
		if err := t.Exec("late_forget", old, int64(forgetBatch)); err != nil {
			return false, err
		}
	}
	n, err := t.Count("rate_forget", t.now()*1000, int64(forgetBatch))
	return more || n == forgetBatch, err
}
