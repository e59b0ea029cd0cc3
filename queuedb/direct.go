package queuedb

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// dueAgain is how long after a Pop made delayed jobs ready a direct one sees to such at once.
const dueAgain = time.Second

// popDirect claims jobs in one round trip where the store can, or in two. Where there is more to do,
// it claims none and reports that it is not done.
func (b *Backend) popDirect(ctx context.Context, l jobqueue.Lease, wants []jobqueue.Want, started time.Time) (claims []*jobqueue.Claim, done bool, err error) {
	store, ok := b.store.(Direct)
	if !ok {
		return nil, false, nil
	}
	p := poppingDirect{b: b, store: store, lease: l, started: started, names: map[int64]jobqueue.Name{}, lasts: map[int64]int64{}}
	none := false
	known, err := p.want(ctx, wants)
	if err == nil && known {
		err = b.readLateIfDue(ctx, store)
	}
	if err == nil && known {
		none, err = p.claim(ctx)
	}
	if errors.Is(err, ErrAgain) {
		return nil, false, nil // The token is known, for example.
	}
	if err != nil || len(p.rows) == 0 {
		return nil, none, err
	}
	b.direct.Add(1)
	b.noteReached(ctx, p.lasts)
	claims, damaged := describe(p.rows, p.names, l.Token, started.Add(l.TTL))
	if len(damaged) > 0 {
		err = b.write(ctx, func(t tx) error { return t.abandonHeld(l.Token, damaged) })
	}
	if err != nil {
		return nil, false, err
	}
	return claims, true, nil
}

// A poppingDirect is a Pop in one round trip.
type poppingDirect struct {
	b       *Backend
	store   Direct
	lease   jobqueue.Lease
	started time.Time

	queues, limits []int64
	looks          []int64 // queues, and delayed
	names          map[int64]jobqueue.Name

	rows  []row
	lasts map[int64]int64 // positions by queue
}

// claim looks until it has an answer, twice at most, and once where that is likely to do. It reports whether there is nothing, for sure.
func (p *poppingDirect) claim(ctx context.Context) (none bool, err error) {
	p.looks = append(slices.Clip(p.queues), delayed)
	after, final := p.b.reached.after(p.looks, p.started)
	due := time.Since(time.Unix(0, p.b.due.Load())) < dueAgain
	if !final && p.b.reached.willBeShort(p.looks, p.started) {
		return p.look(ctx, p.b.reached.full(p.looks, p.started), true, true)
	}
	none, err = p.look(ctx, after, final, due)
	if err != nil || none || len(p.rows) > 0 || final && due {
		return none, err
	}
	return p.look(ctx, p.b.reached.full(p.looks, p.started), true, true)
}

// want takes in what is wanted, and reports whether it can be claimed so.
func (p *poppingDirect) want(ctx context.Context, wants []jobqueue.Want) (bool, error) {
	var domains, types []string
	for _, w := range wants {
		if w.ID != "" || w.Max <= 0 {
			return false, nil
		}
		if _, known := p.b.ids.Load(w.Name); !known {
			domains, types = append(domains, w.Domain), append(types, w.Type)
		}
	}
	if len(domains) > 0 {
		f := found{}
		if err := p.store.Direct(ctx, Call{"queue_find", []any{domains, types}, f.row}); err != nil {
			return false, err
		}
		p.b.remember(f)
	}
	for _, w := range wants {
		id, known := p.b.ids.Load(w.Name)
		if !known {
			continue // Nobody has pushed to it.
		}
		queue := id.(int64)
		if _, again := p.names[queue]; again {
			return false, nil
		}
		p.names[queue] = w.Name
		p.queues, p.limits = append(p.queues, queue), append(p.limits, int64(w.Max))
	}
	return len(p.queues) > 0, nil
}

