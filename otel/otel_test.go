package otel_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/otel"
	"github.com/wikifarm/jobqueue/queuedb/sqlite"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A parent pushes a child when it runs.
type parent struct {
	g     *jobqueue.Group
	Fails bool
}

func (*parent) Type() string { return "parent" }

func (p *parent) Run(ctx context.Context) error {
	if p.Fails {
		return errors.New("no luck")
	}
	_, err := p.g.Push(ctx, jobqueue.Spec{Job: &child{}})
	return err
}

type child struct {
	seen *atomic.Pointer[trace.SpanContext]
}

func (*child) Type() string { return "child" }

func (c *child) Run(ctx context.Context) error {
	if c.seen != nil {
		in := trace.SpanContextFromContext(ctx)
		c.seen.Store(&in)
	}
	return nil
}

// A bench has a group, what runs its jobs, and the spans that these made.
type bench struct {
	spans *tracetest.SpanRecorder
	sdk   *sdk.TracerProvider
	t     *otel.Tracer
	g     *jobqueue.Group
	reg   *jobqueue.Registry
	o     *runner.Options
	seen  atomic.Pointer[trace.SpanContext]
}

func newBench(b jobqueue.Backend, o otel.Options) *bench {
	n := &bench{spans: tracetest.NewSpanRecorder(), reg: &jobqueue.Registry{}}
	n.sdk = sdk.NewTracerProvider(sdk.WithSpanProcessor(n.spans))
	o.TracerProvider = n.sdk
	n.t = otel.New(o)
	n.o = &runner.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	n.t.Runner(n.o)
	n.g = jobqueue.NewGroup("wiki", jobqueue.Routes{Default: b, Trace: n.t.Trace(), Inline: runner.Inline(n.reg, n.o)})
	n.reg.Add(func() jobqueue.Job { return &parent{g: n.g} }, jobqueue.Policy{MaxTries: 1})
	n.reg.Add(func() jobqueue.Job { return &child{seen: &n.seen} }, jobqueue.Policy{})
	return n
}

func (n *bench) run(t *testing.T) {
	t.Helper()
	if _, err := runner.Run(t.Context(), n.g, n.reg, n.o); err != nil {
		t.Fatal(err)
	}
}

// one returns the only span of a name.
func (n *bench) one(t *testing.T, name string) sdk.ReadOnlySpan {
	t.Helper()
	var found []sdk.ReadOnlySpan
	for _, s := range n.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %q", len(found), name)
	}
	return found[0]
}

func attr(s sdk.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// A run is linked to its push, and what it pushes is pushed within it.
func TestRunsAreLinkedToTheirPush(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{})
	ctx, request := n.sdk.Tracer("test").Start(t.Context(), "request")
	pushed, err := n.g.Push(ctx, jobqueue.Spec{Job: &parent{}})
	request.End()
	if err != nil {
		t.Fatal(err)
	}
	n.run(t)
	send, process := n.one(t, "send parent"), n.one(t, "process parent")
	sendChild, processChild := n.one(t, "send child"), n.one(t, "process child")
	if send.SpanKind() != trace.SpanKindProducer || process.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("kinds %v and %v", send.SpanKind(), process.SpanKind())
	}
	if send.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Error("the push is not within what pushed")
	}
	if attr(send, "messaging.message.id") != pushed[0].ID || attr(process, "messaging.message.id") != pushed[0].ID {
		t.Errorf("ids %q and %q", attr(send, "messaging.message.id"), attr(process, "messaging.message.id"))
	}
	for _, pair := range [][2]sdk.ReadOnlySpan{{send, process}, {sendChild, processChild}} {
		links := pair[1].Links()
		if pair[1].Parent().IsValid() || len(links) != 1 || links[0].SpanContext.SpanID() != pair[0].SpanContext().SpanID() ||
			links[0].SpanContext.TraceID() != pair[0].SpanContext().TraceID() {
			t.Errorf("%s: parent %v, links %v", pair[1].Name(), pair[1].Parent(), links)
		}
	}
	if sendChild.Parent().SpanID() != process.SpanContext().SpanID() {
		t.Error("the child was not pushed within the run of its parent")
	}
	if n.seen.Load().SpanID() != processChild.SpanContext().SpanID() {
		t.Error("the job does not run within its span")
	}
}

