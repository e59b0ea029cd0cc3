package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func init() {
	measures["asynq redis push"] = asynqPush
	measures["asynq redis singles"] = asynqPush // it pushes one by one
	measures["asynq redis drain"] = asynqDrain
	measures["asynq redis latency"] = asynqLatency
	measures["asynq redis idle"] = asynqIdle
	measures["asynq redis hold"] = asynqHold
	measures["asynq redis resume"] = asynqHold
}

// asynqServer says where the server is, to asynq.
func asynqServer(t sample.Task) (asynq.RedisConnOpt, error) {
	o, err := redis.ParseURL(t.URL)
	if err != nil {
		return nil, err
	}
	return asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr, DB: o.DB}, nil
}

func asynqTask(j sample.Job) *asynq.Task {
	payload, _ := json.Marshal(j)
	return asynq.NewTask("noop", payload)
}

func asynqPush(ctx context.Context, t sample.Task) (sample.Sample, error) {
	at, err := asynqServer(t)
	if err != nil {
		return sample.Sample{}, err
	}
	c := asynq.NewClient(at)
	defer c.Close()
	return fromMany(t, func() error {
		_, err := c.EnqueueContext(ctx, asynqTask(sample.NewJob(t.Size)))
		return err
	})
}

// startAsynq starts a server with so many workers, or asynq's default of one a CPU.
func startAsynq(t sample.Task, run func(*sample.Job)) (*asynq.Server, error) {
	at, err := asynqServer(t)
	if err != nil {
		return nil, err
	}
	conf := asynq.Config{Concurrency: t.Workers, LogLevel: asynq.FatalLevel}
	if t.Queues > 0 {
		conf.Queues = map[string]int{}
		for i := range t.Queues {
			conf.Queues[queueName(i)] = 1
		}
	}
	s := asynq.NewServer(at, conf)
	mux := asynq.NewServeMux()
	mux.Use(func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error { return next.ProcessTask(ctx, t) })
	})
	mux.HandleFunc("noop", func(_ context.Context, task *asynq.Task) error {
		var j sample.Job
		if err := json.Unmarshal(task.Payload(), &j); err != nil {
			return err
		}
		run(&j)
		return nil
	})
	return s, s.Start(mux)
}

// asynqDrain ends when the last job has run; that asynq has written so is not waited for.
func asynqDrain(ctx context.Context, t sample.Task) (sample.Sample, error) {
	n := sample.NewCounter(t.Jobs)
	var s *asynq.Server
	sample, err := sample.Timed(t.Jobs, func() (err error) {
		if s, err = startAsynq(t, n.Ran); err != nil {
			return err
		}
		select {
		case <-n.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are left", n.Left())
		}
	})
	if err == nil {
		s.Shutdown()
	}
	return sample, err
}

func asynqLatency(ctx context.Context, t sample.Task) (sample.Sample, error) {
	at, err := asynqServer(t)
	if err != nil {
		return sample.Sample{}, err
	}
	c := asynq.NewClient(at)
	defer c.Close()
	begun := make(chan float64)
	s, err := startAsynq(t, func(j *sample.Job) { begun <- j.Since() })
	if err != nil {
		return sample.Sample{}, err
	}
	defer s.Shutdown()
	return samples(t, func() error {
		_, err := c.EnqueueContext(ctx, asynqTask(sample.NewJob(t.Size)))
		return err
	}, begun)
}

func asynqIdle(ctx context.Context, t sample.Task) (sample.Sample, error) {
	m, closeMeter, err := meterOf(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer closeMeter()
	at, err := asynqServer(t)
	if err != nil {
		return sample.Sample{}, err
	}
	c := asynq.NewClient(at)
	defer c.Close()
	begun := make(chan float64)
	s, err := startAsynq(t, func(j *sample.Job) { begun <- j.Since() })
	if err != nil {
		return sample.Sample{}, err
	}
	defer s.Shutdown()
	return idle(ctx, t, m, func(queue int) error {
		_, err := c.EnqueueContext(ctx, asynqTask(sample.NewJob(t.Size)), asynq.Queue(queueName(queue)))
		return err
	}, begun)
}

func asynqHold(ctx context.Context, t sample.Task) (sample.Sample, error) {
	h := newHolder(t)
	at, err := asynqServer(t)
	if err != nil {
		return sample.Sample{}, err
	}
	if h.first {
		c := asynq.NewClient(at)
		defer c.Close()
		var all sync.WaitGroup
		for w := range pushers {
			all.Go(func() {
				for i := w; i < t.Jobs; i += pushers {
					c.EnqueueContext(ctx, asynqTask(numbered(i)))
				}
			})
		}
		all.Wait()
	}
	if _, err := startAsynq(t, h.run); err != nil {
		return sample.Sample{}, err
	}
	return h.wait(ctx), nil
}
