package federated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Values are kept by the first partition. Those without an end are copied to the others.

// copyPrefix is what the keys of copies begin with: a partition has values of its own, which are none of the federation's.
const copyPrefix = "federated/"

// aCopy is the version of a value that is a copy, which no value has.
const aCopy = math.MaxInt64

// values is what is known of the values.
type values struct {
	mu sync.Mutex
	of map[string]knownValues // by prefix
}

type knownValues struct {
	values []jobqueue.Value
	at     time.Time
}

// mostPrefixes bounds how many prefixes are remembered. Few are ever asked for.
const mostPrefixes = 1000

func (k *values) note(prefix string, all []jobqueue.Value) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil || len(k.of) >= mostPrefixes {
		k.of = map[string]knownValues{}
	}
	k.of[prefix] = knownValues{slices.Clone(all), time.Now()}
}

// drop forgets the values of the prefixes of a key.
func (k *values) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.of, func(prefix string, _ knownValues) bool { return strings.HasPrefix(key, prefix) })
}

// get returns the values of a prefix as they were when they were read last, less those whose time has run out.
func (k *values) get(prefix string) (all []jobqueue.Value, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	last, known := k.of[prefix]
	age := time.Since(last.at)
	for _, v := range last.values {
		if v.TTL > 0 && v.TTL <= age {
			continue
		}
		if v.TTL > 0 {
			v.TTL -= age
		}
		v.Age += age
		v.Data = bytes.Clone(v.Data)
		all = append(all, v)
	}
	return all, known
}

// control asks the backend of a partition as a Control.
func control[T any](ctx context.Context, p *partition, do func(context.Context, jobqueue.Control) (T, error)) (T, error) {
	return once(ctx, p, func(ctx context.Context, b jobqueue.Backend) (v T, err error) {
		if c, ok := b.(jobqueue.Control); ok {
			return do(ctx, c)
		}
		return v, fmt.Errorf("%w: partition %s keeps no values", errors.ErrUnsupported, p.name)
	})
}

// Values implements [jobqueue.Control]. While the first partition is away they are as this process has read them last, and
// those without an end also as others have copies of them. What was deleted just before may so still be there.
func (b *Backend) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	all, err := b.parts[0].values(ctx, prefix)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, nil // and none can be set
	case err == nil:
		b.known.note(prefix, all)
		return all, nil
	case !partial(err) || ctx.Err() != nil:
		return nil, err
	}
	return b.copies(ctx, prefix, err)
}

func (p *partition) values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	return control(ctx, p, func(ctx context.Context, c jobqueue.Control) ([]jobqueue.Value, error) {
		return c.Values(ctx, prefix)
	})
}

// copies returns what is known of values without the first partition, which is away: what this process has read last, and
// the copies at others. It is an error if there is neither.
func (b *Backend) copies(ctx context.Context, prefix string, away error) ([]jobqueue.Value, error) {
	all, known := b.known.get(prefix)
	for _, p := range b.parts[1:] {
		found, err := p.values(ctx, copyPrefix+prefix)
		if err != nil {
			continue
		}
		known = true
		for _, v := range found {
			v.Key = strings.TrimPrefix(v.Key, copyPrefix)
			if v.TTL == 0 && !slices.ContainsFunc(all, func(has jobqueue.Value) bool { return has.Key == v.Key }) {
				v.Version = aCopy
				all = append(all, v)
			}
		}
	}
	if !known {
		return nil, away
	}
	slices.SortFunc(all, func(x, y jobqueue.Value) int { return strings.Compare(x.Key, y.Key) })
	return all, nil
}

// A setting is the answer of a SetValue.
type setting struct {
	now jobqueue.Value
	ok  bool
}

func (p *partition) set(ctx context.Context, v jobqueue.Value) (setting, error) {
	return control(ctx, p, func(ctx context.Context, c jobqueue.Control) (setting, error) {
		now, ok, err := c.SetValue(ctx, v)
		return setting{now, ok}, err
	})
}

// SetValue implements [jobqueue.Control].
func (b *Backend) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if err := v.Check(); err != nil {
		return jobqueue.Value{}, false, err
	}
	s, err := b.parts[0].set(ctx, v)
	if err == nil && s.ok && v.TTL == 0 {
		b.known.drop(v.Key)
		v.Key, v.Version = copyPrefix+v.Key, jobqueue.AnyVersion
		each(b.parts[1:], func(_ int, p *partition) { p.set(ctx, v) })
	}
	return s.now, s.ok, err
}

// refresh gives a partition that was away the copies that it ought to have.
func (b *Backend) refresh(ctx context.Context, p *partition) {
	p.mu.Lock()
	c, ok := p.backend.(jobqueue.Control)
	p.mu.Unlock()
	if !ok || p == b.parts[0] {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	want, err := b.parts[0].values(ctx, "")
	if err != nil {
		return
	}
	have, err := c.Values(ctx, copyPrefix)
	if err != nil {
		return
	}
	stale := map[string][]byte{}
	for _, v := range have {
		if v.TTL == 0 {
			stale[v.Key] = v.Data
		}
	}
	for _, v := range want {
		key := copyPrefix + v.Key
		data, there := stale[key]
		delete(stale, key)
		if v.TTL == 0 && !(there && bytes.Equal(data, v.Data)) {
			c.SetValue(ctx, jobqueue.Value{Key: key, Data: v.Data, Version: jobqueue.AnyVersion})
		}
	}
	for key := range stale {
		// It may have been set since the others were read.
		now, err := b.parts[0].values(ctx, strings.TrimPrefix(key, copyPrefix))
		if err != nil || slices.ContainsFunc(now, func(v jobqueue.Value) bool { return copyPrefix+v.Key == key }) {
			continue
		}
		c.SetValue(ctx, jobqueue.Value{Key: key, Version: jobqueue.AnyVersion})
	}
}

// Charge implements [jobqueue.Limiter]: at the first partition that answers, as all processes know it. What was booked at one that
// is away counts again when it is back.
func (b *Backend) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	var last error
	for _, p := range b.parts {
		waits, err := once(ctx, p, func(ctx context.Context, b jobqueue.Backend) ([]time.Duration, error) {
			if l, ok := b.(jobqueue.Limiter); ok {
				return l.Charge(ctx, charges...)
			}
			return nil, fmt.Errorf("%w: partition %s keeps no rates", errors.ErrUnsupported, p.name)
		})
		if err == nil || !partial(err) || ctx.Err() != nil {
			return waits, err
		}
		last = err
	}
	return nil, last
}
