// Package queueredis keeps queues in Redis 7.0 or newer, or Valkey: one server, one behind Sentinels, or a Cluster.
//
// Everything is done by scripts, so that each call is atomic, batches take one round trip, and time is the server's.
// The keys of a store begin with its prefix, which is "jobqueue" by default, and the number of a shard. The domains are
// spread over the shards; all queues of a domain are in one of them. One shard is enough for one server; on a Cluster each is on one of the masters.
//
//	{jobqueue:0}:       what the keys of shard 0 begin with
//	  meta              numbers of the shard: format, last id, last sweep, …
//	  n, q              queues: number by name, name by number
//	  j<block>, jz      jobs: their fields by block of 16 ids; the blocks in order
//	  r<queue>, rz      ready: the ids in order; the queues by when their oldest became so
//	  x, x<queue>       places in these lists whose job was taken out of turn: how many; which
//	  d<queue>, dz      delayed: the ids by release time; the queues by the earliest of it
//	  a<queue>, az      abandoned: the ids by when they are deleted; the queues by the earliest of it
//	  u<queue>          waiting jobs by digest
//	  c, cz, k          claims: by token; tokens by the end of the lease; claimed jobs of each queue, counted
//	  p0, p1            answers to pushes, in two generations
//	  e0, e1            claims that have ended, in two generations
//	  h, h<hold>        holds: their records by id; the jobs of each
//	  o0, o1            holds that have ended, in two generations
//	  m0, m1            root marks, in two generations
//	  v, vl, vt, b      in shard 0: values, their keys in order, those that end; until when rates are booked
//	  wake              the channel that tells which queues have become ready
//
// With several shards a push to domains of more than one is not atomic over them: when it fails, the part that went to one shard may
// be in, and repeating it with the same id stores the rest. Counts are exact for each queue; those of several
// shards are not of one instant, nor are those of all queues when they are more than a thousand. Ids are in the order of the
// pushes to a domain, and of those of one process; those of several processes to several domains to a quarter of a second.
//
// What is confirmed is as durable as the server's settings make it: with appendfsync everysec a crash of its machine
// may lose the last second, a kill of the server the last two, and a fail-over what the replica had not received; with
// always a crash loses nothing that was confirmed.
package queueredis
