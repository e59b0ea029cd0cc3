package metrics

import (
	"context"
	"errors"
	"sync/atomic"
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
	h := m.near.Get().(*hand)
	k := h.last.Load()
	if k == nil || k.name != e.Claim.Type {
		k = m.types.get(e.Claim.Type)
		h.last.Store(k)
	}
	r := in(&k.async, modeAsync)
	s := &r.shards[h.shard]
	m.near.Put(h)
	// Of later attempts nobody knows since when they could have run.
	if c := e.Claim; c.Attempt <= 1 && c.Expiries == 0 {
		s.wait.observe(e.Began.Sub(c.QueuedAt))
	}
	if e.Err == nil {
		s.ok.observe(e.Took)
		return
	}
	s.bad.observe(e.Took)
	switch {
	case e.Action == jobqueue.ActionRetry, e.Action == jobqueue.ActionAbandon:
		k.failed.Inc()
		r.failed.Add(1)
	case e.Action != jobqueue.ActionGiveBack:
		r.lost.Add(1)
	case errors.Is(e.Err, jobqueue.ErrFault):
		r.fault.Add(1)
	default:
		r.putOff.Add(1)
	}
}

// A hand is what a processor counts runs with, mostly: others may have it as well.
type hand struct {
	shard int
	last  atomic.Pointer[kind] // of the run before
	_     [64]byte             // of another cache line
}

func (m *Metrics) nextHand() any {
	return &m.hands[m.given.Add(1)%shards]
}

// inlined counts a run in the process that pushed the job.
func (m *Metrics) inlined(_ context.Context, c *jobqueue.Claim, why string, took time.Duration, err error) {
	k := m.types.get(c.Type)
	m.vecs.inline.WithLabelValues(k.name, why).Inc()
	r := in(&k.inline, modeInline)
	s := &r.shards[0]
	s.wait.observe(0)
	if err == nil {
		s.ok.observe(took)
		return
	}
	s.bad.observe(took)
	k.failed.Inc()
	r.failed.Add(1)
}
