package queuedb

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Pop implements [jobqueue.Backend].
func (b *Backend) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	started := time.Now()
	if claims, done, err := b.popDirect(ctx, l, wants, started); err != nil || done {
		return claims, err
	}
	var claims []*jobqueue.Claim
	var queues found
	var lasts map[int64]int64
	err := b.write(ctx, func(t tx) (err error) {
		lasts = nil
		ledgers, err := t.findLedgers([]uuid.UUID{l.Token})
		if err != nil {
			return err
		}
		if earlier := ledgers[l.Token]; earlier != nil {
			claims, err = b.again(t, earlier, l.Token, started)
			return err
		}
		if queues, err = b.findQueues(t, wanted(wants)); err != nil {
			return err
		}
		p := popping{tx: t, wants: wants, queues: queues, picked: make([]Numbers, len(wants)), lasts: map[int64]int64{}}
		claims, err = p.run(l, started)
		lasts = p.lasts
		return err
	})
	if err != nil {
		return nil, err
	}
	b.remember(queues)
	if len(lasts) > 0 {
		b.noteReached(ctx, lasts)
	}
	return claims, nil
}

func wanted(wants []jobqueue.Want) []jobqueue.Name {
	names := make([]jobqueue.Name, len(wants))
	for i := range wants {
		names[i] = wants[i].Name
	}
	return names
}

// A popping is one Pop at work.
type popping struct {
	tx
	wants  []jobqueue.Want
	queues found
	picked []Numbers       // by want
	lasts  map[int64]int64 // positions by queue, unless the store is exclusive
	full   bool            // it would be short, so it looks at queues from their beginning
}

