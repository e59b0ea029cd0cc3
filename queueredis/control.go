package queueredis

import (
	"context"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wikifarm/jobqueue"
)

// Values implements [jobqueue.Control].
func (b *Backend) Values(ctx context.Context, prefix string) (values []jobqueue.Value, err error) {
	if !utf8.ValidString(prefix) {
		return nil, invalid("prefix %q is not UTF-8", prefix)
	}
	for after := ""; ; {
		v, err := b.run(ctx, 0, valuesScript, prefix, after)
		if err != nil {
			return nil, err
		}
		a := list(v)
		if len(a) != 2 {
			return nil, errAnswer
		}
		for f := range slices.Chunk(list(a[0]), 5) {
			values = append(values, readValue(f))
		}
		if after = text(a[1]); after == "" {
			return values, nil
		}
	}
}

func readValue(f []any) jobqueue.Value {
	return jobqueue.Value{
		Key: text(f[0]), Version: number(f[1]), Age: duration(number(f[2])), TTL: duration(number(f[3])), Data: append([]byte{}, text(f[4])...),
	}
}

// SetValue implements [jobqueue.Control].
func (b *Backend) SetValue(ctx context.Context, v jobqueue.Value) (now jobqueue.Value, ok bool, err error) {
	if err := v.Check(); err != nil {
		return now, false, err
	}
	args := []any{v.Key, v.Version, micros(v.TTL), "none"}
	if v.Data != nil {
		args = append(args[:3], "data", v.Data)
	}
	answer, err := b.run(ctx, 0, setScript, args...)
	if err != nil {
		return now, false, err
	}
	a := list(answer)
	if len(a) != 2 {
		return now, false, errAnswer
	}
	if now.Key = v.Key; len(list(a[1])) == 5 {
		now = readValue(list(a[1]))
	}
	return now, text(a[0]) == "1", nil
}

// Charge implements [jobqueue.Limiter].
func (b *Backend) Charge(ctx context.Context, charges ...jobqueue.Charge) ([]time.Duration, error) {
	for _, c := range charges {
		if err := c.Check(); err != nil {
			return nil, err
		}
	}
	if len(charges) == 0 {
		return nil, nil
	}
	args := []any{micros(jobqueue.MaxWait)}
	for _, c := range charges {
		args = append(args, c.Key, strconv.FormatFloat(float64(c.Takes())/1000, 'f', 3, 64))
	}
	v, err := b.run(ctx, 0, chargeScript, args...)
	if err != nil {
		return nil, err
	}
	waits := make([]time.Duration, len(charges))
	for i, w := range list(v) {
		us, _ := strconv.ParseFloat(text(w), 64)
		waits[i] = time.Duration(us * 1000)
	}
	return waits, nil
}
