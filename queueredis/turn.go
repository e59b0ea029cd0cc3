package queueredis

import (
	"context"
)

// A turnCall is one order to turn.lua.
type turnCall struct {
	order  []any
	answer any
}

// turn settles, extends or pops on a shard. The weight is of how many jobs or tokens.
func (b *Backend) turn(ctx context.Context, shard, weight int, order []any) (any, error) {
	c := &turnCall{order: order}
	if err := b.turns[shard].call(ctx, c, weight); err != nil {
		return nil, err
	}
	return c.answer, nil
}

// turnAll gives the orders of calls in one script.
func (b *Backend) turnAll(ctx context.Context, shard int, calls []*turnCall) error {
	args := []any{len(calls)}
	for _, c := range calls {
		args = append(args, c.order...)
	}
	v, err := b.run(ctx, shard, turnScript, args...)
	if err != nil {
		return err
	}
	answers := list(v)
	if len(answers) != len(calls) {
		return errAnswer
	}
	for i, c := range calls {
		c.answer = answers[i]
	}
	return nil
}

// openLines makes the lines of the shards.
func (b *Backend) openLines() {
	for shard := range b.shards {
		b.turns = append(b.turns, &line[turnCall]{do: func(ctx context.Context, calls []*turnCall) error {
			return b.turnAll(ctx, shard, calls)
		}})
		b.pushes = append(b.pushes, &line[pushCall]{
			do: func(ctx context.Context, calls []*pushCall) error { return b.pushAll(ctx, shard, calls) },
		})
	}
}
