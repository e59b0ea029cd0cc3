package queuedb

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// Pop implements [jobqueue.Backend].
func (b *Backend) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	started := time.Now()
	var claims []*jobqueue.Claim
	var queues found
	err := b.write(ctx, func(t tx) (err error) {
		ledgers, err := t.findLedgers([]uuid.UUID{l.Token})
		if err != nil {
			return err
		}
		if earlier := ledgers[l.Token]; earlier != nil {
			claims, err = b.again(t, earlier, started)
			return err
		}
		if queues, err = b.findQueues(t, wanted(wants)); err != nil {
			return err
		}
		p := popping{tx: t, wants: wants, queues: queues, picked: make([]Numbers, len(wants))}
		claims, err = p.run(l, started)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.remember(queues)
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
	picked []Numbers // by want
}

func (p *popping) run(l jobqueue.Lease, started time.Time) ([]*jobqueue.Claim, error) {
	if _, err := p.sweepIfDue(); err != nil {
		return nil, err
	}
	short, err := p.take()
	if err == nil && short {
		short, err = p.refill()
		if err == nil && short {
			_, err = p.take()
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
	_, err = p.Exec("claim_add", l.Token[:], l.Owner, ttl, p.now+ttl, held)
	return claims, err
}

// refill makes ready what a Pop must not hide, and reports whether there was any.
func (p *popping) refill() (bool, error) {
	recycled, err := p.sweep()
	if err != nil {
		return false, err
	}
	var due due
	var queues []int64
	for i, w := range p.wants {
		if id := p.queues[w.Name]; id != 0 && w.ID == "" && len(p.picked[i]) < w.Max && !slices.Contains(queues, id) {
			queues = append(queues, id)
		}
	}
	if len(queues) > 0 {
		n := len(queues)
		err = p.QueryEach("later_due", due.row, queues, column(n, p.now), column(n, int64(releaseBatch)))
		if err != nil {
			return false, err
		}
	}
	due.cut(releaseBatch)
	return recycled+len(due.ids) > 0, p.release(due)
}

// take picks jobs until each want is met or its queue is empty, and reports whether one is short.
func (p *popping) take() (short bool, err error) {
	var queues, limits []int64
	var places []int
	byID := false
	for i, w := range p.wants {
		id := p.queues[w.Name]
		switch need := w.Max - len(p.picked[i]); {
		case w.ID != "":
			byID = byID || len(p.picked[i]) == 0
		case id == 0:
			short = short || need > 0
		case slices.Contains(queues, id):
			// The order of two wants of one queue must be kept, so the first is met before.
			if err := p.takeFrom(queues, limits, places); err != nil {
				return false, err
			}
			queues, limits, places = nil, nil, nil
			if need > 0 {
				queues, limits, places = append(queues, id), append(limits, int64(need)), append(places, i)
			}
		default:
			if need > 0 {
				queues, limits, places = append(queues, id), append(limits, int64(need)), append(places, i)
			}
		}
	}
	if err := p.takeFrom(queues, limits, places); err != nil {
		return false, err
	}
	if byID {
		if err := p.takeNamed(); err != nil {
			return false, err
		}
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

// takeFrom picks from distinct queues.
func (p *popping) takeFrom(queues, limits []int64, places []int) error {
	if len(queues) == 0 {
		return nil
	}
	k := 0
	var taken, lasts []int64
	err := p.QueryEach("ready_take", func(scan Scan) error {
		var queue, position, job int64
		if err := scan(&queue, &position, &job); err != nil {
			return err
		}
		if n := len(taken); n == 0 || taken[n-1] != queue {
			k = slices.Index(queues, queue)
			taken, lasts = append(taken, queue), append(lasts, position)
			p.picked[places[k]] = slices.Grow(p.picked[places[k]], int(min(limits[k], 1000)))
		}
		lasts[len(lasts)-1] = position
		p.picked[places[k]] = append(p.picked[places[k]], job)
		return nil
	}, queues, limits)
	if err != nil || len(taken) == 0 {
		return err
	}
	return p.ExecEach("ready_drop", taken, lasts)
}

// takeNamed picks the jobs that are wanted by id.
func (p *popping) takeNamed() error {
	var ids Numbers
	for _, w := range p.wants {
		if id := parseID(w.ID); id != 0 {
			ids = append(ids, id)
		}
	}
	places, err := p.places(ids)
	if err != nil {
		return err
	}
	var ready, later Numbers
	for i, w := range p.wants {
		id := parseID(w.ID)
		if id == 0 || len(p.picked[i]) > 0 {
			continue
		}
		k := slices.IndexFunc(places, func(s place) bool { return s.id == id && s.queue == p.queues[w.Name] })
		switch {
		case k < 0:
			continue
		case places[k].since != 0:
			ready = append(ready, id)
		case places[k].release != 0:
			later = append(later, id)
		default:
			continue
		}
		p.picked[i] = Numbers{id}
		places[k].id = 0
	}
	if len(ready) > 0 {
		if _, err := p.Exec("ready_delete", ready); err != nil {
			return err
		}
	}
	if len(later) > 0 {
		_, err = p.Exec("later_delete", later)
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
		if _, err := p.Exec("dedupe_delete", digests); err != nil {
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
	return claims, held, p.abandon(damaged)
}

// again returns what is still held of a claim, for a Pop that is repeated.
func (b *Backend) again(t tx, l *ledger, started time.Time) ([]*jobqueue.Claim, error) {
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
	claims, _ := describe(rows, names, l.token, started.Add(t.until(l.expires)))
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

// abandon puts away jobs that cannot be read.
func (p *popping) abandon(damaged []*row) error {
	n := len(damaged)
	if n == 0 {
		return nil
	}
	ids, reasons, zeros := make([]int64, n), make([]string, n), make([]int64, n)
	for i, r := range damaged {
		ids[i], reasons[i] = r.id, cut("damaged: "+r.damage.Error())
	}
	if err := p.ExecEach("job_change", zeros, zeros, reasons, zeros, ids); err != nil {
		return err
	}
	return p.ExecEach("abandoned_put", column(n, p.now+micros(jobqueue.DefaultKeep)), ids)
}
