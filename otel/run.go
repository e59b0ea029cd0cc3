package otel

import (
	"context"
	"errors"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Runner adds to the options of a run what makes spans of runs. It is around the Middleware that they have, and
// counts beside their OnEnd.
func (t *Tracer) Runner(o *runner.Options) {
	inner := o.Middleware
	o.Middleware = func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
		if inner == nil {
			return t.run(ctx, next)
		}
		return t.run(ctx, func(ctx context.Context) error { return inner(ctx, job, next) })
	}
	if t.meters == nil {
		return
	}
	end := o.OnEnd
	o.OnEnd = func(e runner.Ended) {
		t.meters.ended(&e)
		if end != nil {
			end(e)
		}
	}
}

func (t *Tracer) run(ctx context.Context, next func(context.Context) error) (err error) {
	c := jobqueue.FromContext(ctx)
	if c == nil {
		return next(ctx)
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(system, operation("process"), destination(c.Type), messageID(c.ID),
			attribute.String("jobqueue.domain", c.Domain), attribute.Int("jobqueue.attempt", c.Attempt)),
	}
	parent := ctx
	remote := trace.SpanContextFromContext(Extract(context.Background(), c.Headers))
	switch {
	case c.Inline != "":
		// It runs within what pushed it, and is a child of that.
	case !remote.IsValid():
		options = append(options, trace.WithNewRoot())
	case t.child:
		parent = trace.ContextWithRemoteSpanContext(ctx, remote)
	default:
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	ctx, span := t.tracer.Start(parent, "process "+c.Type, options...)
	defer span.End()
	returned := false
	defer func() {
		if !returned {
			fail(span, errPanic) // or what ends the goroutine; it goes on from here
			return
		}
		fail(span, err)
	}()
	err = next(ctx)
	returned = true
	return err
}

var errPanic = errors.New("the job panicked")
