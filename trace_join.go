package jobqueue

import "context"

// JoinTraces returns a trace that calls the hooks of all given ones, in their order. Nil ones are left out.
func JoinTraces(traces ...*Trace) *Trace {
	joined := &Trace{}
	for _, t := range traces {
		if t != nil {
			joined.join(t)
		}
	}
	return joined
}

func (t *Trace) join(o *Trace) {
	t.Pushing = joinPushing(t.Pushing, o.Pushing)
	t.Pushed = join3(t.Pushed, o.Pushed)
	t.Inline = join4(t.Inline, o.Inline)
	t.Popped = join2(t.Popped, o.Popped)
	t.Superseded = join1(t.Superseded, o.Superseded)
	t.Exhausted = join2(t.Exhausted, o.Exhausted)
	t.Settled = join3(t.Settled, o.Settled)
	t.Maintained = join2(t.Maintained, o.Maintained)
	t.Notified = join2(t.Notified, o.Notified)
}

type pushing = func(context.Context, []Record) func(Pushed, error)

// joinPushing ends what began last first.
func joinPushing(a, b pushing) pushing {
	if a == nil || b == nil {
		return either(a, b)
	}
	return func(ctx context.Context, records []Record) func(Pushed, error) {
		first, second := a(ctx, records), b(ctx, records)
		if first == nil || second == nil {
			return either(first, second)
		}
		return func(p Pushed, err error) {
			second(p, err)
			first(p, err)
		}
	}
}

func either[F func(Pushed, error) | pushing](a, b F) F {
	if a == nil {
		return b
	}
	return a
}

func join1[A any](a, b func(context.Context, A)) func(context.Context, A) {
	if a == nil {
		return b
	} else if b == nil {
		return a
	}
	return func(ctx context.Context, x A) {
		a(ctx, x)
		b(ctx, x)
	}
}

func join2[A, B any](a, b func(context.Context, A, B)) func(context.Context, A, B) {
	if a == nil {
		return b
	} else if b == nil {
		return a
	}
	return func(ctx context.Context, x A, y B) {
		a(ctx, x, y)
		b(ctx, x, y)
	}
}

func join3[A, B, C any](a, b func(context.Context, A, B, C)) func(context.Context, A, B, C) {
	if a == nil {
		return b
	} else if b == nil {
		return a
	}
	return func(ctx context.Context, x A, y B, z C) {
		a(ctx, x, y, z)
		b(ctx, x, y, z)
	}
}

func join4[A, B, C, D any](a, b func(context.Context, A, B, C, D)) func(context.Context, A, B, C, D) {
	if a == nil {
		return b
	} else if b == nil {
		return a
	}
	return func(ctx context.Context, w A, x B, y C, z D) {
		a(ctx, w, x, y, z)
		b(ctx, w, x, y, z)
	}
}
