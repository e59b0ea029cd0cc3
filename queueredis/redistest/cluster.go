//go:build unix

package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A Cluster is three masters and a replica of each, all private.
type Cluster struct {
	Addrs   []string
	Servers []*Server // the three that are masters in the beginning, and in the same order the replicas of each
}

// The keys of a Cluster are in so many parts.
const (
	slots   = 16384
	masters = 3
)

// StartCluster starts a Cluster, with settings as for [Start], and waits until it serves all keys. A master
// is replaced when it has not answered for as long as cluster-node-timeout says. The caller stops it.
func StartCluster(settings ...string) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(settings); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(settings []string) error {
	ctx := context.Background()
	for range 2 * masters {
		n, err := startNode(append([]string{"cluster-enabled yes", "repl-diskless-sync-delay 0"}, settings...))
		if err != nil {
			return err
		}
		c.Servers, c.Addrs = append(c.Servers, n), append(c.Addrs, n.Addr)
	}
	for i, n := range c.Servers {
		if i < masters {
			if _, err := n.Do(ctx, "cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1); err != nil {
				return err
			}
		}
		if _, err := n.Do(ctx, "cluster", "set-config-epoch", i+1); err != nil {
			return err
		}
		if i > 0 {
			host, port, _ := strings.Cut(c.Addrs[0], ":")
			bus, err := c.Servers[0].Do(ctx, "config", "get", "cluster-port")
			if err != nil {
				return err
			}
			if _, err := n.Do(ctx, "cluster", "meet", host, port, pairs(bus)["cluster-port"]); err != nil {
				return err
			}
		}
	}
	for i, n := range c.Servers[masters:] {
		id, err := c.Servers[i].Do(ctx, "cluster", "myid")
		if err != nil {
			return err
		}
		// It takes no master that it has not heard of yet.
		if err := await(ctx, "the servers to meet", func(ctx context.Context) (bool, error) {
			_, err := n.Do(ctx, "cluster", "replicate", id)
			return true, err
		}); err != nil {
			return err
		}
	}
	return c.Whole(ctx)
}

// Whole waits until every server says that the Cluster serves all keys, and each master has a replica that follows it.
func (c *Cluster) Whole(ctx context.Context) error {
	return await(ctx, "the Cluster to be whole", func(ctx context.Context) (bool, error) {
		replicas := 0
		for _, n := range c.Servers {
			text, err := n.Do(ctx, "cluster", "info")
			if err != nil {
				return false, err
			}
			state := fields(fmt.Sprint(text))
			if state["cluster_state"] != "ok" || state["cluster_known_nodes"] != fmt.Sprint(len(c.Servers)) || state["cluster_size"] != fmt.Sprint(masters) {
				return false, fmt.Errorf("%s: %v", n.Addr, state)
			}
			if follows, err := n.follows(ctx); err != nil {
				return false, err
			} else if follows {
				replicas++
			}
		}
		if replicas != len(c.Servers)-masters {
			return false, fmt.Errorf("%d replicas follow", replicas)
		}
		return true, nil
	})
}

// Client returns a client of the Cluster, which the caller closes.
func (c *Cluster) Client() *redis.ClusterClient {
	return redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs})
}

// Owner returns the master that has a key, as the other servers that run know it.
func (c *Cluster) Owner(ctx context.Context, key string) (*Server, error) {
	client := c.Client()
	defer client.Close()
	m, err := client.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	for _, n := range c.Servers {
		if n.Addr == m.Options().Addr {
			return n, nil
		}
	}
	return nil, fmt.Errorf("nobody is at %s, which should have key %q", m.Options().Addr, key)
}

// Replica returns the server that is the replica of a master.
func (c *Cluster) Replica(ctx context.Context, master *Server) (*Server, error) {
	for _, n := range c.Servers {
		if n == master {
			continue
		}
		info, err := n.Info(ctx, "replication")
		if err != nil {
			return nil, err
		}
		if info["role"] == "slave" && info["master_host"]+":"+info["master_port"] == master.Addr {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s has no replica", master.Addr)
}

// Stop ends all and removes their files.
func (c *Cluster) Stop() error { return stopAll(c.Servers) }
