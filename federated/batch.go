package federated

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// holdPrefix is of the keys of the values that say which holds there are.
const holdPrefix = "hold/"

// A batch is what the first partition says of a hold. It is made of parts, holds of partitions under ids of their own, and is
// there, as a whole, when its state is held.
type batch struct {
	State  holdState
	Queue  jobqueue.Name
	Owner  string   // the label
	Count  int      // of jobs
	Parts  []string // the partitions that have one
	Layout uint64   // how it was split; 0 for jobs that were taken where they were
	Nonce  uint64   // of the attempt to split it so, on which the ids of the parts depend

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
	return jobqueue.Hold{ID: id, Name: r.Queue, Label: r.Owner, Jobs: r.Count}
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
func (h *hold) part(p *partition, nonce uint64) jobqueue.Hold {
	part := h.Hold
	binary.BigEndian.PutUint64(part.ID[:], binary.BigEndian.Uint64(part.ID[:])^nonce)
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
		if err := do(p, h.part(p, h.Nonce)); err != nil {
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
