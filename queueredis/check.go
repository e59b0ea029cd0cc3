package queueredis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

// connect makes the client, checks the server and opens the shards.
func (b *Backend) connect(ctx context.Context, c *config) error {
	var err error
	if b.client, err = dial(ctx, c); err != nil {
		return b.refused(ctx, err)
	}
	var mu sync.Mutex
	warnings := map[string]bool{}
	check := func(ctx context.Context, one redis.Cmdable) error {
		warning, err := b.checkServer(ctx, one)
		mu.Lock()
		defer mu.Unlock()
		warnings[warning] = true
		return err
	}
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, one *redis.Client) error { return check(ctx, one) })
	} else {
		err = check(ctx, b.client)
	}
	if errors.Is(err, jobqueue.ErrInvalid) || errors.Is(err, jobqueue.ErrUnavailable) {
		return err
	} else if err != nil {
		return b.refused(ctx, err)
	}
	for w := range warnings {
		if w != "" && c.Logger != nil {
			c.Logger.Warn(w, "store", b.where)
		}
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
	if err := misled(b.where, err); err != nil {
		return err
	}
	return b.classify(err)
}

// misled returns what is wrong with options that lead nowhere. Later the same answers may come while servers are restarted.
func misled(where string, err error) error {
	message := err.Error()
	switch asked := strings.Contains(message, "all sentinels specified in configuration are unreachable"); {
	case asked && errors.Is(err, redis.Nil):
		return invalid("%s: the Sentinels know no master of that name", where)
	case asked && strings.Contains(message, "NOAUTH"):
		return invalid("%s: the Sentinels want a password, and none is given", where)
	case asked && strings.Contains(message, "WRONGPASS"):
		return invalid("%s: the Sentinels do not accept the password", where)
	case strings.HasSuffix(message, "cluster support disabled"):
		return invalid("%s is of no Cluster: give its url, or a master if this is a Sentinel", where)
	}
	return nil
}

// checkServer returns an error if a server cannot keep jobs, and a warning if it may lose them.
func (b *Backend) checkServer(ctx context.Context, one redis.Cmdable) (warning string, err error) {
	all, err := one.Info(ctx).Result()
	if err != nil {
		return "", b.refused(ctx, err)
	}
	info := fields(all)
	major, _, _ := strings.Cut(info["redis_version"], ".")
	if n, _ := strconv.Atoi(major); n < 7 {
		return "", invalid("%s is version %s; Redis 7.0 or newer, or Valkey, is needed", b.where, info["redis_version"])
	}
	if p := info["maxmemory_policy"]; p != "" && p != "noeviction" {
		return "", invalid("%s has maxmemory-policy %s, with which it deletes jobs when it is full; set it to noeviction", b.where, p)
	}
	if info["aof_enabled"] == "0" && info["loading"] != "1" { // While it loads its data it says so, whatever it keeps.
		warning = "Redis keeps no append-only file, so a crash loses jobs; set appendonly to yes"
	}
	return warning, nil
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
