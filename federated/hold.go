package federated

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Hold implements [jobqueue.Holder]. Only while all partitions answer does it find that there are none.
func (b *Backend) Hold(ctx context.Context, asked jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	if err := asked.Check(); err != nil {
		return nil, err
	}
	h := b.newHold(asked)
	first := false // nobody has taken jobs under this id
	for h.State != taking {
		if err := h.read(ctx); err != nil {
			return nil, err
		}
		switch h.State {
		case none:
			var err error
			if first, err = h.change(ctx, batch{State: taking, Queue: asked.Name, Owner: asked.Label}); err != nil {
				return nil, err
			}
		case taking:
			// Another call under this id may be at it; it must not take the hold for its own alone.
			if ok, err := h.change(ctx, h.batch); err != nil {
				return nil, err
			} else if !ok {
				h.State = none
			}
		case keeping, held, ended:
			return h.jobs(ctx)
		}
	}
	t := taken{hold: h, most: min(most, jobqueue.MaxPush)}
	if !first {
		for _, p := range b.parts {
			if err := t.again(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range b.order(h.ID) {
		if err := t.take(ctx, p); err != nil {
			return nil, err
		}
	}
	return t.note(ctx)
}

// jobs returns the jobs of the hold; none if it is not there.
func (h *hold) jobs(ctx context.Context) (all []jobqueue.Held, err error) {
	if h.State != held {
		return nil, nil
	}
	err = h.at(func(p *partition, part jobqueue.Hold) error {
		jobs, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Held, error) { return e.Held(ctx, part) })
		all = append(all, jobs...)
		return err
	})
	return all, err
}

// Keep implements [jobqueue.Holder]. Each job is kept where a Push would store it.
func (b *Backend) Keep(ctx context.Context, asked jobqueue.Hold, jobs []jobqueue.Held) error {
	if err := asked.Check(jobs...); err != nil || len(jobs) == 0 {
		return err
	}
	h := b.newHold(asked)
	k := keys{plain: binary.BigEndian.Uint64(h.ID[8:])}
	s := b.of(h.Domain)
	shares := shareOut(len(jobs), func(i int) *partition { return s.owner(k.of(&jobs[i].Record), 0) })
	to := batch{State: keeping, Queue: asked.Name, Owner: asked.Label, Count: len(jobs), Layout: s.layout()}
	for _, s := range shares {
		to.Parts = append(to.Parts, s.name)
	}
	for {
		if err := h.read(ctx); err != nil {
			return err
		}
		switch {
		case h.State == held || h.State == ended || h.State == taking:
			return nil
		case h.State == keeping && h.Layout != to.Layout:
			// The weights were others when somebody began to keep it. What he has kept is nothing from now on.
			before := *h
			to.Nonce = rand.Uint64()
			if ok, err := h.change(ctx, to); err != nil {
				return err
			} else if ok {
				before.drop(ctx)
			}
			continue
		case h.State == none:
			to.Nonce = rand.Uint64()
			if _, err := h.change(ctx, to); err != nil {
				return err
			}
			continue
		}
		for _, s := range shares {
			if err := h.keep(ctx, s, jobs); err != nil {
				return err
			}
		}
		whole := h.batch
		whole.State = held
		if ok, err := h.change(ctx, whole); ok || err != nil {
			return err
		}
	}
}

// keep puts the jobs of a share into its partition.
func (h *hold) keep(ctx context.Context, s share, jobs []jobqueue.Held) error {
	mine := make([]jobqueue.Held, len(s.places))
	for k, i := range s.places {
		mine[k] = jobs[i]
	}
	_, err := holding(ctx, s.partition, func(ctx context.Context, e jobqueue.Holder) (struct{}, error) {
		return struct{}{}, e.Keep(ctx, h.part(s.partition, h.Nonce), mine)
	})
	return err
}

// layout identifies who owns what in a section.
func (s section) layout() uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, m := range s.members {
		fmt.Fprintf(&d, "%s:%v ", m.name, m.weight)
	}
	return d.Sum64() | 1 // not 0
}

// Held implements [jobqueue.Holder].
func (b *Backend) Held(ctx context.Context, asked jobqueue.Hold) ([]jobqueue.Held, error) {
	h := b.newHold(asked)
	if err := h.read(ctx); err != nil {
		return nil, err
	}
	return h.jobs(ctx)
}

