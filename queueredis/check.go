package queueredis

import (
	"context"
	"strconv"
	"strings"
)

// connect makes the client, checks the server and opens the shards.
func (b *Backend) connect(ctx context.Context, c *config) error {
	var err error
	if b.client, err = dial(ctx, c); err != nil {
		return b.refused(ctx, err)
	}
	if err := b.checkServer(ctx, c); err != nil {
		return err
	}
	return each(b.every(), func(s int, _ struct{}) error {
		_, err := b.run(ctx, s, openScript)
		return err
	})
}

func (b *Backend) refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return gone(ctx)
	}
	return b.classify(err)
}

// checkServer returns an error if the server cannot keep jobs, and warns if it may lose them.
func (b *Backend) checkServer(ctx context.Context, c *config) error {
	all, err := b.client.Info(ctx).Result()
	if err != nil {
		return b.refused(ctx, err)
	}
	info := fields(all)
	major, _, _ := strings.Cut(info["redis_version"], ".")
	if n, _ := strconv.Atoi(major); n < 7 {
		return invalid("%s is version %s; Redis 7.0 or newer, or Valkey, is needed", b.where, info["redis_version"])
	}
	if p := info["maxmemory_policy"]; p != "" && p != "noeviction" {
		return invalid("%s has maxmemory-policy %s, with which it deletes jobs when it is full; set it to noeviction", b.where, p)
	}
	if c.Logger != nil && info["aof_enabled"] == "0" {
		c.Logger.Warn("Redis keeps no append-only file, so a crash loses jobs; set appendonly to yes", "store", b.where)
	}
	return nil
}

// fields returns what INFO says.
func fields(info string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(info) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[k] = v
		}
	}
	return all
}
