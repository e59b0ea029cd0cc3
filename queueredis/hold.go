package queueredis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var _ jobqueue.Holder = (*Backend)(nil)

// Hold implements [jobqueue.Holder]. What the jobs are is looked at first, as scripts can neither tell which of them are damaged nor how large
// compressed ones are; those that somebody else takes meanwhile are left out.
func (b *Backend) Hold(ctx context.Context, h jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	shard := b.shardOf(h.Domain)
	for {
		v, err := b.run(ctx, shard, waitingScript, h.ID.String(), nameKey(h.Name), max(0, min(most, jobqueue.MaxPush)))
		if err != nil {
			return nil, err
		}
		a := list(v)
		if len(a) != 3 {
			return nil, errAnswer
		}
		ids, bodies := list(a[1]), list(a[2])
		if text(a[0]) != "" {
			return b.Held(ctx, h)
		}
		if len(ids) == 0 || most <= 0 {
			return nil, nil
		}
		args := []any{h.ID.String(), h.Label, nameKey(h.Name)}
		size := 0
		for i := range ids {
			var r jobqueue.Record
			reason := ""
			if _, err := readBody(text(bodies[i]), &r); err != nil {
				reason = err.Error()
			} else if size += len(r.Params); size > jobqueue.MaxPushBytes && size > len(r.Params) {
				break
			}
			args = append(args, ids[i], reason)
		}
		if v, err = b.run(ctx, shard, holdScript, args...); err != nil {
			return nil, err
		}
		if held, err := readHeld(h, v); err != nil || len(held) > 0 {
			return held, err
		}
	}
}

// readHeld reads what scripts tell of the jobs of a hold.
func readHeld(h jobqueue.Hold, v any) ([]jobqueue.Held, error) {
	a := list(v)
	held := make([]jobqueue.Held, len(a)/5)
	for i := range held {
		f, e := a[5*i:5*i+5], &held[i]
		queued, err := readBody(text(f[0]), &e.Record)
		if err != nil {
			return nil, fmt.Errorf("hold %s: %w", h.ID, err)
		}
		e.Name, e.QueuedAt, e.Root = h.Name, instant(queued), readRoot(text(f[2]))
		e.Failures, e.Expiries, e.LastError = readHistory(text(f[1]))
		e.Delay = duration(number(f[3]))
		if text(f[4]) == "" {
			e.Digest = jobqueue.Digest{}
		}
	}
	return held, nil
}

// Keep implements [jobqueue.Holder].
func (b *Backend) Keep(ctx context.Context, h jobqueue.Hold, held []jobqueue.Held) error {
	if err := h.Check(held...); err != nil || len(held) == 0 {
		return err
	}
	args := []any{h.ID.String(), h.Label, nameKey(h.Name)}
	for i := range held {
		e := &held[i]
		history, root, release, digest := "", "", "", ""
		if e.Failures > 0 || e.Expiries > 0 || e.LastError != "" {
			history = fmt.Sprintf("%d %d %s", e.Failures, e.Expiries, e.LastError)
		}
		if e.Root.Key != "" {
			root = stamp(e.Root.Time) + e.Root.Key
		}
		if !e.ReleaseAt.IsZero() {
			release = "=" + strconv.FormatInt(e.ReleaseAt.UnixMicro(), 10)
		} else if e.Delay > 0 {
			release = "+" + micros(e.Delay)
		}
		if e.Digest != (jobqueue.Digest{}) {
			digest = "1"
		}
		args = append(args, e.QueuedAt.UnixMicro(), b.appendBody(nil, &e.Record), history, root, release, digest)
	}
	_, err := b.run(ctx, b.shardOf(h.Domain), keepScript, args...)
	return err
}

// Held implements [jobqueue.Holder].
func (b *Backend) Held(ctx context.Context, h jobqueue.Hold) ([]jobqueue.Held, error) {
	v, err := b.run(ctx, b.shardOf(h.Domain), tellScript, h.ID.String())
	if err != nil {
		return nil, err
	}
	return readHeld(h, v)
}

// Holds implements [jobqueue.Holder].
func (b *Backend) Holds(ctx context.Context) (all []jobqueue.Hold, err error) {
	var mu sync.Mutex
	err = each(b.every(), func(shard int, _ struct{}) error {
		v, err := b.run(ctx, shard, holdsScript)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for f := range slices.Chunk(list(v), 5) {
			id, err := uuid.Parse(text(f[0]))
			name, ok := parseName(text(f[2]))
			if err != nil || !ok {
				return errAnswer
			}
			all = append(all, jobqueue.Hold{ID: id, Name: name, Label: text(f[1]), Since: instant(number(f[3])), Jobs: int(number(f[4]))})
		}
		return nil
	})
	slices.SortFunc(all, func(x, y jobqueue.Hold) int {
		return cmp.Or(x.Since.Compare(y.Since), slices.Compare(x.ID[:], y.ID[:]))
	})
	return all, err
}

// Drop implements [jobqueue.Holder].
func (b *Backend) Drop(ctx context.Context, h jobqueue.Hold) error {
	_, err := b.run(ctx, b.shardOf(h.Domain), dropScript, h.ID.String())
	return err
}

// Release implements [jobqueue.Holder].
func (b *Backend) Release(ctx context.Context, h jobqueue.Hold) (stored, duplicates int, err error) {
	v, err := b.run(ctx, b.shardOf(h.Domain), releaseScript, h.ID.String(), strconv.FormatInt(b.newest.Load()+1, 10))
	if err != nil {
		return 0, 0, err
	}
	a := list(v)
	if len(a) != 2 {
		return 0, 0, errAnswer
	}
	b.saw(unhex(text(a[1])))
	n, m, _ := strings.Cut(text(a[0]), " ")
	return int(number(n)), int(number(m)), nil
}
