package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"

	"github.com/wikifarm/jobqueue/bench/sample"
)

// Bare loops make the calls of a backend and nothing else: no group, no runner, no hooks, no decoding, so what they reach is what
// the server and the statements allow.

func init() {
	for _, store := range []string{"postgres", "redis", "sqlite", "memory"} {
		measures["bare "+store+" push"] = barePush
		measures["bare "+store+" drain"] = bareDrain
		measures["bare "+store+" latency"] = bareLatency
	}
}

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
	return samples(t, func() error {
		_, err := o.backend.Push(ctx, uuid.New(), bareRecords(t.Size, 1))
		return err
	}, begun)
}
