package queueredis

import (
	"context"
	"embed"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The driver would write to standard error; what it says is in the errors that it returns. A program
// that wants to read it sets a logger of its own.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

//go:embed lua/*.lua
var texts embed.FS

// newScript makes a script of files. Redis refuses one without allow-oom when it is full,
// and runs one with no-writes on a replica as well.
func newScript(flags string, files ...string) *redis.Script {
	var b strings.Builder
	b.WriteString("#!lua flags=" + flags + "\n")
	for _, f := range files {
		text, err := texts.ReadFile("lua/" + f + ".lua")
		if err != nil {
			panic("queueredis: " + err.Error())
		}
		for line := range strings.Lines(string(text)) {
			// The server keeps and sends the text, where nobody reads it.
			if line = strings.TrimLeft(line, "\t"); !strings.HasPrefix(line, "--") && line != "\n" {
				b.WriteString(line)
			}
		}
	}
	return redis.NewScript(b.String())
}

var (
	openScript     = newScript("allow-oom", "base", "jobs", "open")
	pushScript     = newScript("", "base", "jobs", "memory", "roots", "names", "store", "push")
	turnScript     = newScript("allow-oom", "base", "jobs", "memory", "roots", "names", "claims", "settle", "pop", "turn")
	markScript     = newScript("allow-oom", "base", "jobs", "memory", "roots", "mark")
	countsScript   = newScript("no-writes", "base", "jobs", "memory", "names", "claims", "counts")
	readyScript    = newScript("allow-oom", "base", "jobs", "memory", "names", "claims", "ready")
	listScript     = newScript("no-writes", "base", "jobs", "memory", "names", "claims", "entries", "list")
	changeScript   = newScript("allow-oom", "base", "jobs", "memory", "names", "claims", "entries", "change")
	maintainScript = newScript("allow-oom", "base", "jobs", "memory", "names", "claims", "maintain")
	waitingScript  = newScript("allow-oom", "base", "jobs", "memory", "names", "claims", "held", "waiting")
	holdScript     = newScript("allow-oom", "base", "jobs", "memory", "names", "claims", "held", "hold")
	keepScript     = newScript("", "base", "jobs", "memory", "held", "keep")
	tellScript     = newScript("no-writes", "base", "jobs", "memory", "held", "tell")
	holdsScript    = newScript("no-writes", "base", "holds")
	dropScript     = newScript("allow-oom", "base", "jobs", "memory", "held", "drop")
	releaseScript  = newScript("", "base", "jobs", "memory", "roots", "names", "store", "held", "release")
	valuesScript   = newScript("no-writes", "base", "value", "values")
	setScript      = newScript("allow-oom", "base", "jobs", "value", "set")
	chargeScript   = newScript("allow-oom", "base", "jobs", "charge")
)

// run runs a script on a shard. It returns when ctx ends, though the script may still be under way.
func (b *Backend) run(ctx context.Context, shard int, s *redis.Script, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, gone(ctx)
	}
	all := make([]any, 0, len(args)+2)
	all = append(append(all, b.clock(), strconv.Itoa(b.shards)), args...)
	type answer struct {
		v   any
		err error
	}
	answered := make(chan answer, 1)
	var by redis.Scripter = b.client
	if s == changeScript || s == setScript {
		by = once{b.client}
	}
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	go func() {
		defer cancel()
		v, err := s.Run(inner, by, b.keys[shard], all...).Result()
		answered <- answer{v, err}
	}()
	select {
	case a := <-answered:
		if unanswered(a.err) {
			b.mislaid(ctx)
		}
		return a.v, b.classify(a.err)
	case <-ctx.Done():
		b.mislaid(ctx)
		return nil, gone(ctx)
	}
}

// mislaid has the client of a Cluster look where the shards are, since a server has not answered and another may have
// its place. Until one tells it that it has moved the driver itself looks once a minute.
func (b *Backend) mislaid(ctx context.Context) {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// Answers of scripts, whose form is known.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

func number(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(v, 64)
		return int64(f)
	}
	return 0
}