// look claims what stands behind the positions, and what was committed late before them. It reports whether there
// is nothing, for sure. With final it may come up short, and with due it sees to delayed jobs first.
func (p *poppingDirect) look(ctx context.Context, after []int64, final, due bool) (none bool, err error) {
	began := time.Now()
	total := int64(0)
	for _, n := range p.limits {
		total += n
	}
	for i, q := range p.looks {
		if after[i] == stored {
			after[i] = p.b.late.back(q, stored)
		}
	}
	after, dueAfter := after[:len(p.queues)], after[len(p.queues)]
	from := p.b.late.back(delayed, dueAfter)
	late := p.late(after)
	calls := make([]Call, 0, 2)
	stopped, offset := p.b.stopped.Load(), p.b.offset.Load()
	released := releasing{lining: lining{since: began}}
	// A process that has just begun, and one that was told of late ones, goes on from here.
	if due = due || from < 0 || from != dueAfter; due {
		calls = append(calls, Call{"later_release", []any{stopped, offset, int64(releaseFirst), from}, released.row})
	}
	p.rows = make([]row, 0, min(total, 1000))
	positions := make([]int64, 0, cap(p.rows))
	calls = append(calls, Call{"pop", []any{
		p.lease.Token[:], p.lease.Owner, micros(p.lease.TTL), p.queues, p.limits, after, total, stopped, offset, final, due,
		late.places, late.queues, late.first, late.last, late.limits, from,
	}, func(scan Scan) error {
		var r row
		var position int64
		if err := r.read(scan, &position); err != nil || r.id == 0 {
			none = position == 0
			return err
		}
		p.rows, positions = append(p.rows, r), append(positions, position)
		return nil
	}})
	err = p.store.Direct(ctx, calls...)
	if err != nil {
		return false, err
	}
	if due {
		p.b.noteDue(dueLook{from, released.now, released.last, releaseFirst, len(released.ids), began})
	}
	if released.some() {
		p.b.noteReleased(released.last)
		p.b.noteLate(ctx, &released.lining)
		p.b.told(true, nil)
	}
	if !due && (none || len(p.rows) > 0) {
		p.b.reached.past(delayed, everything, began) // None was due.
	}
	if due || none || len(p.rows) > 0 {
		p.b.reached.looked(p.looks[len(p.queues):], []int64{dueAfter}, began)
	}
	if none || len(p.rows) > 0 {
		p.looked(after, positions, late, began)
		p.b.reached.looked(p.queues, after, began)
	}
	return none, nil
}

// A releasing collects what later_release says.
type releasing struct {
	lining
	last, now int64
}

func (r *releasing) row(scan Scan) error {
	var id, release int64
	err := scan(&id, &release, &r.now)
	if id != 0 {
		r.add([]int64{id})
		r.last = max(r.last, release)
	}
	return err
}

func (r *releasing) some() bool { return len(r.ids) > 0 }

// lateParts are columns of the spans that a look goes over besides.
type lateParts struct{ places, queues, first, last, limits []int64 }

// late returns what was committed late before the positions, no more jobs of a queue than are wanted.
func (p *poppingDirect) late(after []int64) (l lateParts) {
	for i, q := range p.queues {
		room := p.limits[i]
		for _, s := range p.b.late.before(q, after[i]) {
			n := min(s.last-s.first+1, room)
			if n == 0 {
				break
			}
			room -= n
			l.places, l.queues = append(l.places, int64(i+1)), append(l.queues, q)
			l.first, l.last, l.limits = append(l.first, s.first), append(l.last, s.last), append(l.limits, n)
		}
	}
	return l
}

// looked notes how far a look went, which claimed what stands at the positions.
func (p *poppingDirect) looked(after, positions []int64, late lateParts, began time.Time) {
	taken := make(map[int64]int64, len(p.queues))
	for i := range p.rows {
		q := p.rows[i].queue
		taken[q]++
		p.lasts[q] = max(p.lasts[q], positions[i])
	}
	for i, q := range late.queues {
		to := late.last[i]
		if late.limits[i] <= to-late.first[i] {
			to = p.upTo(q, late.first[i], late.last[i], late.limits[i], positions)
		}
		p.b.late.looked(q, late.first[i]-1, to, began)
	}
	for i, q := range p.queues {
		to := int64(everything)
		if taken[q] == p.limits[i] {
			to = p.lasts[q]
		}
		p.b.late.looked(q, after[i], to, began)
		p.b.reached.past(q, to, began)
		p.b.reached.cameShort(q, taken[q] < p.limits[i])
	}
}

// upTo returns the last position of a span that was looked at, of which so many jobs were wanted.
func (p *poppingDirect) upTo(queue, first, last, limit int64, positions []int64) int64 {
	n, to := int64(0), first-1
	for i, at := range positions {
		if p.rows[i].queue == queue && first <= at && at <= last {
			n, to = n+1, at
		}
	}
	if n < limit {
		return last
	}
	return to
}

// noteReached notes which positions were claimed, and stores them now and then for those who come later.
func (b *Backend) noteReached(ctx context.Context, lasts map[int64]int64) {
	now := time.Now()
	for queue, position := range lasts {
		b.reached.claimed(queue, position, now)
	}
	queues, positions := b.reached.keep(now)
	if len(queues) == 0 {
		return
	}
	// Nothing depends on it.
	b.write(ctx, func(t tx) error { return t.ExecEach("reached_put", queues, positions) })
}

// abandonHeld puts away jobs that cannot be read, out of the claim that holds them.
func (t tx) abandonHeld(token uuid.UUID, damaged []*row) error {
	ledgers, err := t.findLedgers([]uuid.UUID{token})
	l := ledgers[token]
	if err != nil || l == nil {
		return err
	}
	held := make([]*row, 0, len(damaged))
	for _, r := range damaged {
		if l.take(r.id) {
			held = append(held, r)
		}
	}
	if len(held) == 0 {
		return nil
	}
	if err := t.abandonDamaged(held); err != nil {
		return err
	}
	return l.write(t)
}
