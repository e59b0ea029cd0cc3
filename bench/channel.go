package main

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"

	"github.com/wikifarm/jobqueue/bench/sample"
)

func init() { measures["channel memory drain"] = channelDrain }

// channelDrain decodes and runs jobs out of a plain channel, with as many workers as our runner has.
func channelDrain(_ context.Context, t sample.Task) (sample.Sample, error) {
	c := sample.NewCounter(t.Jobs)
	params := make([]json.RawMessage, t.Jobs)
	for i := range params {
		params[i], _ = json.Marshal(sample.NewJob(t.Size))
	}
	return sample.Timed(t.Jobs, func() error {
		jobs := make(chan json.RawMessage, 1000)
		var workers sync.WaitGroup
		errs := make(chan error, 4*runtime.GOMAXPROCS(0))
		for range cap(errs) {
			workers.Go(func() {
				for p := range jobs {
					var j sample.Job
					if err := json.Unmarshal(p, &j); err != nil {
						errs <- err
						return
					}
					c.Ran(&j)
				}
			})
		}
		for _, p := range params {
			jobs <- p
		}
		close(jobs)
		workers.Wait()
		select {
		case err := <-errs:
			return err
		default:
			return nil
		}
	})
}