// By option a run is a child of its push.
func TestRunsMayBeChildrenOfTheirPush(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{Child: true})
	if _, err := n.g.Push(t.Context(), jobqueue.Spec{Job: &child{}}); err != nil {
		t.Fatal(err)
	}
	n.run(t)
	send, process := n.one(t, "send child"), n.one(t, "process child")
	if process.Parent().SpanID() != send.SpanContext().SpanID() || !process.Parent().IsRemote() || len(process.Links()) > 0 {
		t.Errorf("parent %v, links %v", process.Parent(), process.Links())
	}
}

// A push of many jobs is one span, and duplicates are told; other headers stay, and so does the caller's map.
func TestAPushIsOneSpan(t *testing.T) {
	b, err := sqlite.Open(t.TempDir()+"/jobs.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	n := newBench(b, otel.Options{})
	mine := map[string]string{"request": "7", "traceparent": "junk"}
	specs := make([]jobqueue.Spec, 1000)
	for i := range specs {
		specs[i] = jobqueue.Spec{Job: &child{}, Dedupe: i >= 990, Headers: mine}
	}
	specs[0].Headers = nil
	if _, err := n.g.Push(t.Context(), specs...); err != nil {
		t.Fatal(err)
	}
	send := n.one(t, "send child")
	if attr(send, "messaging.batch.message_count") != "1000" || attr(send, "jobqueue.duplicates") != "9" {
		t.Errorf("%v", send.Attributes())
	}
	if d := cmp.Diff(map[string]string{"request": "7", "traceparent": "junk"}, mine); d != "" {
		t.Error("the caller's map was changed", d)
	}
	id := send.SpanContext().SpanID().String()
	stored := 0
	for e, err := range n.g.List(t.Context(), jobqueue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(e.Headers["traceparent"], id) || stored > 0 && e.Headers["request"] != "7" {
			t.Fatalf("headers %v", e.Headers)
		}
		stored++
	}
	n.run(t)
	runs := 0
	for _, s := range n.spans.Ended() {
		if s.Name() == "process child" && len(s.Links()) == 1 && s.Links()[0].SpanContext.SpanID() == send.SpanContext().SpanID() {
			runs++
		}
	}
	if stored != 991 || runs != 991 {
		t.Errorf("%d stored, %d linked runs", stored, runs)
	}
}

// Jobs of several types are pushed in one span without a destination, and a push of nothing is none.
func TestAMixedPush(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{})
	if _, err := n.g.Push(t.Context(), jobqueue.Spec{Job: &child{}}, jobqueue.Spec{Job: &parent{}}); err != nil {
		t.Fatal(err)
	}
	n.g.Push(t.Context())
	if d := attr(n.one(t, "send"), "messaging.destination.name"); d != "" || len(n.spans.Ended()) != 1 {
		t.Errorf("destination %q, %d spans", d, len(n.spans.Ended()))
	}
}

// What fails, or panics, fails its span, and the middleware that was there goes on working within it.
func TestFailuresAreRecorded(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{})
	within := false
	n.o = &runner.Options{Logger: n.o.Logger, Middleware: func(ctx context.Context, job jobqueue.Job, next func(context.Context) error) error {
		within = trace.SpanContextFromContext(ctx).IsValid()
		if _, ok := job.(*child); ok {
			panic("boo")
		}
		return next(ctx)
	}}
	n.t.Runner(n.o)
	n.g.Push(t.Context(), jobqueue.Spec{Job: &parent{Fails: true}})
	n.run(t)
	if s := n.one(t, "process parent"); s.Status().Code != codes.Error || s.Status().Description != "no luck" || !within {
		t.Errorf("%+v, middleware within the span: %t", s.Status(), within)
	}
	n.g.Push(t.Context(), jobqueue.Spec{Job: &child{}, MaxTries: 1})
	n.run(t)
	if s := n.one(t, "process child"); s.Status().Code != codes.Error {
		t.Errorf("%+v", s.Status())
	}
}

