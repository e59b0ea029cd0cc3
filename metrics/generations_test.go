package metrics_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A long job runs until it is told to end.
type long struct{ end chan struct{} }

func (*long) Type() string { return "a" }

func (j *long) Run(context.Context) error {
	<-j.end
	return nil
}

// While a process ends what it ran by an older configuration, that counts as busy, and neither as a runner nor as workers; and
// what it no longer claims nobody runs.
func TestOlderGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(metrics.Options{})
		g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New()})
		m.Watch(g)
		end := make(chan struct{})
		reg := registry("c")
		reg.Add(func() jobqueue.Job { return &long{end} }, jobqueue.Policy{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{}, 2)
		start := func(o runner.Options) {
			o.Wait, o.Process, o.Logger = true, "p", quiet()
			go func() {
				runner.Run(ctx, g, reg, &o)
				ended <- struct{}{}
			}()
			time.Sleep(6 * time.Second)
		}
		check := func(when string, want map[string]float64) {
			t.Helper()
			time.Sleep(time.Minute)
			got := values(t, m, "jobqueue_runners", "jobqueue_workers", "jobqueue_workers_busy", "jobqueue_uncovered_queues")
			for key, n := range want {
				if got[key] != n {
					t.Errorf("%s: %s is %v, want %v", when, key, got[key], n)
				}
			}
		}
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a"}, jobqueue.Spec{Type: "a"}); err != nil {
			t.Fatal(err)
		}
		start(runner.Options{Generation: 1, Workers: 1, Types: []string{"a"}})
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a", Domain: "other"}); err != nil {
			t.Fatal(err)
		}
		check("before", map[string]float64{"jobqueue_runners": 1, "jobqueue_workers": 1, "jobqueue_workers_busy": 1, "jobqueue_uncovered_queues 0 a": 0})
		start(runner.Options{Generation: 2, Workers: 3, Types: []string{"c"}})
		check("after", map[string]float64{"jobqueue_runners": 1, "jobqueue_workers": 3, "jobqueue_workers_busy": 1, "jobqueue_uncovered_queues 0 a": 2})
		close(end)
		stop()
		<-ended
		<-ended
	})
}
