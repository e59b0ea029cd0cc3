package queuedb

import (
	"context"

	"github.com/wikifarm/jobqueue"
)

// Maintain implements [jobqueue.Backend].
func (b *Backend) Maintain(ctx context.Context) (jobqueue.Maintained, error) {
	var m jobqueue.Maintained
	steps := []func(tx) error{
		func(t tx) (err error) {
			m.Recycled, err = t.sweep()
			return err
		},
		func(t tx) error {
			var d due
			if err := t.Query("later_due_any", d.row, t.now, int64(releaseBatch)); err != nil {
				return err
			}
			d.cut(releaseBatch)
			m.Released = len(d.ids)
			return t.release(d)
		},
		func(t tx) error {
			ids, err := t.numbers("abandoned_due", t.now, int64(pruneBatch))
			if err != nil || len(ids) == 0 {
				return err
			}
			m.Pruned = len(ids)
			if _, err := t.Exec("abandoned_delete", ids); err != nil {
				return err
			}
			_, err = t.Exec("job_delete", ids)
			return err
		},
		func(t tx) error {
			for statement, before := range map[string]int64{
				"push_forget":  t.now - micros(jobqueue.PushMemory),
				"root_forget":  t.now - micros(jobqueue.RootMemory),
				"claim_forget": t.now,
				"value_forget": t.now,
			} {
				n, err := t.Exec(statement, before, int64(forgetBatch))
				if err != nil {
					return err
				}
				m.Forgotten += n
			}
			_, err := t.Exec("rate_forget", t.now*1000, int64(forgetBatch))
			return err
		},
	}
	for _, step := range steps {
		if err := b.write(ctx, step); err != nil {
			return m, err
		}
	}
	return m, nil
}
