package queuedb

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

var (
	_ jobqueue.Control = (*Backend)(nil)
	_ jobqueue.Limiter = (*Backend)(nil)
)

// Values implements [jobqueue.Control].
func (b *Backend) Values(ctx context.Context, prefix string) (values []jobqueue.Value, err error) {
	if !utf8.ValidString(prefix) {
		return nil, fmt.Errorf("%w: prefix %q is not UTF-8", jobqueue.ErrInvalid, prefix)
	}
	var end any
	if e := behind(prefix); e != "" {
		end = e
	}
	err = b.read(ctx, func(t tx) error {
		values = nil
		return t.Query("value_list", func(scan Scan) error {
			v, err := t.value(scan)
			values = append(values, v)
			return err
		}, prefix, end, t.now())
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// behind returns the first text behind all that begin with prefix, in the
// order of bytes, which is that of code points. "" means that there is none.
func behind(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch last {
		case utf8.MaxRune:
		case 0xD7FF: // surrogates follow, which no text has
			return prefix + "\uE000"
		default:
			return prefix + string(last+1)
		}
	}
	return ""
}

// value reads a row.
func (t tx) value(scan Scan) (v jobqueue.Value, err error) {
	var set, expires int64
	err = scan(&v.Key, &v.Data, &v.Version, &set, &expires)
	v.Data = append([]byte{}, v.Data...) // the row's own is valid only now
	v.Age = max(0, -t.until(set))
	if expires != 0 {
		v.TTL = t.until(expires)
	}
	return v, err
}

// SetValue implements [jobqueue.Control].
func (b *Backend) SetValue(ctx context.Context, v jobqueue.Value) (now jobqueue.Value, ok bool, err error) {
	if err := v.Check(); err != nil {
		return now, false, err
	}
	err = b.write(ctx, func(t tx) (err error) {
		now, ok, err = t.setValue(v)
		return err
	})
	if err != nil {
		return jobqueue.Value{}, false, err
	}
	return now, ok, nil
}

func (t tx) setValue(v jobqueue.Value) (now jobqueue.Value, ok bool, err error) {
	now.Key = v.Key
	if !t.Exclusive() {
		if err := t.Exec("value_hold", v.Key); err != nil {
			return now, false, err
		}
	}
	if v.Version != jobqueue.AnyVersion {
		err := t.Query("value_read", func(scan Scan) (err error) {
			now, err = t.value(scan)
			return err
		}, v.Key, t.now())
		if err != nil || now.Version != v.Version {
			return now, false, err
		}
	}
	now = jobqueue.Value{Key: v.Key}
	if v.Data == nil {
		err := t.Exec("value_delete", v.Key)
		return now, true, err
	}
	now.Data = append(make([]byte, 0, len(v.Data)), v.Data...)
	if err := t.Query("version_next", func(scan Scan) error { return scan(&now.Version) }); err != nil {
		return now, false, err
	}
	var expires any
	if v.TTL > 0 {
		us := micros(v.TTL)
		now.TTL, expires = time.Duration(us)*time.Microsecond, t.now()+us
	}
	err = t.Exec("value_put", now.Key, now.Data, now.Version, t.now(), expires)
	return now, true, err
}

// Charge implements [jobqueue.Limiter].
func (b *Backend) Charge(ctx context.Context, charges ...jobqueue.Charge) (waits []time.Duration, err error) {
	var keys []string
	for _, c := range charges {
		if err := c.Check(); err != nil {
			return nil, err
		}
		keys = append(keys, c.Key)
	}
	if len(charges) == 0 {
		return nil, nil
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	err = b.write(ctx, func(t tx) error {
		booked := make(map[string]int64, len(keys))
		if !t.Exclusive() {
			if err := t.ExecEach("rate_hold", keys); err != nil {
				return err
			}
		}
		err := t.QueryEach("rate_read", func(scan Scan) error {
			var key string
			var until int64
			err := scan(&key, &until)
			booked[key] = until
			return err
		}, keys)
		if err != nil {
			return err
		}
		waits = book(booked, t.now()*1000, charges)
		until := make([]int64, len(keys))
		for i, k := range keys {
			until[i] = booked[k]
		}
		return t.ExecEach("rate_put", keys, until)
	})
	if err != nil {
		return nil, err
	}
	return waits, nil
}

// book books charges at now, in nanoseconds, and returns how long each has to wait.
func book(booked map[string]int64, now int64, charges []jobqueue.Charge) []time.Duration {
	waits := make([]time.Duration, len(charges))
	for i, c := range charges {
		start := max(now, booked[c.Key])
		if waits[i] = time.Duration(start - now); waits[i] < jobqueue.MaxWait {
			booked[c.Key] = start + int64(c.Takes())
		}
	}
	return waits
}
