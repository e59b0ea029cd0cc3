package queueredis_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queueredis"
	"github.com/wikifarm/jobqueue/queueredis/redistest"
	"github.com/wikifarm/jobqueue/queuetest"
)

// clusterShards is over how many shards the queues of tests on the Cluster are spread.
const clusterShards = 6

// calm is a cluster-node-timeout, in milliseconds, with which a slow machine does not make the Cluster replace a master.
const calm = 30_000

// cluster is the one that tests share. It begins with the first test that asks for it, and TestMain stops it.
var cluster struct {
	sync.Once
	*redistest.Cluster
	err error
}

// theCluster returns the Cluster.
func theCluster(t testing.TB) *redistest.Cluster {
	t.Helper()
	cluster.Do(func() {
		cluster.Cluster, cluster.err = redistest.StartCluster(fmt.Sprint("cluster-node-timeout ", calm))
	})
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return cluster.Cluster
}

func stopCluster() error {
	if cluster.Cluster == nil {
		return nil
	}
	return cluster.Stop()
}

// ownerOf returns the server that has a shard.
func ownerOf(t testing.TB, c *redistest.Cluster, prefix string, shard int) *redistest.Server {
	t.Helper()
	s, err := c.Owner(context.Background(), shardKey(prefix, shard))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shardKey returns a key of a shard.
func shardKey(prefix string, shard int) string { return fmt.Sprintf("{%s:%d}:meta", prefix, shard) }

// clusterPrefix returns a prefix that nobody has used, whose keys are checked and deleted in the end.
func clusterPrefix(t testing.TB) string {
	t.Helper()
	prefix := "test-" + uuid.NewString()
	t.Cleanup(func() {
		ctx := context.Background()
		for shard := range clusterShards {
			c := ownerOf(t, theCluster(t), prefix, shard).Client()
			audit(t, c, prefix, shard)
			for keys := c.Scan(ctx, 0, fmt.Sprintf("{%s:%d}:*", prefix, shard), 10_000).Iterator(); keys.Next(ctx); {
				if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
					t.Error(err)
				}
			}
			c.Close()
		}
	})
	return prefix
}

func openCluster(t testing.TB) jobqueue.Backend {
	c := theCluster(t)
	return split{open(t, queueredis.Options{Addrs: c.Addrs, Shards: clusterShards, Prefix: clusterPrefix(t)})}
}

func TestCluster(t *testing.T) { queuetest.TestBackend(t, openCluster) }

func FuzzCluster(f *testing.F) { queuetest.FuzzBackend(f, openCluster) }

// domainOf returns a domain whose queues are in a shard.
func domainOf(shard, shards int) string {
	for n := 0; ; n++ {
		domain := "wiki" + strconv.Itoa(n)
		h := fnv.New64a()
		h.Write([]byte(domain))
		if int(h.Sum64()%uint64(shards)) == shard {
			return domain
		}
	}
}

