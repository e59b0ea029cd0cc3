package federated

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// holdPrefix is of the keys of the values that say which holds there are.
const holdPrefix = "hold/"

// A batch is what the first partition says of a hold. It is made of parts, holds of partitions under ids of their own, and is
// there, as a whole, when its state is held.
type batch struct {
	State  holdState
	Domain string
	Type   string
	Label  string
	Jobs   int
	Parts  []string // the partitions that have one
	Layout uint64   // how it is split; 0 for jobs that were taken from one partition

	Stored, Duplicates int // once it was released
}

type holdState string

const (
	none    holdState = ""
	taking  holdState = "taking"  // jobs are being taken out of some partition
	keeping holdState = "keeping" // jobs from elsewhere are being put into partitions
	held    holdState = "held"
	ended   holdState = "ended"
)

func (r *batch) hold(id uuid.UUID) jobqueue.Hold {
	return jobqueue.Hold{ID: id, Name: jobqueue.Name{Domain: r.Domain, Type: r.Type}, Label: r.Label, Jobs: r.Jobs}
}

// A hold is one call about a hold.
type hold struct {
	b *Backend
	jobqueue.Hold
	batch
	version int64 // of the batch in the store
}

func (b *Backend) newHold(h jobqueue.Hold) *hold { return &hold{b: b, Hold: h} }

// read reads what is known of the hold.
func (h *hold) read(ctx context.Context) error {
	h.batch, h.version = batch{}, 0
	all, err := h.b.parts[0].values(ctx, holdPrefix+h.ID.String())
	if err != nil || len(all) == 0 {
		return err
	}
	h.version = all[0].Version
	if err := json.Unmarshal(all[0].Data, &h.batch); err != nil {
		return invalid("hold %s is damaged: %v", h.ID, err)
	}
	return nil
}

// change writes what is known of the hold from now on, unless somebody else has meanwhile; it reports whether it did.
func (h *hold) change(ctx context.Context, to batch) (bool, error) {
	v := jobqueue.Value{Key: holdPrefix + h.ID.String(), Version: h.version}
	if to.State != none {
		data, err := json.Marshal(to)
		if err != nil {
			return false, err
		}
		v.Data = data
	}
	if to.State == ended {
		v.TTL = jobqueue.HoldMemory
	}
	s, err := h.b.parts[0].set(ctx, v)
	if err == nil && s.ok {
		h.batch, h.version = to, s.now.Version
	}
	return s.ok, err
}

// part returns the hold of a partition that is part of h.
func (h *hold) part(p *partition, layout uint64) jobqueue.Hold {
	part := h.Hold
	binary.BigEndian.PutUint64(part.ID[:], binary.BigEndian.Uint64(part.ID[:])^layout)
	part.ID = p.chain(part.ID)
	return part
}

// at calls do for the parts that h has.
func (h *hold) at(do func(p *partition, part jobqueue.Hold) error) error {
	for _, name := range h.Parts {
		p := h.b.byName[name]
		if p == nil {
			return invalid("hold %s has jobs in partition %s, which there is not", h.ID, name)
		}
		if err := do(p, h.part(p, h.Layout)); err != nil {
			return err
		}
	}
	return nil
}

// holding asks the backend of a partition as a Holder. Each of its calls may be repeated.
func holding[T any](ctx context.Context, p *partition, do func(context.Context, jobqueue.Holder) (T, error)) (T, error) {
	v, err := ask(ctx, p, func(ctx context.Context, b jobqueue.Backend) (v T, err error) {
		if e, ok := b.(jobqueue.Holder); ok {
			return do(ctx, e)
		}
		return v, fmt.Errorf("%w: it cannot hold jobs", errors.ErrUnsupported)
	})
	if err != nil {
		err = fmt.Errorf("partition %s: %w", p.name, err)
	}
	return v, err
}

// Hold implements [jobqueue.Holder]. The jobs of a hold are from one partition. Only while all partitions answer does it find
// that there are none.
func (b *Backend) Hold(ctx context.Context, asked jobqueue.Hold, most int) ([]jobqueue.Held, error) {
	if err := asked.Check(); err != nil {
		return nil, err
	}
	h := b.newHold(asked)
	for {
		if err := h.read(ctx); err != nil {
			return nil, err
		}
		if h.State == none {
			if _, err := h.change(ctx, batch{State: taking, Domain: h.Domain, Type: h.Type, Label: asked.Label}); err != nil {
				return nil, err
			}
			continue // Somebody else may have been first.
		}
		if h.State == taking {
			break
		}
		return h.jobs(ctx)
	}
	for _, p := range b.order(h.ID) {
		jobs, err := holding(ctx, p, func(ctx context.Context, e jobqueue.Holder) ([]jobqueue.Held, error) {
			return e.Hold(ctx, h.part(p, 0), most)
		})
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 {
			return h.took(ctx, p, jobs)
		}
	}
	_, err := h.change(ctx, batch{})
	return nil, err
}

// took notes that the jobs of the hold were taken from a partition.
func (h *hold) took(ctx context.Context, p *partition, jobs []jobqueue.Held) ([]jobqueue.Held, error) {
	to := h.batch
	to.State, to.Parts, to.Jobs = held, []string{p.name}, len(jobs)
	ok, err := h.change(ctx, to)
	if ok || err != nil {
		return jobs, err
	}
	// Another call under this id went on. What it has not noted goes back.
	if err := h.read(ctx); err != nil {
		return nil, err
	}
	if h.State == held && slices.Contains(h.Parts, p.name) {
		return h.jobs(ctx)
	}
	if h.State != ended || !slices.Contains(h.Parts, p.name) {
		if _, err := h.release(ctx, p, h.part(p, 0)); err != nil {
			return nil, err
		}
	}
	return h.jobs(ctx)
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
	to := batch{State: keeping, Domain: h.Domain, Type: h.Type, Label: asked.Label, Jobs: len(jobs), Layout: s.layout()}
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
			// The weights were others when somebody began to keep it.
			if err := h.drop(ctx); err != nil {
				return err
			}
			fallthrough
		case h.State == none:
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
		to := to
		to.State = held
		if ok, err := h.change(ctx, to); ok || err != nil {
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
		return struct{}{}, e.Keep(ctx, h.part(s.partition, h.Layout), mine)
	})
	return err
}

// layout identifies who owns what in a section.
func (s section) layout() uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, m := range s {
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
			for _, p := range b.parts {
				if n := jobs[h.part(p, 0).ID]; n > 0 {
					to := h.batch
					to.State, to.Parts, to.Jobs = held, []string{p.name}, n
					if _, err := h.change(ctx, to); err != nil {
						return nil, err
					}
					h.Hold.Jobs = n
					break
				}
			}
		}
		if h.State != held {
			continue
		}
		for _, name := range h.Parts {
			if p := b.byName[name]; p != nil {
				if at := since[h.part(p, h.Layout).ID]; !at.IsZero() && (h.Since.IsZero() || at.Before(h.Since)) {
					h.Since = at
				}
			}
		}
		all = append(all, h.Hold)
	}
	slices.SortFunc(all, func(x, y jobqueue.Hold) int { return x.Since.Compare(y.Since) })
	return all, nil
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
