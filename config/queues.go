package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Queues are a farm's backends and the group that routes to them.
type Queues struct {
	*jobqueue.Group
	Stores []Store // every backend of the farm file that is no partition of another, sorted by name

	opened   map[string]*opened // by name
	earlier  map[string]*opened // of the Queues that these were opened beside
	memories *memories          // also of these
}

// A Store is one backend.
type Store struct {
	Name    string
	Backend jobqueue.Backend
}

// Open opens the farm's backends, and fails if one of them cannot be. The group's policies are those of
// [Farm.Policy]; its home is the farm's only domain, or "default" when there are
// several or any. The caller calls Close when done.
func (f *Farm) Open(ctx context.Context, reg *jobqueue.Registry) (*Queues, error) {
	return f.open(reg, &Queues{}, func(l *lazy) (jobqueue.Backend, error) {
		b, err := l.get(ctx)
		return b, err
	})
}

// OpenBeside is Open for a program that need not have all stores, and whose farm file may change: a backend is opened
// when it is first used and, as long as that fails, again, at most once a second. Until then its calls fail, with errors that name it; see [Queues.Reach].
//
// A backend of which this file and that of others say the same is one, and memory backends are those of the same name. Each of the Queues
// is closed by itself; what they have in common is closed with the last.
func (f *Farm) OpenBeside(reg *jobqueue.Registry, others *Queues) (*Queues, error) {
	return f.open(reg, others, func(l *lazy) (jobqueue.Backend, error) { return l, nil })
}

func (f *Farm) open(reg *jobqueue.Registry, others *Queues, as func(*lazy) (jobqueue.Backend, error)) (_ *Queues, err error) {
	q := &Queues{opened: map[string]*opened{}, earlier: others.opened, memories: others.memories}
	if q.memories == nil {
		q.memories = &memories{}
	}
	defer func() {
		q.earlier = nil
		if err != nil {
			q.Close()
		}
	}()
	byName := map[string]jobqueue.Backend{}
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		if f.owner[name] != "" {
			continue
		}
		b, err := f.openBackend(q, f.backends[name], as)
		if err != nil {
			return nil, err
		}
		byName[name] = b
		q.Stores = append(q.Stores, Store{name, b})
	}
	r := jobqueue.Routes{
		Default:  byName[f.def.backend.text],
		Types:    map[string]jobqueue.Backend{},
		ReadOnly: f.readOnly,
		Policy:   f.Policy(reg),
		Knows:    f.knows,
		Trace:    f.Trace,
	}
	f.routeInline(&r, reg)
	if r.Aggregator, err = f.openAggregator(q); err != nil {
		return nil, err
	}
	for typ, s := range f.types {
		if s.backend != nil {
			r.Types[typ] = byName[s.backend.text]
		}
		if s.exclude != nil && *s.exclude {
			r.Exclude = append(r.Exclude, typ)
		}
	}
	home := "default"
	if list := f.Domains(); len(list) == 1 {
		home = list[0]
	}
	q.Group = jobqueue.NewGroup(home, r)
	return q, nil
}

// openBackend opens a backend that is no partition.
func (f *Farm) openBackend(q *Queues, conf backend, as func(*lazy) (jobqueue.Backend, error)) (jobqueue.Backend, error) {
	if conf.kind == "memory" {
		return q.memories.of(conf.name), nil
	}
	conf.log, conf.unadvised = f.logger(), f.Unadvised
	o, err := q.get(conf.name, f.identity(conf), func(o *opened) error {
		o.lazy = newLazy(conf.name, func(ctx context.Context) (b jobqueue.Backend, closer io.Closer, err error) {
			switch {
			case conf.kind == "federated":
				b, closer, err = f.openFederated(ctx, q.memories, conf)
			case conf.name == f.def.backend.text && f.Existing && conf.missing():
				err = fmt.Errorf("%w: there is no file %s; the first push or runner creates it", jobqueue.ErrUnavailable, conf.path.text)
			default:
				b, closer, err = f.connect(ctx, conf)
			}
			if err != nil {
				return nil, nil, &OpenError{conf.name, err}
			}
			return b, closer, nil
		})
		o.closers = []io.Closer{o.lazy}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return as(o.lazy)
}

// connect opens a backend that is not made of others. Its errors say what to do about tables of an older format.
func (f *Farm) connect(ctx context.Context, conf backend) (jobqueue.Backend, io.Closer, error) {
	b, closer, err := kinds[conf.kind].open(ctx, conf)
	if err == nil {
		return b, closer, nil
	}
	if d := (Database{conf.name, conf.kind, conf}); errors.Is(err, jobqueue.ErrInvalid) && d.migrates() {
		if st, unknown := d.Status(ctx); unknown == nil && st.Format < st.Newest {
			command := "jobctl migrate up"
			if f.path != "" {
				command += " --config " + f.path
			}
			err = fmt.Errorf("%w: %s", err, command)
		}
	}
	return nil, nil, &backendError{"", conf.place(), err}
}

// An OpenError says why a backend of the farm cannot be opened.
type OpenError struct {
	Backend string // its name
	Err     error
}

func (e *OpenError) Error() string { return fmt.Sprintf("backend %s: %v", e.Backend, e.Err) }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// Reach opens what is not open yet, all at once, and waits for that until ctx ends. It returns an error for each backend that is not open then, by
// the names of the backends.
func (q *Queues) Reach(ctx context.Context) map[string]error {
	var mu sync.Mutex
	var all sync.WaitGroup
	errs := map[string]error{}
	for name, o := range q.opened {
		if o.lazy == nil {
			continue
		}
		all.Go(func() {
			if _, err := o.lazy.get(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			}
		})
	}
	all.Wait()
	return errs
}

// missing reports whether b is a file that is not there, though its folder is.
func (b backend) missing() bool {
	if b.kind != "sqlite" {
		return false
	}
	_, err := os.Stat(b.path.text)
	_, folder := os.Stat(filepath.Dir(b.path.text))
	return errors.Is(err, fs.ErrNotExist) && folder == nil
}

// Close closes the backends, but for those that other Queues have as well.
func (q *Queues) Close() error {
	var errs []error
	for _, o := range q.opened {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// knows is Has for a domain that may have become one of the farm's a moment ago.
func (f *Farm) knows(domain string) bool {
	if f.Has(domain) {
		return true
	}
	f.domains.mu.Lock()
	f.domains.checked = time.Time{}
	f.domains.mu.Unlock()
	return f.Has(domain)
}
