package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// latency measures from push to start on an idle system. Ours and the bare loop take turns; the peers, who wait for most
// of the time, have fewer samples, after that.
func (b *bench) latency(ctx context.Context) error {
	turns, each := b.sizeOf(10, 2), b.sizeOf(200, 60)
	for _, store := range []string{"postgres", "redis"} {
		waits := map[string][]float64{}
		do := func(system string, n int) error {
			at, err := b.fresh(ctx, store)
			if err != nil {
				return err
			}
			defer at.drop()
			s, err := b.measured(ctx, sample.Task{System: system, Store: store, Do: "latency", URL: at.url, Jobs: n, Size: 100})
			waits[system] = append(waits[system], s.Waits...)
			return err
		}
		for range turns {
			for _, system := range []string{"jobqueue", "bare"} {
				if err := do(system, each); err != nil {
					return err
				}
			}
		}
		peer, n := "river", b.sizeOf(500, 30)
		if store == "redis" {
			peer, n = "asynq", b.sizeOf(60, 4)
		}
		if err := do(peer, n); err != nil {
			return err
		}
		for _, p := range []float64{50, 99, 99.9} {
			row := fmt.Sprintf("%s: push to start, idle, p%v", store, p)
			for _, system := range []string{"jobqueue", peer, "bare"} {
				b.report.add(row, system, "ms", fmt.Sprintf("%d samples", len(waits[system])), []float64{percentile(waits[system], p)})
			}
		}
		ours, bare, theirs := percentile(waits["jobqueue"], 99), percentile(waits["bare"], 99), percentile(waits[peer], 99)
		b.report.aim(store+": push to start, p99, more than bare, ms", 3, ours-bare, true)
		b.report.aim(store+": push to start, p99, part of "+peer+"'s", 1, ours/theirs, true)
	}
	return nil
}

// queues measures many queues of which most are empty.
func (b *bench) queues(ctx context.Context) error {
	for _, e := range []struct {
		system, store string
		queues        int
		samples       int
	}{
		{"jobqueue", "redis", 2000, 300}, {"asynq", "redis", 2000, 30}, {"jobqueue", "postgres", 2000, 300}, {"river", "postgres", 2000, 100},
		{"jobqueue", "redis", 10_000, 300}, {"asynq", "redis", 10_000, 10}, {"jobqueue", "postgres", 10_000, 300},
	} {
		if b.quick && (e.system != own || e.store != "redis" || e.queues != 10_000) {
			continue
		}
		at, err := b.fresh(ctx, e.store)
		if err != nil {
			return err
		}
		s, err := b.measured(ctx, sample.Task{System: e.system, Store: e.store, Do: "idle", URL: at.url, Queues: e.queues, Jobs: e.samples, Size: 100})
		at.drop()
		if err != nil {
			return err
		}
		row := fmt.Sprintf("%s: %s empty queues", e.store, figure(float64(e.queues)))
		b.report.add(row+", requests while idle", e.system, "1/s", "", []float64{s.Sent})
		b.report.add(row+", push to start, p99", e.system, "ms", fmt.Sprintf("%d samples", len(s.Waits)), []float64{percentile(s.Waits, 99)})
		if e.system == own && e.queues == 10_000 {
			b.report.aim(row+", requests a second while idle", 5, s.Sent, true)
			b.report.aim(row+", push to start, p99, ms", 50, percentile(s.Waits, 99), true)
		}
	}
	return nil
}

// kill kills a worker that has a thousand jobs, and has another run them. The systems, which wait for most
// of the time, do so at the same time.
func (b *bench) kill(ctx context.Context) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	row := "time until the 1,000 jobs of a killed worker have begun again"
	for _, e := range []struct{ system, store string }{{own, "postgres"}, {"river", "postgres"}, {own, "redis"}, {"asynq", "redis"}} {
		if b.quick && e.system != own {
			continue
		}
		at, err := b.freshBeside(ctx, e.store)
		if err != nil {
			return err
		}
		all.Go(func() {
			defer at.drop()
			s, err := b.killed(ctx, sample.Task{System: e.system, Store: e.store, URL: at.url, Jobs: 1000, Workers: 1000})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", e.system, err))
				return
			}
			b.report.add(row, e.system+" on "+e.store, "s", s.Note, []float64{s.Seconds})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// freshBeside returns an empty store that is used beside others.
func (b *bench) freshBeside(ctx context.Context, store string) (place, error) {
	if store != "redis" {
		return b.fresh(ctx, store)
	}
	b.names++
	db := 1 + b.names%15
	url := fmt.Sprintf("%s?db=%d", b.redis.URL, db)
	return place{url, func() {}}, nil
}

func (b *bench) killed(ctx context.Context, t sample.Task) (sample.Sample, error) {
	if t.Store == "postgres" { // for the tables
		empty := t
		empty.Do, empty.Jobs = "push", 0
		if _, err := b.measured(ctx, empty); err != nil {
			return sample.Sample{}, err
		}
	}
	t.Do = "hold"
	self, err := os.Executable()
	if err != nil {
		return sample.Sample{}, err
	}
	in, err := json.Marshal(t)
	if err != nil {
		return sample.Sample{}, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), worker+"=1")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return sample.Sample{}, err
	}
	if err := cmd.Start(); err != nil {
		return sample.Sample{}, err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "held" {
		cmd.Process.Kill()
		cmd.Wait()
		return sample.Sample{}, fmt.Errorf("the worker that is to be killed says %q", lines.Text())
	}
	wait(ctx, time.Second)
	if err := cmd.Process.Kill(); err != nil {
		return sample.Sample{}, err
	}
	cmd.Wait()
	t.Do = "resume"
	return b.measured(ctx, t)
}