// TestNodes has the shards of a store be on all masters, whichever server is named.
func TestNodes(t *testing.T) {
	c := theCluster(t)
	const prefix = "nodes"
	b := open(t, queueredis.Options{URL: "redis://" + c.Addrs[4], Shards: clusterShards, Prefix: prefix})
	for shard := range clusterShards {
		r := jobqueue.Record{Name: jobqueue.Name{Domain: domainOf(shard, clusterShards), Type: "work"}}
		if _, err := b.Push(t.Context(), uuid.New(), []jobqueue.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	jobsOf := map[string]int{}
	for _, s := range c.Servers {
		client := s.Client()
		defer client.Close()
		for shard := range clusterShards {
			if ownerOf(t, c, prefix, shard) != s {
				continue
			}
			keys, err := client.Keys(t.Context(), fmt.Sprintf("{%s:%d}:j?*", prefix, shard)).Result()
			if err != nil || len(keys) == 0 {
				t.Errorf("%s has no job of shard %d: %v, %v", s.Addr, shard, keys, err)
			}
			jobsOf[s.Addr]++
		}
	}
	if len(jobsOf) != 3 {
		t.Errorf("the shards are on %v, want three servers", jobsOf)
	}
	if n, err := b.Delete(t.Context(), jobqueue.Filter{}); err != nil || n != clusterShards {
		t.Errorf("Delete = %d, %v, want %d", n, err, clusterShards)
	}
}

// errorsOf returns how often servers have answered with an error.
func errorsOf(t testing.TB, code string, servers ...*redistest.Server) (n int) {
	t.Helper()
	for _, s := range servers {
		info, err := s.Info(context.Background(), "errorstats")
		if err != nil {
			t.Fatal(err)
		}
		var few int
		fmt.Sscanf(info["errorstat_"+code], "count=%d", &few)
		n += few
	}
	return n
}

func ask(t testing.TB, s *redistest.Server, args ...any) any {
	t.Helper()
	v, err := s.Do(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// moveShard moves a shard to another server, some of its keys at a time, and returns from where and to where. Before
// each step it calls between.
func moveShard(t *testing.T, c *redistest.Cluster, prefix string, shard int, between func()) (from, to *redistest.Server) {
	t.Helper()
	from = ownerOf(t, c, prefix, shard)
	for other := range clusterShards {
		if s := ownerOf(t, c, prefix, other); s != from {
			to = s
		}
	}
	slot := ask(t, from, "cluster", "keyslot", shardKey(prefix, shard))
	ask(t, to, "cluster", "setslot", slot, "importing", ask(t, from, "cluster", "myid"))
	ask(t, from, "cluster", "setslot", slot, "migrating", ask(t, to, "cluster", "myid"))
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		between()
		keys := ask(t, from, "cluster", "getkeysinslot", slot, 50).([]any)
		if len(keys) == 0 {
			break
		}
		ask(t, from, append([]any{"migrate", host, port, "", 0, 5000, "keys"}, keys...)...)
	}
	for _, s := range []*redistest.Server{to, from} {
		ask(t, s, "cluster", "setslot", slot, "node", ask(t, to, "cluster", "myid"))
	}
	return from, to
}

// TestShardMoves moves a shard to another server while a runner drains it. Until all of it has moved it is unavailable, and no
// call sees a part of it; then the runner goes on by itself, and no job has run twice.
func TestShardMoves(t *testing.T) {
	c := theCluster(t)
	prefix := clusterPrefix(t)
	b := open(t, queueredis.Options{Addrs: c.Addrs, Shards: clusterShards, Prefix: prefix})
	const shard = 2
	d := newDrain(t, b, domainOf(shard, clusterShards))
	d.push(10_000)
	asleep := open(t, queueredis.Options{Addrs: c.Addrs, Shards: clusterShards, Prefix: prefix})
	codes := map[string]int{"MOVED": 0, "ASK": 0, "TRYAGAIN": 0}
	for code := range codes {
		codes[code] = errorsOf(t, code, c.Servers...)
	}
	var from, to *redistest.Server
	refused := 0
	again, lost := d.run(func() {
		from, to = moveShard(t, c, prefix, shard, func() {
			_, err := b.Pop(t.Context(), jobqueue.Lease{Token: uuid.New(), TTL: time.Minute}, jobqueue.Want{Name: d.names[0], Max: 1})
			if !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Fatalf("while the shard moves a Pop says: %v", err)
			}
			refused++
		})
	})
	if again > 0 || len(lost) > 0 {
		t.Errorf("%d jobs ran again, and %d never", again, len(lost))
	}
	// It knows the old place alone.
	if _, err := asleep.Counts(t.Context(), d.names...); err != nil {
		t.Error(err)
	}
	for code, n := range codes {
		codes[code] = errorsOf(t, code, c.Servers...) - n
		if codes[code] == 0 {
			t.Errorf("no server has answered %s", code)
		}
	}
	t.Logf("refused %d times; %v", refused, codes)
	if got := ownerOf(t, c, prefix, shard); got != to || got == from {
		t.Errorf("the shard is at %s, want %s", got.Addr, to.Addr)
	}
}

// nodeTimeout sets after how many milliseconds a master is replaced.
func nodeTimeout(t *testing.T, c *redistest.Cluster, ms int) {
	t.Helper()
	for _, s := range c.Servers {
		ask(t, s, "config", "set", "cluster-node-timeout", ms)
	}
	must(t, c.Whole(t.Context()))
}

// TestMasterLost kills a master of the Cluster while a runner drains it. Until its replica has its place the Cluster is
// down, which is unavailable; then the runner goes on by itself, and nothing is lost.
func TestMasterLost(t *testing.T) {
	c := theCluster(t)
	must(t, c.Whole(t.Context()))
	prefix := clusterPrefix(t)
	b := open(t, queueredis.Options{Addrs: c.Addrs, Shards: clusterShards, Prefix: prefix})
	var domains []string
	for shard := range clusterShards {
		domains = append(domains, domainOf(shard, clusterShards))
	}
	d := newDrain(t, b, domains...)
	d.push(20_000)
	victim := ownerOf(t, c, prefix, 0)
	elsewhere := 0
	for shard := range clusterShards {
		s := ownerOf(t, c, prefix, shard)
		replicated(t, s)
		if s != victim {
			elsewhere = shard
		}
	}
	replica, err := c.Replica(t.Context(), victim)
	must(t, err)
	nodeTimeout(t, c, 1000)
	_, lost := d.run(func() {
		ask(t, replica, "config", "set", "cluster-replica-no-failover", "yes")
		must(t, victim.Kill())
		awaitTrue(t, "the Cluster to be down", func(ctx context.Context) (bool, error) {
			_, err := b.Counts(ctx, d.names[elsewhere])
			if err != nil && !errors.Is(err, jobqueue.ErrUnavailable) {
				t.Fatal(err)
			}
			return err != nil && strings.Contains(err.Error(), "is a Cluster that is down"), nil
		})
		ask(t, replica, "config", "set", "cluster-replica-no-failover", "no")
		awaitTrue(t, "the replica to be a master", func(ctx context.Context) (bool, error) {
			s, err := c.Owner(ctx, shardKey(prefix, 0))
			return s == replica, err
		})
		must(t, victim.Restart())
	})
	if len(lost) > 0 {
		t.Errorf("%d jobs are lost, such as %s, which the replica had", len(lost), some(lost))
	}
	d.wakes()
	nodeTimeout(t, c, calm)
}

// TestMasterHangs stops a master of the Cluster, so that calls of it are neither answered nor refused. When its replica
// has its place that is found, long before the driver looks by itself.
func TestMasterHangs(t *testing.T) {
	c := theCluster(t)
	nodeTimeout(t, c, 1000)
	prefix := clusterPrefix(t)
	b := open(t, queueredis.Options{Addrs: c.Addrs, Shards: clusterShards, Prefix: prefix})
	name := jobqueue.Name{Domain: domainOf(0, clusterShards), Type: "work"}
	if _, err := b.Push(t.Context(), uuid.New(), []jobqueue.Record{{Name: name}}); err != nil {
		t.Fatal(err)
	}
	master := ownerOf(t, c, prefix, 0)
	replicated(t, master)
	must(t, master.Pause())
	begin := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		counts, err := b.Counts(ctx, name)
		cancel()
		if err == nil {
			t.Logf("%v after %v", counts[0], time.Since(begin))
			break
		}
		if !errors.Is(err, jobqueue.ErrUnavailable) || time.Since(begin) > 45*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
			break
		}
	}
	must(t, master.Continue())
	nodeTimeout(t, c, calm)
}
