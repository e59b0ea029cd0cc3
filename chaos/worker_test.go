//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// How the jobs of the suite are treated.
const (
	lease   = 2 * time.Second
	backoff = 100 * time.Millisecond
	workers = 8 // of each runner
	backlog = 2000
)

// onceType is the type whose jobs run at most once.
const onceType = "once"

// work is a job that says that it was started, takes its time, and may fail at first.
type work struct {
	Number string
	Takes  time.Duration
	Fails  int // so many times

	kind string
	log  *journal
}

func (w *work) Type() string { return w.kind }

func (w *work) Run(ctx context.Context) error {
	c := jobqueue.FromContext(ctx)
	w.log.add(event{Kind: started, Begin: now(), ID: c.ID, Token: c.Token.String()})
	wait(ctx, w.Takes)
	if c.Attempt <= w.Fails {
		return errors.New("not yet")
	}
	return nil
}

// wait returns after a while or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A worker is a runner or a producer: a process, or part of one over the memory backend.
type worker struct {
	Name   string // which one, and the how manieth of it
	Runner bool
	Seed   uint64 // of what is pushed
	Pause  time.Duration
}

// group returns the worker's group and what makes its jobs.
func (w *worker) group(r *recorder) (*jobqueue.Group, *jobqueue.Registry) {
	policy := jobqueue.Policy{Lease: lease, MaxTries: 1000, Backoff: func(int) time.Duration { return backoff }}
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &work{kind: "work", log: r.log} }, policy)
	policy.AtMostOnce = true
	reg.Add(func() jobqueue.Job { return &work{kind: onceType, log: r.log} }, policy)
	return jobqueue.NewGroup("wiki", jobqueue.Routes{Default: r, Policy: reg.Policy}), reg
}

// do works until ctx ends.
func (w *worker) do(ctx context.Context, r *recorder) error {
	g, reg := w.group(r)
	if !w.Runner {
		return w.produce(ctx, r, g)
	}
	_, err := runner.Run(ctx, g, reg, &runner.Options{
		Workers: workers, Wait: true, Owner: w.Name, Grace: 20 * time.Second, Poll: 200 * time.Millisecond,
		Unlogged: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	return err
}

// produce pushes, each push again and again until it is confirmed, and keeps no more than a backlog.
func (w *worker) produce(ctx context.Context, r *recorder, g *jobqueue.Group) error {
	rnd := rand.New(rand.NewPCG(w.Seed, 0))
	for n := 0; ctx.Err() == nil; n++ {
		if n%20 == 0 {
			w.relax(ctx, g)
		}
		specs := make([]jobqueue.Spec, 1+rnd.IntN(6))
		for i := range specs {
			specs[i] = w.spec(rnd, fmt.Sprintf("%s-%d-%d", w.Name, n, i))
		}
		records, err := g.Records(specs...)
		if err != nil {
			return err
		}
		for id := uuid.New(); ; {
			// Sometimes it is too impatient to hear the answer.
			once, cancel := context.WithTimeout(ctx, patience)
			if rnd.IntN(10) == 0 {
				once, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(6000))*time.Microsecond)
			}
			_, err = r.Push(once, id, records)
			impatient := once.Err() != nil
			cancel()
			if ctx.Err() != nil || err == nil && rnd.IntN(10) > 0 {
				break
			}
			if impatient || err == nil { // Or it forgets that it had the answer.
				continue
			}
			if !errors.Is(err, jobqueue.ErrUnavailable) {
				return err
			}
			wait(ctx, 50*time.Millisecond)
		}
		wait(ctx, w.Pause/2+rand.N(w.Pause))
	}
	return nil
}

// relax waits until there are not too many jobs.
func (w *worker) relax(ctx context.Context, g *jobqueue.Group) {
	for ctx.Err() == nil {
		counts, err := g.Counts(ctx)
		sum := 0
		for _, c := range counts {
			sum += c.Total()
		}
		if _, some := errors.AsType[*jobqueue.PartError](err); (err == nil || some) && sum < backlog {
			return
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// spec returns a job of any kind.
func (w *worker) spec(rnd *rand.Rand, number string) jobqueue.Spec {
	j := &work{Number: number, kind: "work", Takes: time.Duration(rnd.IntN(8)) * time.Millisecond}
	s := jobqueue.Spec{Job: j, Domain: fmt.Sprint("wiki", rnd.IntN(3))}
	if rnd.IntN(100) == 0 {
		s.Domain = "new-" + number
	}
	switch rnd.IntN(20) {
	case 0, 1, 2:
		j.Fails = 1 + rnd.IntN(2)
	case 3, 4, 5: // long enough for somebody else to come between
		j.Takes = time.Duration(rnd.IntN(1000)) * time.Millisecond
		if rnd.IntN(16) == 0 { // long enough to be extended many times
			j.Takes *= 5
		}
	case 6, 7:
		j.kind, j.Takes = onceType, time.Duration(rnd.IntN(300))*time.Millisecond
	case 8, 9:
		s.Delay = time.Duration(rnd.IntN(500)) * time.Millisecond
	case 10, 11, 12:
		s.Root = jobqueue.Root{Key: fmt.Sprint("root", rnd.IntN(4)), Time: time.Now()}
	}
	if rnd.IntN(2) == 0 {
		s.DedupeKey = fmt.Sprint("key", rnd.IntN(10))
	}
	return s
}
