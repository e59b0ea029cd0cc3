package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
)

// Runner adds hooks to the options of a run, before those they have: OnEnd and Alive.
func (m *Metrics) Runner(o *runner.Options) {
	m.health.runs.Store(true)
	m.health.beat()
	end, alive := o.OnEnd, o.Alive
	o.OnEnd = func(e runner.Ended) {
		m.ended(&e)
		if end != nil {
			end(e)
		}
	}
	o.Alive = func() {
		m.health.beat()
		if alive != nil {
			alive()
		}
	}
}

// ended counts a run in a runner.
func (m *Metrics) ended(e *runner.Ended) {
	if e.Claim.Inline != "" {
		return // The group's trace has it.
	}
	k := m.types.get(e.Claim.Type)
	r := m.in(k, &k.async, modeAsync)
	if e.Err == nil {
		r.ok.Inc()
	} else {
		m.bad(k, r, e.Err, e.Action)
	}
	// Of later attempts nobody knows since when they could have run.
	if c := e.Claim; c.Attempt <= 1 && c.Expiries == 0 {
		r.wait.observe(e.Began.Sub(c.QueuedAt))
	}
	r.run.observe(e.Took)
}

func (m *Metrics) bad(k *kind, r *mode, err error, do jobqueue.Action) {
	switch {
	case do == jobqueue.ActionRetry, do == jobqueue.ActionAbandon:
		k.failed.Inc()
		r.bad.Inc()
	case do != jobqueue.ActionGiveBack:
		r.lost.Inc()
	case errors.Is(err, jobqueue.ErrFault):
		r.fault.Inc()
	default:
		r.putOff.Inc()
	}
}

// inlined counts a run in the process that pushed the job.
func (m *Metrics) inlined(_ context.Context, c *jobqueue.Claim, why string, took time.Duration, err error) {
	k := m.types.get(c.Type)
	m.vecs.inline.WithLabelValues(k.name, why).Inc()
	r := m.in(k, &k.inline, modeInline)
	if err == nil {
		r.ok.Inc()
	} else {
		k.failed.Inc()
		r.bad.Inc()
	}
	r.wait.observe(0)
	r.run.observe(took)
}
