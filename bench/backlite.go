package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/mikestefanello/backlite"
	_ "modernc.org/sqlite"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func init() {
	measures["backlite sqlite push"] = backlitePush
	measures["backlite sqlite drain"] = backliteDrain
}

// The job as backlite's.
type backliteTask struct{ sample.Job }

func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "noop", MaxAttempts: 3, Backoff: time.Second, Timeout: time.Minute}
}

// openBacklite opens a file with the driver that our backend uses.
func openBacklite(t sample.Task, run func(*sample.Job)) (*backlite.Client, *sql.DB, error) {
	sync := "full"
	if t.Relaxed {
		sync = "normal"
	}
	db, err := sql.Open("sqlite", "file:"+t.URL+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_txlock=immediate&_pragma=synchronous("+sync+")")
	if err != nil {
		return nil, nil, err
	}
	c, err := backlite.NewClient(backlite.ClientConfig{DB: db, ReleaseAfter: 10 * time.Minute, NumWorkers: 10, CleanupInterval: time.Hour})
	if err != nil {
		return nil, nil, err
	}
	if err := c.Install(); err != nil {
		return nil, nil, err
	}
	c.Register(backlite.NewQueue(func(_ context.Context, task backliteTask) error {
		run(&task.Job)
		return nil
	}))
	return c, db, nil
}

func backlitePush(ctx context.Context, t sample.Task) (sample.Sample, error) {
	c, db, err := openBacklite(t, func(*sample.Job) {})
	if err != nil {
		return sample.Sample{}, err
	}
	defer db.Close()
	return sample.Timed(t.Jobs, func() error {
		tasks := make([]backlite.Task, batchSize)
		for left := t.Jobs; left > 0; left -= batchSize {
			n := min(left, batchSize)
			for i := range n {
				tasks[i] = backliteTask{sample.NewJob(t.Size)}
			}
			if _, err := c.Add(tasks[:n]...).Ctx(ctx).Save(); err != nil {
				return err
			}
		}
		return nil
	})
}

func backliteDrain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	n := sample.NewCounter(t.Jobs)
	c, db, err := openBacklite(t, n.Ran)
	if err != nil {
		return sample.Sample{}, err
	}
	defer db.Close()
	s, err := sample.Timed(t.Jobs, func() error {
		c.Start(ctx)
		select {
		case <-n.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are left", n.Left())
		}
	})
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	c.Stop(stop)
	return s, err
}
