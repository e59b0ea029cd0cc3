package metrics

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// How a run went, as the label result says it.
const (
	resultOK     = "ok"
	resultFailed = "failed"  // it returned an error, panicked, or ran out of time
	resultPutOff = "put_off" // it asked to run later, or the end of the runner interrupted it
	resultFault  = "fault"   // its handler is at fault
	resultLost   = "lost"    // its claim was lost meanwhile
)

// Where a run was, as the label mode says it.
const (
	modeAsync  = "async"  // in a runner
	modeInline = "inline" // in the process that pushed
)

// vecs are the counters and histograms of all types.
type vecs struct {
	pushed, duplicates, unpushed                               *prometheus.CounterVec
	popped, suspect                                            *prometheus.CounterVec
	done, retried, givenBack, abandoned, superseded, exhausted *prometheus.CounterVec
	lost, recycled                                             *prometheus.CounterVec
	failed, inline                                             *prometheus.CounterVec
	storeErrors, maintained                                    *prometheus.CounterVec
	all                                                        []prometheus.Collector
}

func newVecs() (v vecs) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobqueue_" + name, Help: help}, labels)
		v.all = append(v.all, c)
		return c
	}
	v.pushed = counter("jobs_pushed_total", "Jobs that were stored.", "type")
	v.duplicates = counter("jobs_duplicate_total", "Pushed jobs that were dropped, as an equal one waited.", "type")
	v.unpushed = counter("jobs_push_failed_total", "Jobs whose push failed. Some of them may be stored all the same.", "type")
	v.popped = counter("jobs_popped_total", "Jobs that were claimed, each time they were.", "type")
	v.suspect = counter("jobs_suspect_total", "Claims of jobs of which an earlier claim had run out, so that they may have killed their process.", "type")
	v.done = counter("jobs_done_total", "Jobs that were settled as done; those that run at most once are before they run.", "type")
	v.failed = counter("jobs_failed_total", "Runs that failed: with an error, a panic or out of time.", "type")
	v.retried = counter("jobs_retried_total", "Jobs that failed and are to be tried again.", "type")
	v.givenBack = counter("jobs_given_back_total", "Jobs that were given back without a failure: put off, interrupted, not begun, or with a handler at fault.", "type")
	v.abandoned = counter("jobs_abandoned_total", "Jobs that were given up for good.", "type")
	v.exhausted = counter("jobs_exhausted_total", "Abandoned jobs whose tries were used up by claims that ran out, so that they were not run again.", "type")
	v.superseded = counter("jobs_superseded_total", "Jobs that were dropped unrun because of a newer root.", "type")
	v.lost = counter("jobs_lost_claims_total", "Claims that were no longer held when they were settled.", "type")
	v.recycled = counter("jobs_recycled_total", "Claims that had run out, counted once their job is done or abandoned.", "type")
	v.inline = counter("jobs_inline_total", "Jobs that ran at once in the process that pushed them, by why.", "type", "reason")
	v.storeErrors = counter("store_errors_total", "Calls of stores that failed.", "call")
	v.maintained = counter("maintained_jobs_total", "Jobs that maintenance changed in a store.", "change")
	for _, call := range []string{"push", "pop", "settle", "maintain", "notify"} {
		v.storeErrors.WithLabelValues(call)
	}
	for _, change := range []string{"released", "recycled", "pruned"} {
		v.maintained.WithLabelValues(change)
	}
	return v
}

// A kind is a type with its counters, looked up once.
type kind struct {
	name                                                       string
	pushed, duplicates, unpushed                               prometheus.Counter
	popped, suspect                                            prometheus.Counter
	done, retried, givenBack, abandoned, superseded, exhausted prometheus.Counter
	lost, recycled, failed                                     prometheus.Counter

	async, inline atomic.Pointer[mode] // nil until there is such a run
}

// A mode has what is counted of the runs of a type in one mode.
type mode struct {
	where                       string
	shards                      [shards]shard
	failed, putOff, fault, lost atomic.Uint64
}

func (m *Metrics) newKind(name string) *kind {
	v := &m.vecs
	return &kind{
		name:       name,
		pushed:     v.pushed.WithLabelValues(name),
		duplicates: v.duplicates.WithLabelValues(name),
		unpushed:   v.unpushed.WithLabelValues(name),
		popped:     v.popped.WithLabelValues(name),
		suspect:    v.suspect.WithLabelValues(name),
		done:       v.done.WithLabelValues(name),
		retried:    v.retried.WithLabelValues(name),
		givenBack:  v.givenBack.WithLabelValues(name),
		abandoned:  v.abandoned.WithLabelValues(name),
		superseded: v.superseded.WithLabelValues(name),
		exhausted:  v.exhausted.WithLabelValues(name),
		lost:       v.lost.WithLabelValues(name),
		recycled:   v.recycled.WithLabelValues(name),
		failed:     v.failed.WithLabelValues(name),
	}
}

// in returns what is counted of the runs in one mode. A process that only pushes has no histograms.
func in(p *atomic.Pointer[mode], where string) *mode {
	if r := p.Load(); r != nil {
		return r
	}
	p.CompareAndSwap(nil, &mode{where: where})
	return p.Load()
}

func valid(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
