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
	h := m.hands.Get().(*hand)
	defer m.hands.Put(h)
	k := h.kind(e.Claim.Type)
	r := in(&k.async, modeAsync)
	s := &r.shards[h.shard]
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

// A hand is what a goroutine has while it counts a run: one processor has mostly the same one.
type hand struct {
	shard int
	cursor
}

func (m *Metrics) newHand() any {
	return &hand{shard: int(m.made.Add(1) % shards), cursor: cursor{m: m}}
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
