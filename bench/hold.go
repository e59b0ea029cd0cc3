package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// doubled is for how long a second process looks for jobs that begin twice.
const doubled = time.Second

// A holder runs jobs that never end in a first process, and once they have all begun says so and waits to be killed; a
// second one runs them again.
type holder struct {
	first bool
	jobs  int
	most  time.Duration // that the second one waits
	mu    sync.Mutex
	runs  map[int64]int
	all   chan struct{}
}

func newHolder(t sample.Task) *holder {
	return &holder{first: t.Do == "hold", jobs: t.Jobs, most: t.Patience, runs: map[int64]int{}, all: make(chan struct{})}
}

// run is what each job does.
func (h *holder) run(j *sample.Job) {
	h.mu.Lock()
	h.runs[j.Revision]++
	if h.runs[j.Revision] == 1 && len(h.runs) == h.jobs {
		close(h.all)
	}
	h.mu.Unlock()
	if h.first {
		select {}
	}
}

// wait waits until all jobs have begun, or for as long as that may take.
func (h *holder) wait(ctx context.Context) sample.Sample {
	began := time.Now()
	if h.first {
		<-h.all
		fmt.Println("held")
		<-ctx.Done()
		return sample.Sample{}
	}
	select {
	case <-h.all:
	case <-time.After(h.most):
	}
	took := time.Since(began)
	wait(ctx, doubled)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := sample.Sample{Jobs: len(h.runs), Seconds: took.Seconds()}
	doubles := 0
	for _, n := range h.runs {
		doubles += n - 1
	}
	s.Note = fmt.Sprintf("%d of %d began again, %d of them twice", len(h.runs), h.jobs, doubles)
	if len(h.runs) < h.jobs {
		s.Note += ": it was given no more time"
	}
	return s
}

// numbered returns the n'th job.
func numbered(n int) sample.Job {
	j := sample.NewJob(0)
	j.Revision = int64(n + 1)
	return j
}

func init() {
	for _, store := range []string{"postgres", "redis"} {
		measures["jobqueue "+store+" resume"] = ownHold
	}
}

func ownHold(ctx context.Context, t sample.Task) (sample.Sample, error) {
	o, err := open(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	defer o.close()
	h := newHolder(t)
	o.add(func(_ context.Context, j *sample.Job) error { h.run(j); return nil })
	if h.first {
		specs := make([]jobqueue.Spec, t.Jobs)
		for i := range specs {
			specs[i] = jobqueue.Spec{Job: &ownJob{Job: numbered(i)}}
		}
		if _, err := o.group.Push(ctx, specs...); err != nil {
			return sample.Sample{}, err
		}
	}
	opts := o.options(t)
	opts.Wait = true
	go func() {
		if _, err := runner.Run(ctx, o.group, o.reg, opts); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return h.wait(ctx), nil
}
