package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// An opened is a backend, or a server of the aggregator, that Queues of several farm files may have in common.
type opened struct {
	identity   string // of what the farm file says of it
	lazy       *lazy  // of a backend; nil of a server
	aggregator jobqueue.Aggregator
	closers    []io.Closer
	users      atomic.Int64
}

// use notes one more user, unless the last one has closed it.
func (o *opened) use() bool {
	for {
		n := o.users.Load()
		if n == 0 {
			return false
		}
		if o.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close closes it once nobody uses it any more.
func (o *opened) Close() error {
	if o.users.Add(-1) > 0 {
		return nil
	}
	var first error
	for _, c := range o.closers {
		if err := c.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// get returns what is open under a name, of the earlier Queues if that is the same, else what open opens.
func (q *Queues) get(name, identity string, open func(*opened) error) (*opened, error) {
	o := q.earlier[name]
	if o == nil || o.identity != identity || !o.use() {
		o = &opened{identity: identity}
		o.users.Store(1)
		if err := open(o); err != nil {
			return nil, err
		}
	}
	q.opened[name] = o
	return o, nil
}

// memories are the memory backends by name. They are kept as long as the program runs, since nothing else has their jobs.
type memories struct {
	mu  sync.Mutex // partitions are opened side by side
	all map[string]jobqueue.Backend
}

func (m *memories) of(name string) jobqueue.Backend {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.all[name]
	if b == nil {
		if m.all == nil {
			m.all = map[string]jobqueue.Backend{}
		}
		b = queuememory.New()
		m.all[name] = b
	}
	return b
}

// identity tells backends apart by all that decides what Open makes of them: two with the same one are one.
func (f *Farm) identity(b backend) string {
	r, sum := b.redis, sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q %q\n", b.kind, b.path.text, b.url.text, b.schema, b.in)
	fmt.Fprintf(sum, "%q %q %q %q %q %d %d %d %d\n", r.addrs, r.master, r.user, r.sentinelUser, r.prefix, r.db, r.connections, r.shards, r.compress)
	files := []string{b.password, r.sentinelPassword}
	if r.tls != nil {
		fmt.Fprintf(sum, "%q\n", r.tls.server)
		files = append(files, r.tls.ca, r.tls.cert, r.tls.key)
	}
	for _, file := range files {
		// One that cannot be read is a mistake that opening finds.
		text, err := os.ReadFile(file)
		fmt.Fprintf(sum, "%q %q %t\n", file, text, err == nil)
	}
	for _, p := range b.federation.partitions {
		fmt.Fprintf(sum, "%q %v %t %s\n", p.name, p.weight, p.noPush, f.identity(f.backends[p.name]))
	}
	for _, name := range slices.Sorted(maps.Keys(b.federation.sections)) {
		s := b.federation.sections[name]
		fmt.Fprintf(sum, "%q %q\n", name, s.Domains)
		for _, part := range slices.Sorted(maps.Keys(s.Weights)) {
			fmt.Fprintf(sum, "%q %v\n", part, s.Weights[part])
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}
