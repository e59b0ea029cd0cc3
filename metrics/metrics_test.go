package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/metrics"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// A job of the tests does what it is told.
type job struct {
	Kind string
	Does string
}

func (j *job) Type() string { return j.Kind }

func (j *job) Run(ctx context.Context) error {
	switch j.Does {
	case "fail":
		return errors.New("no luck")
	case "abandon":
		return jobqueue.Abandon(errors.New("no hope"))
	case "fault":
		return jobqueue.Fault(errors.New("no program"))
	case "snooze":
		return jobqueue.Snooze(time.Hour)
	}
	return nil
}

func registry(kinds ...string) *jobqueue.Registry {
	reg := &jobqueue.Registry{}
	for _, k := range kinds {
		reg.Add(func() jobqueue.Job { return &job{Kind: k} }, jobqueue.Policy{})
	}
	return reg
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// values returns what is gathered of some metrics, by name and labels.
func values(t testing.TB, m *metrics.Metrics, names ...string) map[string]float64 {
	t.Helper()
	all, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range all {
		for _, n := range names {
			if f.GetName() != n {
				continue
			}
			for _, s := range f.Metric {
				key := n
				for _, l := range s.Label {
					key += " " + l.GetValue()
				}
				switch {
				case s.Counter != nil:
					got[key] = s.Counter.GetValue()
				case s.Gauge != nil:
					got[key] = s.Gauge.GetValue()
				default:
					got[key] = float64(s.Histogram.GetSampleCount())
				}
			}
		}
	}
	return got
}

func nonzero(all map[string]float64) map[string]float64 {
	for k, v := range all {
		if v == 0 {
			delete(all, k)
		}
	}
	return all
}

// Everything that can become of a job is counted, by type.
func TestEveryFateIsCounted(t *testing.T) {
	m := metrics.New(metrics.Options{})
	ended := 0
	reg := registry("a", "b")
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: m.Trace(), Policy: func(string) jobqueue.Policy {
		return jobqueue.Policy{MaxTries: 2, Backoff: func(int) time.Duration { return time.Hour }}
	}})
	spec := func(kind, does string) jobqueue.Spec { return jobqueue.Spec{Job: &job{Kind: kind, Does: does}} }
	same := jobqueue.Spec{Job: &job{Kind: "b"}, Dedupe: true}
	old, young := spec("b", ""), spec("b", "")
	old.Root = jobqueue.Root{Key: "edit", Time: time.Now().Add(-time.Hour)}
	young.Root = jobqueue.Root{Key: "edit", Time: time.Now()}
	if _, err := g.Push(t.Context(), spec("a", ""), spec("a", "fail"), spec("a", "abandon"), spec("a", "snooze"),
		same, same, old, young); err != nil {
		t.Fatal(err)
	}
	o := &runner.Options{Logger: quiet(), OnEnd: func(runner.Ended) { ended++ }, Workers: 1}
	m.Runner(o)
	if _, err := runner.Run(t.Context(), g, reg, o); err != nil {
		t.Fatal(err)
	}
	got := nonzero(values(t, m, "jobqueue_jobs_pushed_total", "jobqueue_jobs_duplicate_total", "jobqueue_jobs_popped_total",
		"jobqueue_jobs_done_total", "jobqueue_jobs_failed_total", "jobqueue_jobs_retried_total", "jobqueue_jobs_given_back_total",
		"jobqueue_jobs_abandoned_total", "jobqueue_jobs_superseded_total", "jobqueue_jobs_lost_claims_total", "jobqueue_runs_total",
		"jobqueue_wait_seconds", "jobqueue_run_seconds", "jobqueue_jobs_push_failed_total", "jobqueue_store_errors_total"))
	want := map[string]float64{
		"jobqueue_jobs_pushed_total a": 4, "jobqueue_jobs_pushed_total b": 3, "jobqueue_jobs_duplicate_total b": 1,
		"jobqueue_jobs_popped_total a": 4, "jobqueue_jobs_popped_total b": 3,
		"jobqueue_jobs_done_total a": 1, "jobqueue_jobs_done_total b": 2,
		"jobqueue_jobs_failed_total a": 2, "jobqueue_jobs_retried_total a": 1, "jobqueue_jobs_abandoned_total a": 1,
		"jobqueue_jobs_given_back_total a": 1, "jobqueue_jobs_superseded_total b": 1,
		"jobqueue_runs_total async ok a": 1, "jobqueue_runs_total async failed a": 2, "jobqueue_runs_total async put_off a": 1,
		"jobqueue_runs_total async ok b": 2,
		"jobqueue_wait_seconds async a":  4, "jobqueue_run_seconds async a": 4, "jobqueue_wait_seconds async b": 2, "jobqueue_run_seconds async b": 2,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if ended != 6 {
		t.Errorf("the program's own hook saw %d runs of 6", ended)
	}
	if _, err := g.Push(t.Context(), spec("a", "fault")); err != nil {
		t.Fatal(err)
	}
	runner.Run(t.Context(), g, reg, o)
	if n := values(t, m, "jobqueue_runs_total")["jobqueue_runs_total async fault a"]; n != 1 {
		t.Errorf("%v runs with a handler at fault", n)
	}
}

