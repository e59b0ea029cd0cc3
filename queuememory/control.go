package queuememory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

// A value is what SetValue stored.
type value struct {
	data    []byte
	version int64
	set     instant
	ttl     time.Duration // 0: for ever
}

// left returns how much longer v lives, and whether it does.
func (v value) left(now instant) (time.Duration, bool) {
	if v.ttl == 0 {
		return 0, true
	}
	left := v.set.add(v.ttl).sub(now)
	return left, left > 0
}

// Values implements [jobqueue.Control].
func (b *Backend) Values(ctx context.Context, prefix string) ([]jobqueue.Value, error) {
	if !utf8.ValidString(prefix) {
		return nil, fmt.Errorf("%w: prefix %q is not UTF-8", jobqueue.ErrInvalid, prefix)
	}
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	var found []jobqueue.Value
	at, _ := slices.BinarySearch(b.keys, prefix)
	for _, key := range b.keys[at:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if v := b.value(key, now); v.Version != 0 {
			found = append(found, v)
		}
	}
	return found, nil
}

// value returns what is stored under a key.
func (b *Backend) value(key string, now instant) jobqueue.Value {
	v, ok := b.values[key]
	left, lives := v.left(now)
	if !ok || !lives {
		return jobqueue.Value{Key: key}
	}
	return jobqueue.Value{Key: key, Data: bytes.Clone(v.data), Version: v.version, Age: max(0, now.sub(v.set)), TTL: left}
}

// SetValue implements [jobqueue.Control].
func (b *Backend) SetValue(ctx context.Context, v jobqueue.Value) (jobqueue.Value, bool, error) {
	if err := v.Check(); err != nil {
		return jobqueue.Value{}, false, err
	}
	now, err := b.begin(ctx)
	if err != nil {
		return jobqueue.Value{}, false, err
	}
	defer b.mu.Unlock()
	if old := b.value(v.Key, now); v.Version != jobqueue.AnyVersion && v.Version != old.Version {
		return old, false, nil
	}
	at, known := slices.BinarySearch(b.keys, v.Key)
	if v.Data == nil {
		if known {
			b.keys = slices.Delete(b.keys, at, at+1)
			delete(b.values, v.Key)
		}
		return jobqueue.Value{Key: v.Key}, true, nil
	}
	if !known {
		b.keys = slices.Insert(b.keys, at, v.Key)
	}
	b.versions++
	// A TTL of less than an instant would be for ever.
	ttl := (v.TTL + time.Microsecond - 1).Truncate(time.Microsecond)
	b.values[v.Key] = value{append([]byte{}, v.Data...), b.versions, now, ttl}
	return b.value(v.Key, now), true, nil
}

// Charge implements [jobqueue.Limiter].
func (b *Backend) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	for _, c := range charges {
		if err := c.Check(); err != nil {
			return nil, err
		}
	}
	now, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	at := now.time()
	waits := make([]time.Duration, len(charges))
	for i, c := range charges {
		start := at
		if booked := b.booked[c.Key]; booked.After(at) {
			start = booked
		}
		if waits[i] = start.Sub(at); waits[i] < jobqueue.MaxWait {
			b.booked[c.Key] = start.Add(c.Takes())
		}
	}
	return waits, nil
}

// forgetValues deletes the values and bookings that are over.
func (b *Backend) forgetValues(now instant) int {
	before := len(b.values)
	maps.DeleteFunc(b.values, func(_ string, v value) bool {
		_, lives := v.left(now)
		return !lives
	})
	if len(b.values) < before {
		b.keys = slices.Sorted(maps.Keys(b.values))
	}
	maps.DeleteFunc(b.booked, func(_ string, t time.Time) bool { return !t.After(now.time()) })
	return before - len(b.values)
}

var (
	_ jobqueue.Control = (*Backend)(nil)
	_ jobqueue.Limiter = (*Backend)(nil)
)
