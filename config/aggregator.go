package config

import (
	"context"
	"fmt"
	"io"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	aggregatorredis "github.com/wikifarm/jobqueue/aggregator/redis"
)

// aggregatorKinds are the kinds of servers that an aggregator may be on.
var aggregatorKinds = map[string]kind{"postgres": {keys: []string{"backend"}}, "redis": {keys: serverKeys}}

// readAggregator reads the servers, of which the first that answers is used.
func (f *Farm) readAggregator(r *reader, n ast.Node) {
	r.list(n, "aggregator", func(n ast.Node) {
		what := fmt.Sprintf("aggregator, server %d", len(f.aggregator)+1)
		f.aggregator = append(f.aggregator, r.backend(n, n, what, aggregatorKinds))
	})
	if len(f.aggregator) == 0 && len(r.errs) == 0 {
		r.fail(n, "aggregator is empty, leave it out if there is none, or list servers such as [{kind: redis, url: redis://host:6379}]")
	}
}

// checkAggregator finds backends that there are not, or that keep no aggregator.
func (f *Farm) checkAggregator(r *reader) {
	for i, conf := range f.aggregator {
		if b, ok := f.backends[conf.in]; conf.in != "" && (!ok || b.kind != conf.kind) {
			r.fail(conf.line, "aggregator, server %d.backend: there is no backend %q of kind %s", i+1, conf.in, conf.kind)
		}
		if owner := f.owner[conf.in]; owner != "" {
			r.fail(conf.line, "aggregator, server %d.backend: %q is a partition of backends.%s, which may be away", i+1, conf.in, jobqueue.EscapeName(owner))
		}
	}
}

// openAggregator returns the farm's aggregator; nil without one. It does not wait for the servers.
func (f *Farm) openAggregator(q *Queues) (jobqueue.Aggregator, error) {
	var all []jobqueue.Aggregator
	for i, conf := range f.aggregator {
		if o := q.opened[conf.in]; conf.in != "" {
			all = append(all, lazyAggregator{o.lazy})
			continue
		}
		// No backend has a name with a blank.
		o, err := q.get(fmt.Sprintf("aggregator %d", i+1), f.identity(conf), func(o *opened) error {
			client, err := newClient(context.Background(), conf)
			if err != nil {
				return fmt.Errorf("aggregator, server %d: %w", i+1, &backendError{"", conf.url, err})
			}
			a, err := aggregatorredis.New(client, conf.redis.prefix)
			if err != nil {
				client.Close()
				return err
			}
			o.aggregator, o.closers = a, []io.Closer{a, client}
			return nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, o.aggregator)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return aggregator.NewFailover(all[0], all[1:]...), nil
}
