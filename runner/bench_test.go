package runner_test

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// noop has parameters of about 100 bytes.
type noop struct {
	Page      string `json:"page"`
	Namespace int    `json:"namespace"`
	Revision  int64  `json:"revision"`
	Reason    string `json:"reason"`
	ran       *atomic.Int64
}

func (j *noop) Type() string { return "noop" }

func (j *noop) Run(ctx context.Context) error {
	if j.Revision == 0 {
		panic("not decoded")
	}
	j.ran.Add(1)
	return nil
}

var params, _ = json.Marshal(&noop{Page: strings.Repeat("Page", 8), Namespace: 10, Revision: 123456789, Reason: "edit of a template"})

// depth is how many jobs are ready when a run begins.
const depth = 500_000

// BenchmarkRunner drains a memory backend with default options.
func BenchmarkRunner(b *testing.B) {
	var ran atomic.Int64
	reg := &jobqueue.Registry{}
	reg.Add(func() jobqueue.Job { return &noop{ran: &ran} }, jobqueue.Policy{})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New()})
	specs := make([]jobqueue.Spec, depth)
	for i := range specs {
		specs[i] = jobqueue.Spec{Type: "noop", Params: params}
	}
	b.ReportAllocs()
	b.StopTimer()
	for left := b.N; left > 0; left -= depth {
		n := min(left, depth)
		if _, err := g.Push(b.Context(), specs[:n]...); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		b.StartTimer()
		res, err := runner.Run(b.Context(), g, reg, nil)
		b.StopTimer()
		if err != nil || res.Counts.Done != n {
			b.Fatalf("Run = %v, %v, want %d done", res, err, n)
		}
	}
	if int(ran.Load()) != b.N {
		b.Fatalf("%d ran, want %d", ran.Load(), b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkChannel does the same work with a plain channel and as many workers.
func BenchmarkChannel(b *testing.B) {
	var ran atomic.Int64
	jobs := make(chan json.RawMessage, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	var workers sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for p := range jobs {
				j := &noop{ran: &ran}
				if err := json.Unmarshal(p, j); err != nil {
					b.Error(err)
				}
				if err := j.Run(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N {
		jobs <- params
	}
	close(jobs)
	workers.Wait()
	b.StopTimer()
	if int(ran.Load()) != b.N {
		b.Fatalf("%d ran, want %d", ran.Load(), b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
