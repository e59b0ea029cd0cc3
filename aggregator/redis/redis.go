// Package redis keeps a farm's [jobqueue.Aggregator] on a Redis server, version 7 or later, or Valkey.
//
// All its keys share the hash tag {prefix:hints}, so that on a Cluster they are on one node. It needs
// little memory, keeps nothing that a sweep would not find again, and works also while the server is full.
package redis

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

// DefaultPrefix begins the keys of an aggregator for which nothing else is said.
const DefaultPrefix = "jobqueue"

const pageSize = 1000 // entries in one call

var (
	//go:embed lua/notify.lua
	notifySource string
	//go:embed lua/clear.lua
	clearSource string
	//go:embed lua/ready.lua
	readySource string

	notifyScript = redis.NewScript(notifySource)
	clearScript  = redis.NewScript(clearSource)
	readyScript  = redis.NewScript(readySource)
)

// An Aggregator is on a Redis server. It is safe for concurrent use.
type Aggregator struct {
	client redis.UniversalClient
	tag    string
	bell   bell
}

// New returns the aggregator that a server keeps under a prefix, which must have no braces;
// "" is DefaultPrefix. The client stays the caller's, who closes it after the Aggregator.
func New(client redis.UniversalClient, prefix string) (*Aggregator, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if strings.ContainsAny(prefix, "{}") {
		return nil, fmt.Errorf("%w: the prefix %q must have no braces", jobqueue.ErrInvalid, prefix)
	}
	a := &Aggregator{client: client, tag: "{" + prefix + ":hints}:"}
	a.bell.channel = a.key("bell")
	return a, nil
}

// Close ends waiting calls and their connection.
func (a *Aggregator) Close() error { return a.bell.close() }

func (a *Aggregator) key(name string) string { return a.tag + name }

func (a *Aggregator) hash(typ string) string { return a.key("type:" + typ) }

// A call collects the keys and arguments of one script.
type call struct {
	keys  []string
	args  []any
	index map[string]int // of a type, among the hashes
	a     *Aggregator
	n     int // entries
}

func (a *Aggregator) newCall(keys ...string) *call {
	return &call{keys: keys, index: map[string]int{}, a: a}
}

// add adds an entry.
func (c *call) add(n jobqueue.Name, number int64) {
	i, known := c.index[n.Type]
	if !known {
		i = len(c.index) + 1
		c.index[n.Type] = i
		c.keys = append(c.keys, c.a.hash(n.Type))
	}
	c.args = append(c.args, i, n.Type, n.Domain, number)
	c.n++
}

// Notify implements [jobqueue.Aggregator].
func (a *Aggregator) Notify(ctx context.Context, queues ...jobqueue.Backlog) error {
	return a.each(ctx, "notify", queues, func(page []jobqueue.Backlog) error {
		c := a.newCall(a.key("version"), a.key("types"))
		c.args = append(c.args, a.bell.channel)
		for _, q := range page {
			c.add(q.Name, max(0, q.Age.Microseconds()))
		}
		return notifyScript.Run(ctx, a.client, c.keys, c.args...).Err()
	})
}

// Clear implements [jobqueue.Aggregator].
func (a *Aggregator) Clear(ctx context.Context, seen ...jobqueue.Backlog) error {
	return a.each(ctx, "clear", seen, func(page []jobqueue.Backlog) error {
		c := a.newCall(a.key("types"))
		for _, q := range page {
			c.add(q.Name, q.Version)
		}
		return clearScript.Run(ctx, a.client, c.keys, c.args...).Err()
	})
}

func (a *Aggregator) each(ctx context.Context, op string, all []jobqueue.Backlog, do func(page []jobqueue.Backlog) error) error {
	for len(all) > 0 {
		n := min(pageSize, len(all))
		if err := do(all[:n]); err != nil {
			return failed(ctx, op, err)
		}
		all = all[n:]
	}
	return nil
}

// Ready implements [jobqueue.Aggregator]. Without types it is one round trip while there
// are no entries; with types one, as long as there are at most a thousand entries.
func (a *Aggregator) Ready(ctx context.Context, types ...string) iter.Seq2[jobqueue.Backlog, error] {
	return func(yield func(jobqueue.Backlog, error) bool) {
		types, err := types, error(nil)
		if len(types) == 0 {
			types, err = a.types(ctx)
		}
		for len(types) > 0 && err == nil {
			n, more := min(pageSize, len(types)), true
			if more, err = a.readPage(ctx, types[:n], yield); !more {
				return
			}
			types = types[n:]
		}
		if err != nil {
			yield(jobqueue.Backlog{}, failed(ctx, "ready", err))
		}
	}
}

// types returns the types that have entries.
func (a *Aggregator) types(ctx context.Context) (types []string, err error) {
	seen := map[string]bool{}
	it := a.client.SScan(ctx, a.key("types"), 0, "", pageSize).Iterator()
	for it.Next(ctx) {
		if typ := it.Val(); !seen[typ] { // A scan may return one twice.
			seen[typ] = true
			types = append(types, typ)
		}
	}
	return types, it.Err()
}

// readPage yields the entries of some types, and reports whether more are wanted.
func (a *Aggregator) readPage(ctx context.Context, types []string, yield func(jobqueue.Backlog, error) bool) (bool, error) {
	keys := make([]string, len(types))
	for i, typ := range types {
		keys[i] = a.hash(typ)
	}
	answer, err := readyScript.RunRO(ctx, a.client, keys, pageSize).Slice()
	if err != nil {
		return true, err
	}
	text, _ := answer[0].(string)
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return true, err
	}
	for i, typ := range types {
		fields, few := answer[i+1].([]any)
		if !few {
			if more, err := a.scan(ctx, typ, now, yield); !more || err != nil {
				return more, err
			}
			continue
		}
		for k := 0; k+1 < len(fields); k += 2 {
			domain, _ := fields[k].(string)
			value, _ := fields[k+1].(string)
			if q, ok := parse(typ, domain, value, now); ok && !yield(q, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// scan yields the entries of a type that has many.
func (a *Aggregator) scan(ctx context.Context, typ string, now int64, yield func(jobqueue.Backlog, error) bool) (bool, error) {
	seen := map[string]bool{}
	it := a.client.HScan(ctx, a.hash(typ), 0, "", pageSize).Iterator()
	for it.Next(ctx) {
		domain := it.Val()
		if !it.Next(ctx) {
			break
		}
		q, ok := parse(typ, domain, it.Val(), now)
		if !ok || seen[domain] { // A scan may return one twice.
			continue
		}
		seen[domain] = true
		if !yield(q, nil) {
			return false, nil
		}
	}
	return true, it.Err()
}

// parse reads an entry: its version, and since when there is work, in microseconds.
func parse(typ, domain, value string, now int64) (q jobqueue.Backlog, ok bool) {
	version, since, _ := strings.Cut(value, " ")
	v, err := strconv.ParseInt(version, 10, 64)
	at, err2 := strconv.ParseInt(since, 10, 64)
	age := time.Duration(max(0, now-at)) * time.Microsecond
	return jobqueue.Backlog{Name: jobqueue.Name{Domain: domain, Type: typ}, Age: age, Version: v}, err == nil && err2 == nil
}

// failed says what failed. Whatever it was, a later call may go through.
func failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%w: aggregator: %s: %w", jobqueue.ErrUnavailable, op, err)
}