func (p *popping) run(l jobqueue.Lease, started time.Time) ([]*jobqueue.Claim, error) {
	if _, err := p.sweepIfDue(); err != nil {
		return nil, err
	}
	if _, err := p.releaseDue(releaseFirst, false); err != nil {
		return nil, err
	}
	short, err := p.take()
	if p.full = true; err == nil && short && !p.Exclusive() {
		short, err = p.take()
	}
	for round, more := 0, true; err == nil && short && more && round < refillRounds; round++ {
		var ready int
		if ready, more, err = p.refill(round == 0); err == nil && ready > 0 {
			short, err = p.take()
		}
	}
	if err != nil {
		return nil, err
	}
	var ids Numbers
	for _, picked := range p.picked {
		ids = append(ids, picked...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	claims, held, err := p.handOut(l.Token, ids, started.Add(l.TTL))
	if err != nil || len(held) == 0 {
		return nil, err
	}
	ttl := micros(l.TTL)
	if err := p.forgetFew("claim_forget", p.now(), 1+int(p.b.direct.Swap(0))); err != nil {
		return nil, err
	}
	return claims, p.Exec("claim_add", l.Token[:], l.Owner, ttl, p.now()+ttl, RunsOf(held))
}

// refill makes ready what a Pop must not hide, and returns how many jobs, and whether there may be more.
func (p *popping) refill(first bool) (ready int, more bool, err error) {
	var recycled int
	if first {
		recycled, more, err = p.sweep()
	} else {
		recycled, more, err = p.lapse()
	}
	if err != nil {
		return 0, false, err
	}
	var due due
	var queues []int64
	seen := map[int64]struct{}{}
	for i, w := range p.wants {
		id := p.queues[w.Name]
		if id == 0 || w.ID != "" || len(p.picked[i]) >= w.Max {
			continue
		}
		if _, again := seen[id]; !again {
			seen[id] = struct{}{}
			queues = append(queues, id)
		}
	}
	if n := len(queues); n > 0 {
		columns := []any{queues, column(n, p.now()), column(n, int64(releaseBatch))}
		if !p.Exclusive() {
			full := p.b.reached.full([]int64{delayed}, time.Now())[0] == 0
			columns = append(columns, column(n, p.dueFrom(full)))
		}
		err = p.QueryEach("later_due", due.row, columns...)
		if err != nil {
			return 0, false, err
		}
	}
	due.cut(releaseBatch)
	n := len(due.ids)
	return recycled + n, more || n == releaseBatch, p.release(due)
}

// take picks jobs until each want is met or its queue is empty, and reports whether one is short.
// Jobs wanted by id go first, as another want of their queue could do with any other.
func (p *popping) take() (short bool, err error) {
	byID := false
	for i, w := range p.wants {
		byID = byID || w.ID != "" && len(p.picked[i]) == 0
	}
	if byID {
		if err := p.takeNamed(); err != nil {
			return false, err
		}
	}
	var queues, limits []int64
	place := map[int64]int{} // of the want by queue
	for i, w := range p.wants {
		id, need := p.queues[w.Name], w.Max-len(p.picked[i])
		if id == 0 || w.ID != "" || need <= 0 {
			continue
		}
		if _, again := place[id]; again {
			// The order of two wants of one queue must be kept, so the first is met before.
			if err := p.takeFrom(queues, limits, place); err != nil {
				return false, err
			}
			queues, limits = nil, nil
			clear(place)
		}
		place[id] = i
		queues, limits = append(queues, id), append(limits, int64(need))
	}
	if err := p.takeFrom(queues, limits, place); err != nil {
		return false, err
	}
	for i, w := range p.wants {
		most := w.Max
		if w.ID != "" {
			most = 1
		}
		short = short || len(p.picked[i]) < most
	}
	return short, nil
}

// takeFrom picks from distinct queues for the wants at their places.
func (p *popping) takeFrom(queues, limits []int64, place map[int64]int) error {
	if len(queues) == 0 {
		return nil
	}
	var taken, lasts []int64
	statement, columns := "ready_take", []any{queues, limits}
	var after []int64
	if !p.Exclusive() {
		if p.full {
			after = p.b.reached.full(queues, time.Now())
		} else {
			after, _ = p.b.reached.after(queues, time.Now())
		}
		for i, q := range queues {
			after[i] = p.b.late.back(q, after[i])
		}
		statement, columns = "ready_take_after", append(columns, after)
	}
	began := time.Now()
	err := p.QueryEach(statement, func(scan Scan) error {
		var queue, position, job int64
		if err := scan(&queue, &position, &job); err != nil {
			return err
		}
		i := place[queue]
		if n := len(taken); n == 0 || taken[n-1] != queue {
			taken, lasts = append(taken, queue), append(lasts, position)
			p.picked[i] = slices.Grow(p.picked[i], min(p.wants[i].Max-len(p.picked[i]), 1000))
		}
		lasts[len(lasts)-1] = position
		p.picked[i] = append(p.picked[i], job)
		return nil
	}, columns...)
	if err != nil {
		return err
	}
	if !p.Exclusive() {
		p.b.reached.looked(queues, after, began)
		for i, q := range taken {
			p.lasts[q] = max(p.lasts[q], lasts[i])
		}
		return nil
	}
	if len(taken) == 0 {
		return nil
	}
	return p.ExecEach("ready_drop", taken, lasts)
}

// takeNamed picks the jobs that are wanted by id.
func (p *popping) takeNamed() error {
	var ids Numbers
	for i, w := range p.wants {
		if id := parseID(w.ID); id != 0 && len(p.picked[i]) == 0 {
			ids = append(ids, id)
		}
	}
	if !p.Exclusive() {
		var err error
		if ids, err = p.numbers("place_hold", ids, false); err != nil {
			return err
		}
	}
	places, err := p.places(ids, false)
	if err != nil {
		return err
	}
	var ready, later Numbers
	for i, w := range p.wants {
		id := parseID(w.ID)
		if id == 0 || len(p.picked[i]) > 0 {
			continue
		}
		k, found := slices.BinarySearchFunc(places, id, func(s place, id int64) int { return cmp.Compare(s.id, id) })
		switch {
		case !found || places[k].taken || places[k].queue != p.queues[w.Name]:
			continue
		case places[k].since != 0:
			ready = append(ready, id)
		case places[k].release != 0:
			later = append(later, id)
		default:
			continue
		}
		p.picked[i] = Numbers{id}
		places[k].taken = true
	}
	if len(ready) > 0 {
		if err := p.Exec("ready_delete", ready); err != nil {
			return err
		}
	}
	if len(later) > 0 {
		return p.Exec("later_delete", later)
	}
	return err
}

// handOut describes the jobs that were picked, and abandons those that cannot be read.
func (p *popping) handOut(token uuid.UUID, ids Numbers, expires time.Time) ([]*jobqueue.Claim, Numbers, error) {
	rows, err := p.readJobs(ids)
	if err != nil {
		return nil, nil, err
	}
	var digests Numbers
	for i := range rows {
		if rows[i].digest != "" {
			digests = append(digests, rows[i].id)
		}
	}
	if len(digests) > 0 {
		if err := p.Exec("dedupe_delete", digests); err != nil {
			return nil, nil, err
		}
	}
	names := make(map[int64]jobqueue.Name, len(p.queues))
	for n, id := range p.queues {
		names[id] = n
	}
	claims, damaged := describe(rows, names, token, expires)
	held := make(Numbers, len(claims))
	k := 0
	for i := range rows {
		if rows[i].damage == nil {
			held[k] = rows[i].id
			k++
		}
	}
	return claims, held, p.abandonDamaged(damaged)
}

// again returns what is still held of a claim, for a Pop that is repeated.
func (b *Backend) again(t tx, l *ledger, token uuid.UUID, started time.Time) ([]*jobqueue.Claim, error) {
	if len(l.held) == 0 {
		return nil, nil
	}
	rows, err := t.readJobs(l.held)
	if err != nil {
		return nil, err
	}
	queues := make([]int64, len(rows))
	for i := range rows {
		queues[i] = rows[i].queue
	}
	names, _, err := b.namesOf(t, queues)
	if err != nil {
		return nil, err
	}
	claims, _ := describe(rows, names, token, started.Add(t.until(l.expires)))
	return claims, nil
}

// describe makes claims of rows. It notes the damage of those it cannot read and returns them apart.
func describe(rows []row, names map[int64]jobqueue.Name, token uuid.UUID, expires time.Time) (claims []*jobqueue.Claim, damaged []*row) {
	batch := make([]jobqueue.Claim, len(rows))
	claims = make([]*jobqueue.Claim, 0, len(rows))
	queue, queueName := int64(0), jobqueue.Name{}
	for i := range rows {
		r, c := &rows[i], &batch[i]
		if r.damage == nil {
			r.damage = r.record(&c.Record)
		}
		if r.damage != nil {
			damaged = append(damaged, r)
			continue
		}
		if r.queue != queue {
			queue, queueName = r.queue, names[r.queue]
		}
		c.Name = queueName
		c.ID, c.Token = formatID(r.id), token
		c.QueuedAt, c.Expires = instant(r.pushed), expires
		c.Failures, c.Expiries, c.LastError = r.failures, r.expiries, r.lastError
		c.Superseded = r.superseded()
		claims = append(claims, c)
	}
	return claims, damaged
}

// abandonDamaged puts away jobs that cannot be read.
func (t tx) abandonDamaged(damaged []*row) error {
	n := len(damaged)
	ids, reasons := make([]int64, n), make([]string, n)
	for i, r := range damaged {
		ids[i], reasons[i] = r.id, cut("damaged: "+r.damage.Error())
	}
	return t.abandon(column(n, t.now()+micros(jobqueue.DefaultKeep)), make([]int64, n), reasons, ids)
}
