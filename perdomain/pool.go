// Package perdomain keeps open what the jobs of a domain need, such as its settings and its database,
// for as many domains as are in use and some more, however many a farm has.
package perdomain

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"github.com/wikifarm/jobqueue"
)

// DefaultMax is how many domains a Pool has open where it does not say.
const DefaultMax = 100

// A Pool opens a value for each domain when a job first needs it, and keeps those that were used
// last. It is safe for concurrent use once its fields are set.
type Pool[T any] struct {
	// Open opens what is needed of a domain, once for all who ask for it at the same time. Its context
	// ends with that of the first who asks. Its error fails the jobs that asked, and is not kept.
	Open func(ctx context.Context, domain string) (T, error)

	// Close closes what nobody uses any more; nil if there is nothing to close.
	Close func(T)

	// Max is how many are open, in use or not. There are more only while more are in use. 0 means DefaultMax.
	Max int

	mu      sync.Mutex
	domains map[string]*domain[T]
	unused  list.List // of *domain[T], the longest unused first
	opened  int
}

// A domain is one that is open or being opened.
type domain[T any] struct {
	name  string
	value T
	err   error
	ready chan struct{} // closed once value or err is there
	users int
	place *list.Element // in unused; nil while it is used, or forgotten
	gone  bool          // forgotten: it is closed when the last of its users is done
}

// Get returns the value of a domain, which stays open until the caller calls done, once.
func (p *Pool[T]) Get(ctx context.Context, name string) (value T, done func(), err error) {
	d, first, over := p.use(name)
	p.closeAll(over)
	if first {
		p.open(ctx, d)
	}
	select {
	case <-d.ready:
	case <-ctx.Done():
		p.leave(d)
		return value, nil, context.Cause(ctx)
	}
	if d.err != nil {
		p.leave(d)
		return value, nil, fmt.Errorf("open domain %s: %w", jobqueue.EscapeName(name), d.err)
	}
	return d.value, sync.OnceFunc(func() { p.leave(d) }), nil
}

// use notes one more user of a domain, who opens it if it is the first, and returns what is to be closed for it.
func (p *Pool[T]) use(name string) (d *domain[T], first bool, over []T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d = p.domains[name]
	if first = d == nil; first {
		d = &domain[T]{name: name, ready: make(chan struct{})}
		if p.domains == nil {
			p.domains = map[string]*domain[T]{}
		}
		p.domains[name] = d
	}
	if d.place != nil {
		p.unused.Remove(d.place)
		d.place = nil
	}
	d.users++
	return d, first, p.trim(nil)
}

// open opens a domain, and forgets it if that fails or panics.
func (p *Pool[T]) open(ctx context.Context, d *domain[T]) {
	d.err = fmt.Errorf("it panicked")
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.err != nil {
			p.forget(d)
		} else {
			p.opened++
		}
		close(d.ready)
	}()
	d.value, d.err = p.Open(ctx, d.name)
}

// leave ends one use of a domain, and closes those that are too many.
func (p *Pool[T]) leave(d *domain[T]) {
	p.mu.Lock()
	var over []T
	if d.users--; d.users == 0 {
		if d.gone {
			over = p.over(over, d)
		} else {
			d.place = p.unused.PushBack(d)
		}
	}
	over = p.trim(over)
	p.mu.Unlock()
	p.closeAll(over)
}

// trim forgets those that are too many, and adds them to those to be closed.
func (p *Pool[T]) trim(over []T) []T {
	most := p.Max
	if most == 0 {
		most = DefaultMax
	}
	for len(p.domains) > most && p.unused.Len() > 0 {
		d := p.unused.Front().Value.(*domain[T])
		p.forget(d)
		over = p.over(over, d)
	}
	return over
}

// forget has nobody else get d; whoever uses it goes on.
func (p *Pool[T]) forget(d *domain[T]) {
	if p.domains[d.name] == d {
		delete(p.domains, d.name)
	}
	if d.place != nil {
		p.unused.Remove(d.place)
		d.place = nil
	}
	d.gone = true
}

func (p *Pool[T]) over(over []T, d *domain[T]) []T {
	if d.err != nil {
		return over
	}
	return append(over, d.value)
}

func (p *Pool[T]) closeAll(values []T) {
	if p.Close == nil {
		return
	}
	for _, v := range values {
		p.Close(v)
	}
}

// Forget has a domain opened anew by those who ask for it next, as after its settings have changed. What
// jobs use by now is closed when the last of them is done.
func (p *Pool[T]) Forget(name string) {
	p.mu.Lock()
	var over []T
	if d := p.domains[name]; d != nil {
		p.forget(d)
		if d.users == 0 {
			over = p.over(over, d)
		}
	}
	p.mu.Unlock()
	p.closeAll(over)
}

// Opened returns how many times a domain was opened.
func (p *Pool[T]) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Shut forgets all domains: it closes those that are unused, and the others when their users are done.
func (p *Pool[T]) Shut() {
	p.mu.Lock()
	var over []T
	for _, d := range p.domains {
		p.forget(d)
		if d.users == 0 {
			over = p.over(over, d)
		}
	}
	p.mu.Unlock()
	p.closeAll(over)
}

// key is what a Pool has its values in contexts under.
type key[T any] struct{ pool *Pool[T] }

// Middleware has each job run with what its domain needs, which [Pool.From] returns. It fits
// [github.com/wikifarm/jobqueue/runner.Options].
func (p *Pool[T]) Middleware(ctx context.Context, _ jobqueue.Job, next func(context.Context) error) error {
	value, done, err := p.Get(ctx, jobqueue.FromContext(ctx).Domain)
	if err != nil {
		return err
	}
	defer done()
	return next(context.WithValue(ctx, key[T]{p}, value))
}

// From returns what the domain of the job needs that ctx is of, inside Run under [Pool.Middleware]; elsewhere it panics.
func (p *Pool[T]) From(ctx context.Context) T { return ctx.Value(key[T]{p}).(T) }
