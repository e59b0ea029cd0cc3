package metrics

import (
	"context"
	"errors"

	"github.com/wikifarm/jobqueue"
)

// Trace returns hooks for [jobqueue.Routes]. Any number of groups may have them. A
// program with hooks of its own joins both with [jobqueue.JoinTraces].
func (m *Metrics) Trace() *jobqueue.Trace {
	return &jobqueue.Trace{
		Pushed:     m.pushed,
		Inline:     m.inlined,
		Popped:     m.popped,
		Exhausted:  func(_ context.Context, c *jobqueue.Claim, _ string) { m.types.get(c.Type).exhausted.Inc() },
		Settled:    m.settled,
		Maintained: m.maintained,
		Notified: func(_ context.Context, _ []jobqueue.Backlog, err error) {
			if err != nil {
				m.vecs.storeErrors.WithLabelValues("notify").Inc()
			}
		},
	}
}

func (m *Metrics) pushed(_ context.Context, records []jobqueue.Record, pushed jobqueue.Pushed, err error) {
	if err != nil {
		m.vecs.storeErrors.WithLabelValues("push").Inc()
	}
	for i := 0; i < len(records); {
		typ, stored := records[i].Type, 0
		k := m.types.get(typ)
		for ; i < len(records) && records[i].Type == typ; i++ {
			switch {
			case err != nil || pushed[i].Err != nil:
				k.unpushed.Inc()
			case pushed[i].Duplicate:
				k.duplicates.Inc()
			default:
				stored++
			}
		}
		k.pushed.Add(float64(stored))
	}
}

func (m *Metrics) popped(_ context.Context, claims []*jobqueue.Claim, err error) {
	if err != nil {
		m.vecs.storeErrors.WithLabelValues("pop").Inc()
		return // What was claimed all the same, a repeat returns.
	}
	for i := 0; i < len(claims); {
		typ, first := claims[i].Type, i
		k := m.types.get(typ)
		for ; i < len(claims) && claims[i].Type == typ; i++ {
			if claims[i].Suspect() {
				k.suspect.Inc()
			}
		}
		k.popped.Add(float64(i - first))
	}
}

func (m *Metrics) settled(_ context.Context, outcomes []jobqueue.Outcome, lost []*jobqueue.Claim, err error) {
	var apart map[*jobqueue.Claim]bool // outcomes that did not take effect
	leave := func(claims []*jobqueue.Claim) {
		for _, c := range claims {
			if apart == nil {
				apart = map[*jobqueue.Claim]bool{}
			}
			apart[c] = true
		}
	}
	if err != nil {
		m.vecs.storeErrors.WithLabelValues("settle").Inc()
		part, ok := errors.AsType[*jobqueue.PartError](err)
		if !ok {
			return
		}
		leave(part.Claims)
	}
	leave(lost)
	for _, c := range lost {
		m.types.get(c.Type).lost.Inc()
	}
	for i := 0; i < len(outcomes); {
		typ, done := outcomes[i].Claim.Type, 0
		k := m.types.get(typ)
		for ; i < len(outcomes) && outcomes[i].Claim.Type == typ; i++ {
			c := outcomes[i].Claim
			switch {
			case apart != nil && apart[c]:
			case outcomes[i].Do == jobqueue.ActionDone && !c.Superseded && c.Expiries == 0:
				done++ // as nearly all are
			default:
				k.settled(&outcomes[i])
			}
		}
		k.done.Add(float64(done))
	}
}

// settled counts an outcome that took effect.
func (k *kind) settled(o *jobqueue.Outcome) {
	switch o.Do {
	case jobqueue.ActionDone:
		if o.Claim.Superseded {
			k.superseded.Inc()
		} else {
			k.done.Inc()
		}
		k.recycled.Add(float64(o.Claim.Expiries))
	case jobqueue.ActionAbandon:
		k.abandoned.Inc()
		k.recycled.Add(float64(o.Claim.Expiries))
	case jobqueue.ActionRetry:
		k.retried.Inc()
	case jobqueue.ActionGiveBack:
		k.givenBack.Inc()
	}
}

func (m *Metrics) maintained(_ context.Context, did jobqueue.Maintained, err error) {
	if err != nil {
		m.vecs.storeErrors.WithLabelValues("maintain").Inc()
	}
	m.vecs.maintained.WithLabelValues("released").Add(float64(did.Released))
	m.vecs.maintained.WithLabelValues("recycled").Add(float64(did.Recycled))
	m.vecs.maintained.WithLabelValues("pruned").Add(float64(did.Pruned))
}