// Holds implements [jobqueue.Holder]. It finds jobs that were taken by a program that could not say so any more.
func (b *Backend) Holds(ctx context.Context) ([]jobqueue.Hold, error) {
	values, err := b.parts[0].values(ctx, holdPrefix)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil || len(values) == 0 {
		return nil, err
	}
	since := map[uuid.UUID]time.Time{} // of parts
	jobs := map[uuid.UUID]int{}
	for _, p := range b.parts {
		parts, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Hold, error) { return e.Holds(ctx) })
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			since[part.ID], jobs[part.ID] = part.Since, part.Jobs
		}
	}
	var all []jobqueue.Hold
	for _, v := range values {
		h := b.newHold(jobqueue.Hold{})
		id, err := uuid.Parse(v.Key[len(holdPrefix):])
		if err == nil {
			err = json.Unmarshal(v.Data, &h.batch)
		}
		if err != nil {
			return nil, invalid("hold %s is damaged: %v", v.Key[len(holdPrefix):], err)
		}
		h.Hold, h.version = h.batch.hold(id), v.Version
		if h.State == taking {
			if err := h.adopt(ctx, jobs); err != nil {
				return nil, err
			}
		}
		if err := h.giveBack(ctx, jobs); err != nil {
			return nil, err
		}
		if h.State != held {
			continue
		}
		// Parts may have been released already.
		h.Jobs = 0
		for _, name := range h.Parts {
			if p := b.byName[name]; p != nil {
				id := h.part(p, h.Nonce).ID
				h.Jobs += jobs[id]
				if at := since[id]; !at.IsZero() && (h.Since.IsZero() || at.Before(h.Since)) {
					h.Since = at
				}
			}
		}
		if h.Since.IsZero() {
			h.Since = time.Now().Add(-v.Age)
		}
		all = append(all, h.Hold)
	}
	slices.SortFunc(all, func(x, y jobqueue.Hold) int { return x.Since.Compare(y.Since) })
	return all, nil
}

// adopt has a hold be there whose jobs were taken; jobs says how many each part has.
func (h *hold) adopt(ctx context.Context, jobs map[uuid.UUID]int) error {
	to := h.batch
	for _, p := range h.b.parts {
		if n := jobs[h.part(p, 0).ID]; n > 0 {
			to.State, to.Parts, to.Count = held, append(to.Parts, p.name), to.Count+n
		}
	}
	if to.State != held {
		return nil
	}
	h.Jobs = to.Count
	_, err := h.change(ctx, to)
	return err
}

// giveBack releases what was taken for a hold besides what it was said to have.
func (h *hold) giveBack(ctx context.Context, jobs map[uuid.UUID]int) error {
	if h.Layout != 0 || h.State != held && h.State != ended {
		return nil
	}
	for _, p := range h.b.parts {
		if part := h.part(p, 0); jobs[part.ID] > 0 && !slices.Contains(h.Parts, p.name) {
			if _, err := h.release(ctx, p, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drop implements [jobqueue.Holder].
func (b *Backend) Drop(ctx context.Context, asked jobqueue.Hold) error {
	h := b.newHold(asked)
	for {
		if err := h.read(ctx); err != nil || h.State != held {
			return err
		}
		if err := h.drop(ctx); err != nil {
			return err
		}
		if ok, err := h.end(ctx, 0, 0); ok || err != nil {
			return err
		}
	}
}

// drop ends the parts of the hold.
func (h *hold) drop(ctx context.Context) error {
	return h.at(func(p *partition, part jobqueue.Hold) error {
		_, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) (struct{}, error) { return struct{}{}, e.Drop(ctx, part) })
		return err
	})
}

func (h *hold) end(ctx context.Context, stored, duplicates int) (bool, error) {
	to := h.batch
	to.State, to.Stored, to.Duplicates = ended, stored, duplicates
	return h.change(ctx, to)
}

// Release implements [jobqueue.Holder].
func (b *Backend) Release(ctx context.Context, asked jobqueue.Hold) (stored, duplicates int, err error) {
	h := b.newHold(asked)
	for {
		if err := h.read(ctx); err != nil {
			return 0, 0, err
		}
		if h.State != held {
			return h.Stored, h.Duplicates, nil
		}
		stored, duplicates = 0, 0
		err := h.at(func(p *partition, part jobqueue.Hold) error {
			r, err := h.release(ctx, p, part)
			stored, duplicates = stored+r.stored, duplicates+r.duplicates
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		if ok, err := h.end(ctx, stored, duplicates); ok || err != nil {
			return stored, duplicates, err
		}
	}
}

// released is what became of the jobs of a part.
type released struct{ stored, duplicates int }

// release releases a part, and moves the marks of its roots where they are kept.
func (h *hold) release(ctx context.Context, p *partition, part jobqueue.Hold) (released, error) {
	jobs, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Held, error) { return e.Held(ctx, part) })
	if err != nil {
		return released{}, err
	}
	r, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) (r released, err error) {
		r.stored, r.duplicates, err = e.Release(ctx, part)
		return r, err
	})
	if err != nil {
		return r, err
	}
	records := make([]jobqueue.Record, len(jobs))
	for i := range jobs {
		records[i] = jobs[i].Record
	}
	return r, h.b.moveRoots(ctx, h.b.addRoots(nil, p, records))
}
