package federated

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// The mark of a root key is kept by its owner, wherever its jobs are. Besides each partition has marks of its own, of
// the jobs that it was given. The owner's is moved to where these stand, so it is right also after a push that
// was repeated, and after one that was dropped without a trace.

// keeper returns the owner of a mark.
func (b *Backend) keeper(n jobqueue.Name, key string) *partition {
	return b.of(n.Domain).owner(rootKey(n, key), 0)
}

// MarkRoots implements [jobqueue.Backend]. What is missing because of a [jobqueue.PartError] is the zero time.
func (b *Backend) MarkRoots(ctx context.Context, marks ...jobqueue.Mark) ([]time.Time, error) {
	times := make([]time.Time, len(marks))
	shares := shareOut(len(marks), func(i int) *partition { return b.keeper(marks[i].Name, marks[i].Key) })
	_, err := scatter(shares, func(s share) error {
		mine := make([]jobqueue.Mark, len(s.places))
		for k, i := range s.places {
			mine[k] = marks[i]
		}
		got, err := s.marks(ctx, mine)
		for k, t := range got {
			times[s.places[k]] = t
		}
		return err
	})
	for i, m := range marks {
		if at, known := b.moved.get(rootID(m.Name, m.Key)); known && !times[i].After(at) && !(m.Next && times[i].IsZero()) {
			if times[i] = at; m.Next {
				times[i] = at.Add(time.Microsecond)
			}
		}
	}
	return times, err
}

// rootID identifies a mark.
func rootID(n jobqueue.Name, key string) (id uuid.UUID) {
	d := keyOf(n, "\x00m")
	d.WriteString(key)
	binary.BigEndian.PutUint64(id[:8], d.Sum64())
	binary.BigEndian.PutUint64(id[8:], rootKey(n, key))
	return id
}

func (p *partition) marks(ctx context.Context, marks []jobqueue.Mark) ([]time.Time, error) {
	return ask(ctx, p, func(ctx context.Context, b jobqueue.Backend) ([]time.Time, error) {
		times, err := b.MarkRoots(ctx, marks...)
		if err == nil && len(times) != len(marks) {
			err = fmt.Errorf("%w: partition %s answers for %d of %d marks", jobqueue.ErrUnavailable, p.name, len(times), len(marks))
		}
		return times, err
	})
}

// fillRoots returns the records with the times of new roots, as their owners say. While an owner is
// away nobody knows which time would be newer than all before, so the job is left without
// a root, which nothing supersedes.
// A repeat of the push has the same times.
func (b *Backend) fillRoots(ctx context.Context, id uuid.UUID, records []jobqueue.Record) ([]jobqueue.Record, error) {
	isNew := func(r jobqueue.Record) bool { return r.Root.Key != "" && r.Root.Time.IsZero() }
	if !slices.ContainsFunc(records, isNew) {
		return records, nil
	}
	seen := map[jobqueue.Mark]bool{}
	var marks []jobqueue.Mark
	for _, r := range records {
		m := jobqueue.Mark{Name: r.Name, Key: r.Root.Key, Next: true}
		if isNew(r) && !seen[m] {
			seen[m] = true
			marks = append(marks, m)
		}
	}
	filled, before := b.times.get(id)
	if !before {
		times, err := b.MarkRoots(ctx, marks...)
		if _, part := errors.AsType[*jobqueue.PartError](err); err != nil && (!part || ctx.Err() != nil) {
			return nil, err
		}
		filled = map[jobqueue.Mark]time.Time{}
		for i, m := range marks {
			filled[m] = times[i]
		}
		b.times.put(id, filled)
	}
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		if !isNew(*r) {
			continue
		}
		r.Root.Time = filled[jobqueue.Mark{Name: r.Name, Key: r.Root.Key, Next: true}]
		if r.Root.Time.IsZero() {
			r.Root = jobqueue.Root{}
		}
	}
	return records, nil
}

// A localMark is a mark at a partition that does not keep it.
type localMark struct {
	*partition
	jobqueue.Mark
}

// addRoots adds the marks of records that a partition has got and that another one keeps.
func (b *Backend) addRoots(all []localMark, p *partition, records []jobqueue.Record) []localMark {
	before := len(all)
	for i := range records {
		r := &records[i]
		if r.Root.Key == "" {
			continue
		}
		m := localMark{p, jobqueue.Mark{Name: r.Name, Key: r.Root.Key}}
		if !slices.Contains(all[before:], m) && b.keeper(r.Name, r.Root.Key) != p {
			all = append(all, m)
		}
	}
	return all
}

// moveRoots moves marks to where those at the partitions stand. Where one of the two is away they stay: jobs of
// an older root may then run besides those of the newer one.
func (b *Backend) moveRoots(ctx context.Context, all []localMark) error {
	if len(all) == 0 {
		return nil
	}
	scatter(shareOut(len(all), func(i int) *partition { return all[i].partition }), func(s share) error {
		mine := make([]jobqueue.Mark, len(s.places))
		for k, i := range s.places {
			mine[k] = all[i].Mark
		}
		got, err := s.marks(ctx, mine)
		for k, t := range got {
			all[s.places[k]].Time = t
		}
		return err
	})
	var moved []jobqueue.Mark
	for _, m := range all {
		if !m.Time.IsZero() {
			moved = append(moved, m.Mark)
		}
	}
	if _, err := b.MarkRoots(ctx, moved...); err != nil {
		// Whoever reads a mark here must not take an older one for it.
		for _, m := range moved {
			id := rootID(m.Name, m.Key)
			if at, known := b.moved.get(id); !known || m.Time.After(at) {
				b.moved.put(id, m.Time)
			}
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

// supersede marks the claims whose root is older than the mark that its owner has.
func (b *Backend) supersede(ctx context.Context, claims []*jobqueue.Claim) {
	index := map[jobqueue.Mark]int{}
	var marks []jobqueue.Mark
	mark := func(c *jobqueue.Claim) jobqueue.Mark { return jobqueue.Mark{Name: c.Name, Key: c.Root.Key} }
	for _, c := range claims {
		if c.Root.Key == "" || c.Superseded {
			continue
		}
		m := mark(c)
		if _, known := index[m]; known {
			continue
		}
		if p, _, _ := b.local(c.ID); b.keeper(m.Name, m.Key) != p {
			index[m] = len(marks)
			marks = append(marks, m)
		}
	}
	if len(marks) == 0 {
		return
	}
	times, _ := b.MarkRoots(ctx, marks...)
	for _, c := range claims {
		if i, known := index[mark(c)]; known && times[i].After(c.Root.Time) {
			c.Superseded = true
		}
	}
}