// A job whose headers hold no trace, or nonsense, runs in a trace of its own.
func TestJobsFromElsewhere(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{Child: true})
	plain := jobqueue.NewGroup("wiki", jobqueue.Routes{Default: n.g.Default})
	for _, h := range []map[string]string{nil, {"traceparent": "00-zz"}, {"traceparent": "00-00000000000000000000000000000000-0000000000000000-01"}} {
		if _, err := plain.Push(t.Context(), jobqueue.Spec{Job: &child{}, Headers: h}); err != nil {
			t.Fatal(err)
		}
	}
	n.run(t)
	if len(n.spans.Ended()) != 3 {
		t.Fatalf("%d spans", len(n.spans.Ended()))
	}
	for _, s := range n.spans.Ended() {
		if s.Parent().IsValid() || len(s.Links()) > 0 || !s.SpanContext().IsValid() {
			t.Errorf("parent %v, links %v", s.Parent(), s.Links())
		}
	}
}

// A job that runs where it is pushed runs within the span of that.
func TestInlineRunsAreChildren(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{})
	ctx, request := n.sdk.Tracer("test").Start(t.Context(), "request")
	if _, err := n.g.Push(jobqueue.WithSynchronous(ctx), jobqueue.Spec{Job: &child{}}); err != nil {
		t.Fatal(err)
	}
	if p := n.one(t, "process child").Parent(); p.TraceID() != request.SpanContext().TraceID() {
		t.Errorf("parent %v", p)
	}
}

// Inject is for pushes that go around the group.
func TestInject(t *testing.T) {
	n := newBench(queuememory.New(), otel.Options{})
	ctx, span := n.sdk.Tracer("test").Start(t.Context(), "request")
	specs := []jobqueue.Spec{{Type: "child", Headers: map[string]string{"a": "b"}}}
	out := otel.Inject(ctx, specs...)
	if !strings.Contains(out[0].Headers["traceparent"], span.SpanContext().SpanID().String()) || out[0].Headers["a"] != "b" || len(specs[0].Headers) != 1 {
		t.Errorf("%v, given %v", out[0].Headers, specs[0].Headers)
	}
	if got := trace.SpanContextFromContext(otel.Extract(t.Context(), out[0].Headers)); got.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("extracted %v", got)
	}
	if out := otel.Inject(t.Context(), specs...); len(out[0].Headers) != 1 {
		t.Errorf("without a span: %v", out[0].Headers)
	}
}

// Pushed jobs and runs are measured where there is a meter.
func TestMeters(t *testing.T) {
	reader := metric.NewManualReader()
	n := newBench(queuememory.New(), otel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	n.g.Push(t.Context(), jobqueue.Spec{Job: &parent{Fails: true}}, jobqueue.Spec{Job: &child{}, Dedupe: true}, jobqueue.Spec{Job: &child{}, Dedupe: true})
	n.run(t)
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				typ, _ := p.Attributes.Value("messaging.destination.name")
				got[m.Name+" "+typ.AsString()] = p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				typ, _ := p.Attributes.Value("messaging.destination.name")
				failed, _ := p.Attributes.Value("error.type")
				got[m.Name+" "+typ.AsString()+" "+failed.AsString()] = int64(p.Count)
			}
		}
	}
	want := map[string]int64{"messaging.client.sent.messages parent": 1, "messaging.client.sent.messages child": 1,
		"messaging.process.duration parent failed": 1, "messaging.process.duration child ": 1}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
