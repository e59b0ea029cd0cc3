package queueredis

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// once runs scripts that the driver must not run again when their answer is lost, as the second answer would not be that
// of both, and what the second run finds may be somebody else's by then.
type once struct{ redis.UniversalClient }

// An unrepeated command is sent once.
type unrepeated struct{ *redis.Cmd }

// NoRetry tells the driver.
func (unrepeated) NoRetry() bool { return true }

// Eval implements [redis.Scripter].
func (o once) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return o.send(ctx, "eval", script, keys, args)
}

// EvalSha implements [redis.Scripter].
func (o once) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return o.send(ctx, "evalsha", sha, keys, args)
}

func (o once) send(ctx context.Context, name, script string, keys []string, args []any) *redis.Cmd {
	all := append(make([]any, 0, 3+len(keys)+len(args)), name, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	o.Process(ctx, unrepeated{cmd})
	return cmd
}
