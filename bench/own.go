package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

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
		measures["bare "+store+" push"] = barePush
		measures["bare "+store+" drain"] = bareDrain
		measures["bare "+store+" latency"] = bareLatency
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
	return sample.Timed(t.Jobs, func() error { return o.fill(ctx, t) })
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

// samples pushes one job after the other, each when the one before has begun and a moment has passed.
func samples(n int, push func() error, begun <-chan float64) (s sample.Sample, err error) {
	for range n {
		if err := push(); err != nil {
			return s, err
		}
		select {
		case ms := <-begun:
			s.Waits = append(s.Waits, ms)
		case <-time.After(30 * time.Second):
			return s, fmt.Errorf("a job did not begin within 30 s")
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.Jobs = n
	return s, nil
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
	s, err := samples(t.Jobs, func() error {
		_, err := o.group.Push(ctx, jobqueue.Spec{Job: &ownJob{Job: sample.NewJob(t.Size)}})
		return err
	}, begun)
	stop()
	if e := <-ended; err == nil {
		err = e
	}
	return s, err
}

// Bare loops use the backend alone: no group, no runner, no decoding.

var bareName = jobqueue.Name{Domain: "wiki", Type: "noop"}

func bareRecords(size, n int) []jobqueue.Record {
	records := make([]jobqueue.Record, n)
	for i := range records {
		params, _ := json.Marshal(sample.NewJob(size))
		records[i] = jobqueue.Record{Name: bareName, Params: params}
	}
	return records
}

// split runs do on each of some connections, with its share of the jobs.
func split(t sample.Task, do func(jobs int) error) (sample.Sample, error) {
	conns := max(t.Conns, 1)
	errs := make(chan error, conns)
	return sample.Timed(t.Jobs, func() (err error) {
		for range conns {
			go func() { errs <- do(t.Jobs / conns) }()
		}
		for range conns {
			if e := <-errs; e != nil {
				err = e
			}
		}
		return err
	})
}

func barePush(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	records := bareRecords(t.Size, batchSize)
	return split(t, func(jobs int) error {
		for left := jobs; left > 0; left -= batchSize {
			if _, err := o.backend.Push(ctx, uuid.New(), records[:min(left, batchSize)]); err != nil {
				return err
			}
		}
		return nil
	})
}

func bareDrain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	if t.Store == "memory" {
		if err := o.fill(ctx, t); err != nil {
			return sample.Sample{}, err
		}
	}
	var settled atomic.Int64
	s, err := split(t, func(int) error {
		for {
			l := jobqueue.Lease{Token: uuid.New(), TTL: 10 * time.Second, Owner: "bare"}
			claims, err := o.backend.Pop(ctx, l, jobqueue.Want{Name: bareName, Max: batchSize})
			if err != nil || len(claims) == 0 {
				return err
			}
			outcomes := make([]jobqueue.Outcome, len(claims))
			for i, c := range claims {
				outcomes[i] = jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}
			}
			if _, err := o.backend.Settle(ctx, outcomes...); err != nil {
				return err
			}
			settled.Add(int64(len(claims)))
		}
	})
	if n := settled.Load(); err == nil && n != int64(t.Jobs) {
		err = fmt.Errorf("%d jobs were settled, want %d", n, t.Jobs)
	}
	return s, err
}

// bareLatency waits for a wake-up and claims.
func bareLatency(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	w, ok := o.backend.(jobqueue.Waiter)
	if !ok {
		return sample.Sample{}, fmt.Errorf("%s cannot wait", t.Store)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	begun := make(chan float64)
	woken := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := w.Wait(ctx); err == nil {
				select {
				case woken <- struct{}{}:
				default:
				}
			}
		}
	}()
	go func() {
		for {
			select {
			case <-woken:
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			l := jobqueue.Lease{Token: uuid.New(), TTL: 10 * time.Second, Owner: "bare"}
			claims, err := o.backend.Pop(ctx, l, jobqueue.Want{Name: bareName, Max: 1})
			if err != nil || len(claims) == 0 {
				continue
			}
			var j sample.Job
			json.Unmarshal(claims[0].Params, &j)
			begun <- j.Since()
			o.backend.Settle(ctx, jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionDone})
		}
	}()
	return samples(t.Jobs, func() error {
		_, err := o.backend.Push(ctx, uuid.New(), bareRecords(t.Size, 1))
		return err
	}, begun)
}
