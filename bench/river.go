package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func init() {
	measures["river postgres push"] = riverPush
	measures["river postgres singles"] = riverSingles
	measures["river postgres drain"] = riverDrain
	measures["river postgres latency"] = riverLatency
	measures["river postgres idle"] = riverIdle
	measures["river postgres hold"] = riverHold
	measures["river postgres resume"] = riverHold
}

// The job as River's.
type riverArgs struct{ sample.Job }

func (riverArgs) Kind() string { return "noop" }

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	run func(*sample.Job)
}

func (w *riverWorker) Work(_ context.Context, j *river.Job[riverArgs]) error {
	w.run(&j.Args.Job)
	return nil
}

type riverClient struct {
	*river.Client[pgx.Tx]
	pool *pgxpool.Pool
}

// openRiver returns a client that runs jobs if it is given a function. Its settings are those that River's documentation begins
// with, 100 workers; tuned, those of River's own benchmark.
func openRiver(ctx context.Context, t sample.Task, run func(*sample.Job)) (*riverClient, error) {
	pool, err := pgxpool.New(ctx, t.URL)
	if err != nil {
		return nil, err
	}
	driver := riverpgxv5.New(pool)
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	conf := &river.Config{Logger: slog.New(slog.DiscardHandler)}
	if run != nil {
		conf.Middleware = []rivertype.Middleware{river.WorkerMiddlewareFunc(func(ctx context.Context, _ *rivertype.JobRow, next func(context.Context) error) error {
			return next(ctx)
		})}
		conf.Workers = river.NewWorkers()
		river.AddWorker(conf.Workers, &riverWorker{run: run})
		q := river.QueueConfig{MaxWorkers: 100}
		if t.Workers > 0 {
			q.MaxWorkers = t.Workers
		}
		if t.Tuned {
			q.MaxWorkers, conf.FetchCooldown, conf.FetchPollInterval = 2000, 2*time.Millisecond, 20*time.Millisecond
		}
		conf.Queues = map[string]river.QueueConfig{river.QueueDefault: q}
		for i := range t.Queues {
			conf.Queues[queueName(i)] = q
		}
	}
	c, err := river.NewClient(driver, conf)
	if err != nil {
		return nil, err
	}
	return &riverClient{c, pool}, nil
}

func riverPush(ctx context.Context, t sample.Task) (sample.Sample, error) {
	c, err := openRiver(ctx, t, nil)
	if err != nil {
		return sample.Sample{}, err
	}
	return split(t, func(jobs int) error {
		params := make([]river.InsertManyParams, batchSize)
		for left := jobs; left > 0; left -= batchSize {
			n := min(left, batchSize)
			for i := range n {
				params[i] = river.InsertManyParams{Args: riverArgs{sample.NewJob(t.Size)}}
			}
			if _, err := c.InsertManyFast(ctx, params[:n]); err != nil {
				return err
			}
		}
		return nil
	})
}

func riverSingles(ctx context.Context, t sample.Task) (sample.Sample, error) {
	c, err := openRiver(ctx, t, nil)
	if err != nil {
		return sample.Sample{}, err
	}
	return fromMany(t, func() error {
		_, err := c.Insert(ctx, riverArgs{sample.NewJob(t.Size)}, nil)
		return err
	})
}

// riverDrain ends when the last job has run; that River has written so is not waited for.
func riverDrain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	n := sample.NewCounter(t.Jobs)
	c, err := openRiver(ctx, t, n.Ran)
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

func riverLatency(ctx context.Context, t sample.Task) (sample.Sample, error) {
	begun := make(chan float64)
	c, err := openRiver(ctx, t, func(j *sample.Job) { begun <- j.Since() })
	if err != nil {
		return sample.Sample{}, err
	}
	if err := c.Start(ctx); err != nil {
		return sample.Sample{}, err
	}
	defer c.Stop(context.WithoutCancel(ctx))
	return samples(t, func() error {
		_, err := c.Insert(ctx, riverArgs{sample.NewJob(t.Size)}, nil)
		return err
	}, begun)
}

func riverIdle(ctx context.Context, t sample.Task) (sample.Sample, error) {
	m, closeMeter, err := meterOf(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer closeMeter()
	begun := make(chan float64)
	c, err := openRiver(ctx, t, func(j *sample.Job) { begun <- j.Since() })
	if err != nil {
		return sample.Sample{}, err
	}
	if err := c.Start(ctx); err != nil {
		return sample.Sample{}, err
	}
	defer c.Stop(context.WithoutCancel(ctx))
	return idle(ctx, t, m, func(queue int) error {
		_, err := c.Insert(ctx, riverArgs{sample.NewJob(t.Size)}, &river.InsertOpts{Queue: queueName(queue)})
		return err
	}, begun)
}

func riverHold(ctx context.Context, t sample.Task) (sample.Sample, error) {
	h := newHolder(t)
	c, err := openRiver(ctx, t, h.run)
	if err != nil {
		return sample.Sample{}, err
	}
	if h.first {
		params := make([]river.InsertManyParams, t.Jobs)
		for i := range params {
			params[i] = river.InsertManyParams{Args: riverArgs{numbered(i)}}
		}
		if _, err := c.InsertManyFast(ctx, params); err != nil {
			return sample.Sample{}, err
		}
	}
	if err := c.Start(ctx); err != nil {
		return sample.Sample{}, err
	}
	return h.wait(ctx), nil
}
