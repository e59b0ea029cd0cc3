package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// warming is how many samples at the beginning do not count: the system is only starting.
const warming = 1

// samples pushes one job after the other, each when the one before has begun and the system has rested.
func samples(t sample.Task, push func() error, begun <-chan float64) (s sample.Sample, err error) {
	for i := range warming + t.Jobs {
		if err := push(); err != nil {
			return s, err
		}
		select {
		case ms := <-begun:
			if i >= warming {
				s.Waits = append(s.Waits, ms)
			}
		case <-time.After(30 * time.Second):
			return s, fmt.Errorf("a job did not begin within 30 s")
		}
		time.Sleep(t.Rest + rand.N(t.Spread+1))
	}
	s.Jobs = t.Jobs
	return s, nil
}

// A meter says how many requests a server has answered so far.
type meter func(ctx context.Context) (float64, error)

// idle counts what is sent while nothing is ready, then pushes into random queues.
func idle(ctx context.Context, t sample.Task, m meter, push func(queue int) error, begun <-chan float64) (sample.Sample, error) {
	// What is sent at the start is not the point.
	wait(ctx, min(t.Window, 3*time.Second))
	before, err := m(ctx)
	if err != nil {
		return sample.Sample{}, err
	}
	began := time.Now()
	wait(ctx, t.Window)
	after, err := m(ctx)
	if err != nil {
		return sample.Sample{}, err
	}
	sent := (after - before) / time.Since(began).Seconds()
	s, err := samples(t, func() error { return push(rand.IntN(t.Queues)) }, begun)
	s.Sent = sent
	return s, err
}
