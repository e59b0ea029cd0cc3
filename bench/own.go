package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/runner"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func init() {
	for _, store := range []string{"postgres", "redis", "sqlite", "memory"} {
		measures["jobqueue "+store+" push"] = ownPush
		measures["jobqueue "+store+" singles"] = ownSingles
		measures["jobqueue "+store+" drain"] = ownDrain
		measures["jobqueue "+store+" latency"] = ownLatency
		measures["jobqueue "+store+" idle"] = ownIdle
		measures["jobqueue "+store+" hold"] = ownHold
	}
}

// The job as a type of ours.
type ownJob struct {
	sample.Job
	run func(context.Context, *sample.Job) error
}

func (*ownJob) Type() string { return "noop" }

func (j *ownJob) Run(ctx context.Context) error { return j.run(ctx, &j.Job) }

// ours is one of our backends with all that a user has around it: hooks, middleware, metrics.
type ours struct {
	backend jobqueue.Backend
	close   func() error
	group   *jobqueue.Group
	reg     *jobqueue.Registry
	metrics metrics
}

// metrics are what a user counts in hooks.
type metrics struct {
	pushed, popped, settled, started, ended, wrapped atomic.Int64
}

func open(ctx context.Context, t sample.Task) (_ *ours, err error) {
	o := &ours{reg: &jobqueue.Registry{}, close: func() error { return nil }}
	switch t.Store {
	case "memory":
		o.backend = queuememory.New()
	case "sqlite":
		b, err := sqlite.Open(t.URL, &sqlite.Options{Relaxed: t.Relaxed})
		if err != nil {
			return nil, err
		}
		o.backend, o.close = b, b.Close
	case "postgres":
		if err := postgres.Migrate(ctx, t.URL, nil); err != nil {
			return nil, err
		}
		b, err := postgres.Open(ctx, t.URL, nil)
		if err != nil {
			return nil, err
		}
		o.backend, o.close = b, b.Close
	case "redis":
		b, err := queueredis.Open(ctx, &queueredis.Options{URL: t.URL})
		if err != nil {
			return nil, err
		}
		o.backend, o.close = b, b.Close
	default:
		return nil, fmt.Errorf("no store %q", t.Store)
	}
	m := &o.metrics
	o.group = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: o.backend, Trace: &jobqueue.Trace{
		Pushed: func(_ context.Context, records []jobqueue.Record, _ jobqueue.Pushed, _ error) {
			m.pushed.Add(int64(len(records)))
		},
		Popped: func(_ context.Context, claims []*jobqueue.Claim, _ error) { m.popped.Add(int64(len(claims))) },
		Settled: func(_ context.Context, outcomes []jobqueue.Outcome, _ []*jobqueue.Claim, _ error) {
			m.settled.Add(int64(len(outcomes)))
		},
	}})
	return o, nil
}

func (o *ours) options(t sample.Task) *runner.Options {
	m := &o.metrics
	return &runner.Options{
		Workers: t.Workers,
		Logger:  slog.New(slog.DiscardHandler),
		Middleware: func(ctx context.Context, _ jobqueue.Job, next func(context.Context) error) error {
			m.wrapped.Add(1)
			return next(ctx)
		},
		OnStart: func(*jobqueue.Claim) { m.started.Add(1) },
		OnEnd:   func(runner.Ended) { m.ended.Add(1) },
	}
}

func (o *ours) add(run func(context.Context, *sample.Job) error) {
	o.reg.Add(func() jobqueue.Job { return &ownJob{run: run} }, jobqueue.Policy{})
}

// batchSize is how many jobs are pushed at once.
const batchSize = 1000

func (o *ours) fill(ctx context.Context, t sample.Task) error {
	specs := make([]jobqueue.Spec, batchSize)
	for left := t.Jobs; left > 0; left -= batchSize {
		n := min(left, batchSize)
		for i := range n {
			specs[i] = jobqueue.Spec{Job: &ownJob{Job: sample.NewJob(t.Size)}}
			if t.Queues > 0 {
				specs[i].Domain = queueName((left - i) % t.Queues)
			}
		}
		if _, err := o.group.Push(ctx, specs[:n]...); err != nil {
			return err
		}
	}
	return nil
}

func ownPush(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	return split(t, func(jobs int) error {
		t := t
		t.Jobs = jobs
		return o.fill(ctx, t)
	})
}

// pushers is how many goroutines push single jobs.
const pushers = 50

// fromMany calls push for each job, from as many goroutines as there are pushers.
func fromMany(t sample.Task, push func() error) (sample.Sample, error) {
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	s, _ := sample.Timed(t.Jobs/pushers*pushers, func() error {
		for range pushers {
			all.Go(func() {
				for range t.Jobs / pushers {
					if err := push(); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
		}
		all.Wait()
		return nil
	})
	if err := failed.Load(); err != nil {
		return s, *err
	}
	return s, nil
}

func ownSingles(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	return fromMany(t, func() error {
		_, err := o.group.Push(ctx, jobqueue.Spec{Job: &ownJob{Job: sample.NewJob(t.Size)}})
		return err
	})
}

// ownDrain runs until nothing is ready and all is settled.
func ownDrain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	c := sample.NewCounter(t.Jobs)
	o.add(func(_ context.Context, j *sample.Job) error { c.Ran(j); return nil })
	if t.Store == "memory" {
		if err := o.fill(ctx, t); err != nil {
			return sample.Sample{}, err
		}
	}
	return sample.Timed(t.Jobs, func() error {
		res, err := runner.Run(ctx, o.group, o.reg, o.options(t))
		if err == nil && res.Counts.Done != t.Jobs {
			err = fmt.Errorf("%v, want %d done", res, t.Jobs)
		}
		return err
	})
}

func ownLatency(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	begun := make(chan float64)
	o.add(func(_ context.Context, j *sample.Job) error { begun <- j.Since(); return nil })
	ctx, stop := context.WithCancel(ctx)
	opts := o.options(t)
	opts.Wait = true
	ended := make(chan error)
	go func() {
		_, err := runner.Run(ctx, o.group, o.reg, opts)
		ended <- err
	}()
	s, err := samples(t, func() error {
		_, err := o.group.Push(ctx, jobqueue.Spec{Job: &ownJob{Job: sample.NewJob(t.Size)}})
		return err
	}, begun)
	stop()
	if e := <-ended; err == nil {
		err = e
	}
	return s, err
}