// A job that runs where it is pushed is counted with the reason, and once, whatever hooks it runs with.
func TestInlineRunsAreCountedByReason(t *testing.T) {
	m := metrics.New(metrics.Options{})
	o := &runner.Options{Logger: quiet()}
	m.Runner(o)
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{
		Default: queuememory.New(), Trace: m.Trace(), Inline: runner.Inline(registry("a"), o),
		Async: func(n jobqueue.Name) bool { return false },
	})
	spec := func(does string) jobqueue.Spec { return jobqueue.Spec{Job: &job{Kind: "a", Does: does}} }
	if _, err := g.Push(t.Context(), spec(""), spec("fail")); err == nil {
		t.Error("the job did not fail")
	}
	if _, err := g.Push(jobqueue.WithSynchronous(t.Context()), spec("")); err != nil {
		t.Error(err)
	}
	got := nonzero(values(t, m, "jobqueue_jobs_inline_total", "jobqueue_runs_total", "jobqueue_jobs_failed_total", "jobqueue_run_seconds", "jobqueue_jobs_pushed_total"))
	want := map[string]float64{
		"jobqueue_jobs_inline_total not_async a": 2, "jobqueue_jobs_inline_total synchronous a": 1,
		"jobqueue_runs_total inline ok a": 2, "jobqueue_runs_total inline failed a": 1, "jobqueue_jobs_failed_total a": 1,
		"jobqueue_run_seconds inline a": 3,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A claim that runs out is seen when its job is claimed again, and counted as recycled once the job has ended.
func TestRecycledAndLostClaimsAreCounted(t *testing.T) {
	m := metrics.New(metrics.Options{})
	b := queuememory.New()
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b, Trace: m.Trace()})
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "a"}); err != nil {
		t.Fatal(err)
	}
	pop := func() *jobqueue.Claim {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			claims, err := g.Pop(t.Context(), jobqueue.Lease{Token: token(t), TTL: time.Millisecond}, jobqueue.Want{Name: jobqueue.Name{Domain: "wiki", Type: "a"}, Max: 1})
			if err != nil {
				t.Fatal(err)
			}
			if len(claims) == 1 {
				return claims[0]
			}
		}
		t.Fatal("the job is gone")
		return nil
	}
	first := pop()
	again := pop()
	if again.Expiries < 1 {
		t.Fatalf("%v", again)
	}
	if err := g.Settle(t.Context(), jobqueue.Outcome{Claim: first, Do: jobqueue.ActionDone}); !errors.Is(err, jobqueue.ErrNotClaimed) {
		t.Fatal(err)
	}
	// With a lease of its own, as the claim in hand may have run out by now.
	claims, err := g.Pop(t.Context(), jobqueue.Lease{Token: token(t), TTL: time.Hour}, jobqueue.Want{Name: again.Name, Max: 1})
	for end := time.Now().Add(time.Minute); err == nil && len(claims) == 0 && time.Now().Before(end); {
		claims, err = g.Pop(t.Context(), jobqueue.Lease{Token: token(t), TTL: time.Hour}, jobqueue.Want{Name: again.Name, Max: 1})
	}
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	if err := g.Settle(t.Context(), jobqueue.Outcome{Claim: claims[0], Do: jobqueue.ActionDone}); err != nil {
		t.Fatal(err)
	}
	got := values(t, m, "jobqueue_jobs_suspect_total", "jobqueue_jobs_recycled_total", "jobqueue_jobs_lost_claims_total", "jobqueue_jobs_done_total")
	want := map[string]float64{"jobqueue_jobs_suspect_total a": 2, "jobqueue_jobs_recycled_total a": float64(claims[0].Expiries),
		"jobqueue_jobs_lost_claims_total a": 1, "jobqueue_jobs_done_total a": 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Whoever pushes made-up types gets them one label for all, and takes none from those that are known.
func TestLabelsAreBounded(t *testing.T) {
	m := metrics.New(metrics.Options{Types: []string{"mail"}, MaxTypes: 10, MaxDomains: 3})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: m.Trace()})
	m.Watch(g)
	for i := range 1000 {
		if _, err := g.Push(t.Context(), jobqueue.Spec{Type: fmt.Sprint("junk", i), Domain: fmt.Sprint("d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Push(t.Context(), jobqueue.Spec{Type: "mail"}); err != nil {
		t.Fatal(err)
	}
	pushed := values(t, m, "jobqueue_jobs_pushed_total")
	if n := len(pushed); n != 11 || pushed["jobqueue_jobs_pushed_total other"] != 991 || pushed["jobqueue_jobs_pushed_total mail"] != 1 {
		t.Errorf("%d labels, %v", n, pushed)
	}
	ready := values(t, m, "jobqueue_ready_queues")
	if n := len(ready); n != 11 || ready["jobqueue_ready_queues 0 other"] != 991 {
		t.Errorf("%d labels, %v", n, ready)
	}
	if domains := values(t, m, "jobqueue_domain_ready_queues"); len(domains) != 4 || domains["jobqueue_domain_ready_queues other 0"] != 998 {
		t.Errorf("%v", domains)
	}
}

// The names and texts are as Prometheus wants them, and each is described.
func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	m := metrics.New(metrics.Options{Types: []string{"a"}, CountEvery: time.Second})
	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: queuememory.New(), Trace: m.Trace()})
	m.Watch(g)
	g.Push(t.Context(), jobqueue.Spec{Type: "a"})
	m.Trace().Inline(t.Context(), &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Type: "a"}}}, jobqueue.Synchronous, time.Second, nil)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	// A registry of the program's own may have it, too.
	if err := prometheus.NewPedanticRegistry().Register(m); err != nil {
		t.Error(err)
	}
}

