package queueredis

import (
	"context"
)

// A line is where the calls of a process to one shard meet.
type line struct {
	b     *Backend
	shard int
}

func (l *line) push(ctx context.Context, c *pushCall) error {
	return l.b.pushAll(ctx, l.shard, c)
}

// turn gives an order to turn.lua and returns its answer.
func (l *line) turn(ctx context.Context, order []any) (any, error) {
	v, err := l.b.run(ctx, l.shard, turnScript, append([]any{1}, order...)...)
	if err != nil {
		return nil, err
	}
	answers := list(v)
	if len(answers) != 1 {
		return nil, errAnswer
	}
	return answers[0], nil
}
