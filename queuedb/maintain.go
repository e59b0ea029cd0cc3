package queuedb

import (
	"context"

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
	return m, nil
}

func recycleLapsed(t tx, m *jobqueue.Maintained) (more bool, err error) {
	m.Recycled, more, err = t.sweep()
	return more, err
}

func releaseDue(t tx, m *jobqueue.Maintained) (more bool, err error) {
	m.Released, err = t.releaseDue(releaseBatch)
	return m.Released == releaseBatch, err
}

func pruneAbandoned(t tx, m *jobqueue.Maintained) (more bool, err error) {
	ids, err := t.numbers("abandoned_due", t.now, int64(pruneBatch))
	if err != nil || len(ids) == 0 {
		return false, err
	}
	m.Pruned = len(ids)
	if _, err := t.Exec("abandoned_delete", ids); err != nil {
		return false, err
	}
	_, err = t.Exec("job_delete", ids)
	return len(ids) == pruneBatch, err
}

func forget(t tx, m *jobqueue.Maintained) (more bool, err error) {
	for statement, before := range map[string]int64{
		"push_forget":  t.now - micros(jobqueue.PushMemory),
		"root_forget":  t.now - micros(jobqueue.RootMemory),
		"claim_forget": t.now,
		"value_forget": t.now,
	} {
		n, err := t.Exec(statement, before, int64(forgetBatch))
		if err != nil {
			return false, err
		}
		m.Forgotten += n
		more = more || n == forgetBatch
	}
	n, err := t.Exec("rate_forget", t.now*1000, int64(forgetBatch))
	return more || n == forgetBatch, err
}
