package main

import (
	"context"
	"fmt"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func queueName(i int) string { return fmt.Sprintf("wiki%d", i) }

func ownIdle(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	m, closeMeter, err := meterOf(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer closeMeter()
	begun := make(chan float64)
	o.add(func(_ context.Context, j *sample.Job) error { begun <- j.Since(); return nil })
	domains := make([]string, t.Queues)
	for i := range domains {
		domains[i] = queueName(i)
	}
	// The queues exist: each has had a job.
	one := t
	one.Jobs = t.Queues
	if err := o.fill(ctx, one); err != nil {
		return sample.Sample{}, err
	}
	go func() {
		for range domains {
			<-begun
		}
	}()
	if _, err := runner.Run(ctx, o.group, o.reg, o.options(t)); err != nil {
		return sample.Sample{}, err
	}
	run, stop := context.WithCancel(ctx)
	opts := o.options(t)
	opts.Wait, opts.Domains = true, func() []string { return domains }
	ended := make(chan error)
	go func() {
		_, err := runner.Run(run, o.group, o.reg, opts)
		ended <- err
	}()
	s, err := idle(ctx, t, m, func(queue int) error {
		_, err := o.group.On(domains[queue]).Push(ctx, jobqueue.Spec{Job: &ownJob{Job: sample.NewJob(t.Size)}})
		return err
	}, begun)
	stop()
	if e := <-ended; err == nil {
		err = e
	}
	return s, err
}
