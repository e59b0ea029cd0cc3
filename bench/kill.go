package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// titles are how rows call the stores.
var titles = map[string]string{"postgres": "PostgreSQL", "redis": "Redis"}

// A victim is a system whose worker is killed, and what another worker then showed.
type victim struct {
	system, store string

	found *sample.Sample
}

// A kills is a measurement of workers that are killed while they have a thousand jobs.
type kills struct {
	b       *bench
	victims []*victim
}

func newKills(b *bench) *kills {
	return &kills{b, []*victim{
		{system: own, store: "postgres"}, {system: "river", store: "postgres"}, {system: own, store: "redis"}, {system: "asynq", store: "redis"},
	}}
}

// all kills one of each system, which then wait for most of the time, side by side.
func (k *kills) all(ctx context.Context) error {
	var together []func() error
	for _, v := range k.victims {
		together = append(together, func() error {
			s, err := k.b.killed(ctx, sample.Task{
				System: v.system, Store: v.store, Jobs: 1000, Workers: 1000,
				Patience: time.Duration(k.b.sizeOf(95, 12)) * time.Second,
			})
			if err == nil {
				v.found = &s
			}
			return err
		})
	}
	return sideBySide(together...)
}

func (k *kills) report() {
	for _, v := range k.victims {
		if v.found != nil {
			row := titles[v.store] + ": kill -9, until 1,000 jobs have begun again"
			k.b.report.add(row, v.system, "s", v.found.Note, []float64{v.found.Seconds})
		}
	}
}

// killed starts a process, kills it when it has all jobs, and says what another one then shows.
func (b *bench) killed(ctx context.Context, t sample.Task) (sample.Sample, error) {
	at, err := b.beside(ctx, t.System, t.Store)
	if err != nil {
		return sample.Sample{}, err
	}
	defer at.drop()
	t.URL, t.Do = at.url, "hold"
	cmd, err := b.command(ctx, t)
	if err != nil {
		return sample.Sample{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return sample.Sample{}, err
	}
	if err := cmd.Start(); err != nil {
		return sample.Sample{}, err
	}
	lines := bufio.NewScanner(out)
	held := lines.Scan() && lines.Text() == "held"
	if held {
		wait(ctx, time.Second)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if !held {
		return sample.Sample{}, fmt.Errorf("%s: the worker that is to be killed says %q", t.System, lines.Text())
	}
	t.Do = "resume"
	return b.measured(ctx, t)
}
