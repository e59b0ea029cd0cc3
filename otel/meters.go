package otel

import (
	"context"
	"sync"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxTypes is how many types are told apart; the rest are "other".
const maxTypes = 100

// meters have the names that OpenTelemetry gives them for messaging.
type meters struct {
	sent     metric.Int64Counter
	duration metric.Float64Histogram

	mu    sync.RWMutex
	types map[string]*attributes
}

// attributes of a type, made once.
type attributes struct{ sent, ok, failed, putOff metric.MeasurementOption }

func newMeters(m metric.Meter) *meters {
	sent, err := m.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"), metric.WithDescription("Jobs that were stored."))
	if err != nil {
		panic("jobqueue/otel: " + err.Error())
	}
	duration, err := m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"), metric.WithDescription("How long runs of jobs took."),
		metric.WithExplicitBucketBoundaries(.005, .025, .1, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600))
	if err != nil {
		panic("jobqueue/otel: " + err.Error())
	}
	return &meters{sent: sent, duration: duration, types: map[string]*attributes{}}
}

func (m *meters) of(typ string) *attributes {
	m.mu.RLock()
	a := m.types[typ]
	m.mu.RUnlock()
	if a != nil {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.types) >= maxTypes {
		typ = "other" // the one more that there may be
	}
	if a = m.types[typ]; a == nil {
		set := func(more ...attribute.KeyValue) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(append([]attribute.KeyValue{system, destination(typ)}, more...)...))
		}
		a = &attributes{
			sent: set(operation("send")), ok: set(operation("process")),
			failed: set(operation("process"), attribute.String("error.type", "failed")),
			putOff: set(operation("process"), attribute.String("error.type", "put_off")),
		}
		m.types[typ] = a
	}
	return a
}

func (t *Tracer) pushed(ctx context.Context, records []jobqueue.Record, pushed jobqueue.Pushed, err error) {
	if t.meters == nil || err != nil {
		return
	}
	n := int64(0)
	for i := range records {
		if pushed[i].Err == nil && !pushed[i].Duplicate {
			n++
		}
		if n > 0 && (i+1 == len(records) || records[i+1].Type != records[i].Type) {
			t.meters.sent.Add(ctx, n, t.meters.of(records[i].Type).sent)
			n = 0
		}
	}
}

func (m *meters) ended(e *runner.Ended) {
	a := m.of(e.Claim.Type)
	with := a.ok
	switch {
	case e.Err != nil && (e.Action == jobqueue.ActionRetry || e.Action == jobqueue.ActionAbandon):
		with = a.failed
	case e.Err != nil:
		with = a.putOff
	}
	m.duration.Record(context.Background(), e.Took.Seconds(), with)
}
