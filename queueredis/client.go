package queueredis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeTime is how long a server may take to say whether it is one of a Cluster.
const probeTime = 2 * time.Second

// hangTime is how long a server of a Cluster may take for an answer. Others call one busy that takes longer.
const hangTime = 5 * time.Second

// NewClient returns a client for what else a program keeps where these options lead, such as an aggregator.
// A server that does not answer is no error: it is taken for one that is not of a Cluster. The
// caller closes the client.
func NewClient(ctx context.Context, o *Options) (redis.UniversalClient, error) {
	c, err := newConfig(o)
	if err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	client, _ := dial(ctx, c)
	return client, nil
}

// dial makes the client: one for a Cluster if the only server that is named is of one. With
// an error, which tells that this is not known, it is one for a single server.
func dial(ctx context.Context, c *config) (redis.UniversalClient, error) {
	o := c.UniversalOptions
	if o.IsClusterMode {
		return newCluster(o), nil
	}
	client := redis.NewUniversalClient(&o)
	if o.MasterName != "" {
		return client, nil
	}
	info, err := client.Info(ctx, "cluster").Result()
	if err != nil || fields(info)["cluster_enabled"] != "1" {
		return client, err
	}
	return newCluster(o), client.Close()
}

// newCluster makes a client of a Cluster. It waits for a server that hangs no longer than it must: the driver may ask just that
// one which other has its place.
func newCluster(o redis.UniversalOptions) redis.UniversalClient {
	o.ReadTimeout, o.PoolTimeout = hangTime, hangTime
	return redis.NewClusterClient(o.Cluster())
}
