package federated

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// A piece is the part of a push that goes to one partition. Its records have gone past the same partitions
// before, or would have. So it is the same ones whenever the push is repeated, and all of them
// are there or none.
type piece struct {
	*partition
	id      uuid.UUID // of the push at the partition, by which all that it went past can be told
	passed  set       // what it went past
	past    []uuid.UUID
	places  []int // of its records in the push; nil is all
	records []jobqueue.Record
}

// Push implements [jobqueue.Backend]. It is atomic for what goes to one partition: the records without a
// digest of one section, or those whose digests have the same owner.
func (b *Backend) Push(ctx context.Context, id uuid.UUID, records []jobqueue.Record) (jobqueue.Pushed, error) {
	if err := jobqueue.CheckPush(records); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	r, err := b.fillRoots(ctx, id, records)
	if err != nil {
		return nil, err
	}
	p := &push{f: b, id: id, key: plainKey(id), records: r}
	pieces, err := p.split(piece{id: id, records: r})
	for err == nil && len(pieces) > 0 {
		pieces, err = p.send(ctx, pieces)
	}
	if err != nil {
		return nil, err // Somebody may still read the records.
	}
	if !p.failed {
		p.leave()
	}
	return p.pushed, b.moveRoots(ctx, p.rooted)
}

// A push is one call of Push.
type push struct {
	f       *Backend
	id      uuid.UUID
	key     uint64 // where what has no place of its own goes
	records []jobqueue.Record
	pushed  jobqueue.Pushed
	rooted  []localMark
	rooms   []*[]jobqueue.Record // that are lent
	failed  bool                 // a partition has, and may still read the records
}

// rooms are used again, as they are as large as batches.
var rooms = sync.Pool{New: func() any { return new([]jobqueue.Record) }}

// room returns room for n records.
func (p *push) room(n int) []jobqueue.Record {
	r := rooms.Get().(*[]jobqueue.Record)
	if cap(*r) < n {
		*r = make([]jobqueue.Record, n)
	}
	p.rooms = append(p.rooms, r)
	return (*r)[:n]
}

// leave gives the rooms back. What is in them will be written over, or the pool drops them.
func (p *push) leave() {
	for _, r := range p.rooms {
		rooms.Put(r)
	}
}

// split splits what has gone past some partitions by where it goes next.
func (p *push) split(from piece) ([]piece, error) {
	if len(from.records) == 0 {
		p.pushed = jobqueue.Pushed{}
		return nil, nil
	}
	var counts [MaxPartitions]int
	owners := make([]uint8, len(from.records))
	keys := keys{plain: p.key}
	last := 0
	var plain *partition // who gets the records of a section that have no digest
	var of *section
	for i := range from.records {
		r := &from.records[i]
		s := p.f.of(r.Domain)
		owner := plain
		if owner == nil || s != of || r.Digest != (jobqueue.Digest{}) {
			owner = s.owner(keys.of(r), from.passed)
		}
		if r.Digest == (jobqueue.Digest{}) {
			plain, of = owner, s
		}
		if owner == nil {
			return nil, p.f.nobody("takes the jobs")
		}
		last = owner.place
		owners[i] = uint8(last)
		counts[last]++
	}
	if counts[last] == len(owners) {
		return p.goPast([]piece{from.to(p.f.parts[last])})
	}
	// The records of each stand together.
	var at [MaxPartitions]int
	sum := 0
	for k, n := range counts {
		at[k] = sum
		sum += n
	}
	places, records := make([]int, len(owners)), p.room(len(owners))
	for i, k := range owners {
		n := at[k]
		at[k]++
		places[n], records[n] = i, from.records[i]
		if from.places != nil {
			places[n] = from.places[i]
		}
	}
	var pieces []piece
	for k, n := range counts {
		if n > 0 {
			q := from.to(p.f.parts[k])
			q.places, q.records = places[at[k]-n:at[k]], records[at[k]-n:at[k]]
			pieces = append(pieces, q)
		}
	}
	return p.goPast(pieces)
}

// to returns all of q as it goes to a partition.
func (q piece) to(p *partition) piece {
	q.partition, q.id = p, p.chain(q.id)
	q.passed.add(p)
	return q
}

// goPast splits the pieces again whose partition takes nothing now, or did not when this
// push was made before.
func (p *push) goPast(pieces []piece) (all []piece, err error) {
	for _, q := range pieces {
		if _, before := p.f.passed.get(q.id); !before && q.takes() {
			all = append(all, q)
			continue
		}
		q.past = append(q.past[:len(q.past):len(q.past)], q.id)
		more, err := p.split(q)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// send pushes the pieces and returns those that must go elsewhere.
func (p *push) send(ctx context.Context, pieces []piece) (left []piece, err error) {
	answers := make([]jobqueue.Pushed, len(pieces))
	errs := make([]error, len(pieces))
	each(pieces, func(i int, q piece) {
		for _, id := range q.past {
			p.f.passed.put(id, struct{}{})
		}
		answers[i], errs[i] = ask(ctx, q.partition, func(ctx context.Context, b jobqueue.Backend) (jobqueue.Pushed, error) {
			if q.named != nil {
				b = q.named
			}
			return b.Push(ctx, q.id, q.records)
		})
	})
	for i, q := range pieces {
		p.failed = p.failed || errs[i] != nil
		switch err := errs[i]; {
		case err == nil && len(answers[i]) == len(q.records):
			p.have(q, answers[i])
		case err == nil:
			return nil, fmt.Errorf("%w: partition %s answers for %d of %d jobs", jobqueue.ErrUnavailable, q.name, len(answers[i]), len(q.records))
		case ctx.Err() != nil || !unavailable(err) && !errors.Is(err, jobqueue.ErrReadOnly):
			return nil, fmt.Errorf("partition %s: %w", q.name, err)
		default:
			q.refuse(err)
			q.past = append(q.past[:len(q.past):len(q.past)], q.id)
			more, err := p.split(q)
			if err != nil {
				return nil, err
			}
			left = append(left, more...)
		}
	}
	return left, nil
}

// have notes the answer for a piece.
func (p *push) have(q piece, answer jobqueue.Pushed) {
	p.rooted = p.f.addRoots(p.rooted, q.partition, q.records)
	if q.places == nil {
		if q.named == nil {
			q.namePushed(answer)
		}
		p.pushed = answer
		return
	}
	if p.pushed == nil {
		p.pushed = make(jobqueue.Pushed, len(p.records))
	}
	if q.named == nil {
		q.namePushed(answer)
	}
	for k, i := range q.places {
		p.pushed[i] = answer[k]
	}
}

// nobody returns the error of a call that no partition does something for.
func (b *Backend) nobody(does string) error {
	kind := jobqueue.ErrReadOnly
	var reasons []string
	for _, p := range b.parts {
		err := p.why()
		if !errors.Is(err, jobqueue.ErrReadOnly) {
			kind = jobqueue.ErrUnavailable
		}
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", p.name, err))
		}
	}
	if len(reasons) == 0 {
		return fmt.Errorf("%w: no partition %s", jobqueue.ErrUnavailable, does)
	}
	return fmt.Errorf("%w: no partition %s: %s", kind, does, strings.Join(reasons, "; "))
}
