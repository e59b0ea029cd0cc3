package queuedb

import (
	"context"

	"github.com/wikifarm/jobqueue"
)

// PushWithin stores records as [Backend.Push] does, in a transaction of the caller's. It calls
// run once with what is to be done in it, which run may do again after [ErrAgain] if it has
// undone it. Until the commit no job is claimed that has a duplicate among the records,
// since it must not run before what the transaction does besides can be seen.
func (b *Backend) PushWithin(ctx context.Context, records []jobqueue.Record, run func(func(Tx) error) error) (jobqueue.Pushed, error) {
	if err := jobqueue.CheckPush(records); err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return jobqueue.Pushed{}, nil
	}
	headers, err := headersOf(records)
	if err != nil {
		return nil, err
	}
	// Queues are made before, because others would have to wait for one that is new.
	var queues found
	err = b.write(ctx, func(t tx) (err error) {
		queues, err = b.addQueues(t, (&pushing{records: records}).names())
		return err
	})
	if err != nil {
		return nil, err
	}
	b.remember(queues)
	c := &pushCall{records: records}
	err = run(func(t Tx) error {
		var lines lining
		p := pushing{tx: tx{t, b, &lines}, records: records, headers: headers, keeps: true}
		if err := p.run(queues); err != nil {
			return err
		}
		p.answer([]*pushCall{c})
		if t.Exclusive() || len(lines.ids) == 0 {
			return nil
		}
		return t.Exec("late_put", lines.ids)
	})
	if err != nil {
		return nil, err
	}
	return c.answer.pushed(), nil
}
