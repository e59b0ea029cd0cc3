// Package otel makes OpenTelemetry spans of pushes and runs, and counts them. What a job was pushed from is carried
// in its headers as W3C trace context, traceparent and tracestate, through any backend.
//
//	t := otel.New(otel.Options{})
//	g := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: backend, Trace: t.Trace()})
//	o := runner.Options{Wait: true}
//	t.Runner(&o)
//	runner.Run(ctx, g, reg, &o)
//
// A push makes one producer span, whatever the number of its jobs. A run makes one consumer span, with a link to that of
// the push; what it pushes in its turn is pushed within the span of the run.
package otel

import (
	"context"
	"maps"

	"github.com/wikifarm/jobqueue"
	global "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/wikifarm/jobqueue/otel"

// Options say where spans go. The zero Options are fine.
type Options struct {
	// TracerProvider makes the spans. Default that of the program.
	TracerProvider trace.TracerProvider

	// MeterProvider counts pushed jobs and measures runs. Nil: neither is done.
	MeterProvider metric.MeterProvider

	// Child makes the span of a run a child of that of its push, so that both are one trace, instead of a
	// root with a link to it. A trace is then as long as its jobs wait.
	Child bool
}

// A Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	child  bool
	meters *meters // nil: none
}

// New returns a tracer. It panics if the meter provider refuses the names of the metrics, which are fixed.
func New(o Options) *Tracer {
	if o.TracerProvider == nil {
		o.TracerProvider = global.GetTracerProvider()
	}
	t := &Tracer{tracer: o.TracerProvider.Tracer(scope), child: o.Child}
	if o.MeterProvider != nil {
		t.meters = newMeters(o.MeterProvider.Meter(scope))
	}
	return t
}

// Of the context of a trace, but not of what else the program propagates, such as baggage: a job may wait for
// days in a store that others read.
var propagator = propagation.TraceContext{}

// Trace returns hooks for [jobqueue.Routes]. A program with hooks of its own joins both with [jobqueue.JoinTraces].
func (t *Tracer) Trace() *jobqueue.Trace {
	return &jobqueue.Trace{Pushing: t.pushing, Pushed: t.pushed}
}

func (t *Tracer) pushing(ctx context.Context, records []jobqueue.Record) func(jobqueue.Pushed, error) {
	if len(records) == 0 {
		return nil
	}
	name, attrs := "send", []attribute.KeyValue{system, operation("send")}
	if typ := records[0].Type; sameType(records) {
		name, attrs = "send "+typ, append(attrs, destination(typ))
	}
	if len(records) > 1 {
		attrs = append(attrs, attribute.Int("messaging.batch.message_count", len(records)))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...))
	inject(ctx, records)
	return func(pushed jobqueue.Pushed, err error) {
		defer span.End()
		if !span.IsRecording() {
			return
		}
		if n := pushed.Duplicates(); n > 0 {
			span.SetAttributes(attribute.Int("jobqueue.duplicates", n))
		}
		if len(pushed) == 1 && pushed[0].Err == nil {
			span.SetAttributes(messageID(pushed[0].ID))
		}
		fail(span, err)
	}
}

// Inject returns specs with the trace context of ctx in their headers, for what does not go through
// [jobqueue.Group.Push], such as a push in a transaction. The specs given, and their headers, stay as they are.
func Inject(ctx context.Context, specs ...jobqueue.Spec) []jobqueue.Spec {
	out := make([]jobqueue.Spec, len(specs))
	c := newCarrier(ctx)
	for i, s := range specs {
		s.Headers = c.over(s.Headers)
		out[i] = s
	}
	return out
}

func inject(ctx context.Context, records []jobqueue.Record) {
	c := newCarrier(ctx)
	for i := range records {
		records[i].Headers = c.over(records[i].Headers)
	}
}

// A carrier is the trace context as headers, which all jobs of a push without other headers share.
type carrier struct{ ours propagation.MapCarrier }

func newCarrier(ctx context.Context) carrier {
	ours := propagation.MapCarrier{}
	propagator.Inject(ctx, ours)
	return carrier{ours}
}

// over returns headers with ours in place of such as are there.
func (c carrier) over(headers map[string]string) map[string]string {
	if len(c.ours) == 0 {
		return headers
	}
	if len(headers) == 0 {
		return c.ours
	}
	joined := maps.Clone(headers)
	for _, f := range propagator.Fields() {
		delete(joined, f)
	}
	maps.Copy(joined, c.ours)
	return joined
}

// Extract returns ctx with the trace context that a job carries as the remote one, if that is valid.
func Extract(ctx context.Context, headers map[string]string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier(headers))
}

func sameType(records []jobqueue.Record) bool {
	for i := range records {
		if records[i].Type != records[0].Type {
			return false
		}
	}
	return true
}

func fail(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
}

// The attributes have the names that OpenTelemetry gives them for messaging.
var system = attribute.String("messaging.system", "jobqueue")

func operation(s string) attribute.KeyValue {
	return attribute.String("messaging.operation.type", s)
}
func destination(typ string) attribute.KeyValue {
	return attribute.String("messaging.destination.name", typ)
}
func messageID(id string) attribute.KeyValue { return attribute.String("messaging.message.id", id) }
