// Riversqlite measures River on SQLite, which needs another version of River than the one for PostgreSQL.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func main() {
	err := sample.Main(map[string]sample.Measure{
		"riversqlite sqlite push":  push,
		"riversqlite sqlite drain": drain,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type args struct{ sample.Job }

func (args) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[args]
	run func(*sample.Job)
}

func (w *worker) Work(_ context.Context, j *river.Job[args]) error {
	w.run(&j.Args.Job)
	return nil
}

// open opens a file as River's documentation says: one connection, write-ahead log.
func open(ctx context.Context, t sample.Task, run func(*sample.Job)) (*river.Client[*sql.Tx], error) {
	sync := "full"
	if t.Relaxed {
		sync = "normal"
	}
	db, err := sql.Open("sqlite", "file:"+t.URL+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_txlock=immediate&_pragma=synchronous("+sync+")")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	driver := riversqlite.New(db)
	logger := slog.New(slog.DiscardHandler)
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err != nil {
		return nil, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	conf := &river.Config{Logger: logger}
	if run != nil {
		conf.Workers = river.NewWorkers()
		river.AddWorker(conf.Workers, &worker{run: run})
		q := river.QueueConfig{MaxWorkers: 100}
		if t.Tuned {
			q.MaxWorkers, conf.FetchCooldown, conf.FetchPollInterval = 2000, 2*time.Millisecond, 20*time.Millisecond
		}
		conf.Queues = map[string]river.QueueConfig{river.QueueDefault: q}
	}
	return river.NewClient(driver, conf)
}

func push(ctx context.Context, t sample.Task) (sample.Sample, error) {
	c, err := open(ctx, t, nil)
	if err != nil {
		return sample.Sample{}, err
	}
	return sample.Timed(t.Jobs, func() error {
		const batch = 1000
		params := make([]river.InsertManyParams, batch)
		for left := t.Jobs; left > 0; left -= batch {
			n := min(left, batch)
			for i := range n {
				params[i] = river.InsertManyParams{Args: args{sample.NewJob(t.Size)}}
			}
			if _, err := c.InsertManyFast(ctx, params[:n]); err != nil {
				return err
			}
		}
		return nil
	})
}

func drain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	n := sample.NewCounter(t.Jobs)
	c, err := open(ctx, t, n.Ran)
	if err != nil {
		return sample.Sample{}, err
	}
	s, err := sample.Timed(t.Jobs, func() error {
		if err := c.Start(ctx); err != nil {
			return err
		}
		select {
		case <-n.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are left", n.Left())
		}
	})
	c.Stop(context.WithoutCancel(ctx))
	return s, err
}