// However many goroutines count at once, nothing is counted twice or lost.
func TestCountsAreExact(t *testing.T) {
	m := metrics.New(metrics.Options{MaxTypes: 2})
	var o runner.Options
	m.Runner(&o)
	const each = 2000
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for k := range each {
				e := runner.Ended{Claim: &jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Type: fmt.Sprint("t", (i+k)%4)}}}, Action: jobqueue.ActionDone}
				if k%2 > 0 {
					e.Err, e.Action = io.EOF, jobqueue.ActionRetry
				}
				o.OnEnd(e)
			}
		})
	}
	all.Wait()
	sums := map[string]float64{}
	for key, n := range values(t, m, "jobqueue_runs_total", "jobqueue_run_seconds", "jobqueue_wait_seconds", "jobqueue_jobs_failed_total") {
		words := strings.Fields(key)
		sums[words[0]+" "+strings.Join(words[min(2, len(words)-1):len(words)-1], " ")] += n
	}
	want := map[string]float64{
		"jobqueue_runs_total ok": 8 * each, "jobqueue_runs_total failed": 8 * each, "jobqueue_runs_total put_off": 0, "jobqueue_runs_total fault": 0,
		"jobqueue_runs_total lost": 0, "jobqueue_run_seconds ": 16 * each, "jobqueue_wait_seconds ": 16 * each, "jobqueue_jobs_failed_total ": 8 * each,
	}
	if d := cmp.Diff(want, sums); d != "" {
		t.Error(d)
	}
}

// Nothing is allocated for a job.
func TestHooksAllocateNothing(t *testing.T) {
	m, f := hooks()
	f(m)
	if n := testing.AllocsPerRun(100, func() { f(m) }); n > 0 {
		t.Errorf("%v allocations for a batch of jobs", n)
	}
}

// hooks returns metrics and what calls their hooks as a batch of batchSize jobs does.
func hooks() (*metrics.Metrics, func(*metrics.Metrics)) {
	m := metrics.New(metrics.Options{Types: []string{"refreshLinks", "mail", "htmlCacheUpdate"}})
	tr := m.Trace()
	var o runner.Options
	m.Runner(&o)
	records := make([]jobqueue.Record, batchSize)
	pushed := make(jobqueue.Pushed, batchSize)
	claims := make([]*jobqueue.Claim, batchSize)
	outcomes := make([]jobqueue.Outcome, batchSize)
	now := time.Now()
	for i := range claims {
		records[i].Name = jobqueue.Name{Domain: "enwiki", Type: "refreshLinks"}
		claims[i] = &jobqueue.Claim{Record: records[i], Attempt: 1, QueuedAt: now.Add(-time.Second)}
		outcomes[i] = jobqueue.Outcome{Claim: claims[i], Do: jobqueue.ActionDone}
	}
	ctx := context.Background()
	return m, func(*metrics.Metrics) {
		tr.Pushed(ctx, records, pushed, nil)
		tr.Popped(ctx, claims, nil)
		for _, c := range claims {
			o.OnEnd(runner.Ended{Claim: c, Action: jobqueue.ActionDone, Began: now, Took: time.Millisecond})
		}
		tr.Settled(ctx, outcomes, nil, nil)
	}
}

const batchSize = 1000

// BenchmarkHooks says what all hooks cost a job, from its push to its settlement.
func BenchmarkHooks(b *testing.B) {
	m, f := hooks()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f(m)
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/job")
}
