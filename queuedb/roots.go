package queuedb

import (
	"context"
	"time"

	"github.com/wikifarm/jobqueue"
)

type root struct {
	key  string
	time int64
}

type markKey struct {
	queue int64
	key   string
}

// MarkRoots implements [jobqueue.Backend].
func (b *Backend) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	times := make([]time.Time, len(marks))
	if len(marks) == 0 {
		return times, nil
	}
	var moved, named []jobqueue.Name
	for _, m := range marks {
		if named = append(named, m.Name); !m.Time.IsZero() {
			moved = append(moved, m.Name)
		}
	}
	var queues found
	run := func(t tx) (err error) {
		if queues, err = b.addQueues(t, moved); err != nil {
			return err
		}
		others, err := b.findQueues(t, named)
		if err != nil {
			return err
		}
		for n, id := range others {
			queues[n] = id
		}
		return t.markRoots(queues, marks, times)
	}
	var err error
	if len(moved) == 0 {
		err = b.read(ctx, run)
	} else {
		err = b.write(ctx, run)
	}
	if err != nil {
		return nil, err
	}
	b.remember(queues)
	return times, nil
}

func (t tx) markRoots(queues found, marks []jobqueue.Mark, times []time.Time) error {
	newest := map[markKey]int64{}
	var ids []int64
	var keys []string
	for _, m := range marks {
		k := markKey{queues[m.Name], m.Key}
		ids, keys = append(ids, k.queue), append(keys, k.key)
		if !m.Time.IsZero() {
			if at, seen := newest[k]; !seen || m.Time.UnixMicro() > at {
				newest[k] = m.Time.UnixMicro()
			}
		}
	}
	if err := t.moveMarks(newest); err != nil {
		return err
	}
	stand := map[markKey]time.Time{}
	err := t.QueryEach("root_read", func(scan Scan) error {
		var k markKey
		var at int64
		err := scan(&k.queue, &k.key, &at)
		stand[k] = instant(at)
		return err
	}, ids, keys)
	for i := range marks {
		times[i] = stand[markKey{ids[i], keys[i]}]
		if m := &marks[i]; m.Next {
			at := instant(t.now())
			if !times[i].Before(at) {
				at = times[i].Add(time.Microsecond)
			}
			times[i] = at
		}
	}
	return err
}

func (t tx) moveMarks(marks map[markKey]int64) error {
	if len(marks) == 0 {
		return nil
	}
	var queues, times []int64
	var keys []string
	for k, at := range marks {
		queues, keys, times = append(queues, k.queue), append(keys, k.key), append(times, at)
	}
	return t.ExecEach("root_mark", queues, keys, times, column(len(keys), t.now()))
}
