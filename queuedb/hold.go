package queuedb

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var _ jobqueue.Holder = (*Backend)(nil)

// Hold implements [jobqueue.Holder].
func (b *Backend) Hold(ctx context.Context, h jobqueue.Hold, most int) (held []jobqueue.Held, err error) {
	if err := h.Check(); err != nil || most <= 0 {
		return nil, err
	}
	for again := true; again; {
		var queues found
		err = b.write(ctx, func(t tx) error {
			again, held = false, nil
			old, err := t.findHold(h.ID)
			if err != nil {
				return err
			}
			if old != nil {
				held, err = old.held(t.now())
				return err
			}
			if queues, err = b.findQueues(t, []jobqueue.Name{h.Name}); err != nil || queues[h.Name] == 0 {
				return err
			}
			wants := []jobqueue.Want{{Name: h.Name, Max: min(most, jobqueue.MaxPush)}}
			g := holding{popping{tx: t, wants: wants, queues: queues, picked: make([]Numbers, 1)}}
			var jobs []heldJob
			if jobs, again, err = g.run(); err != nil || len(jobs) == 0 {
				return err
			}
			if err := t.putHold(h, jobs); err != nil {
				return err
			}
			held, err = heldOf(h.Name, jobs, t.now())
			return err
		})
		if err != nil {
			return nil, err
		}
		b.remember(queues)
	}
	return held, nil
}

// A holding is one Hold at work, which makes ready what a Pop of all that it wants would.
type holding struct{ popping }

// run takes jobs out of the queue. With again it had some in mind, and others have taken all of them.
func (g *holding) run() (jobs []heldJob, again bool, err error) {
	if _, err := g.sweepIfDue(); err != nil {
		return nil, false, err
	}
	if _, err := g.releaseDue(releaseFirst, false); err != nil {
		return nil, false, err
	}
	var ids Numbers
	full, size := false, int64(0)
	find := func(statement string) error {
		return g.Query(statement, func(scan Scan) error {
			var id, bytes int64
			err := scan(&id, &bytes)
			if size += bytes; len(ids) > 0 && size > jobqueue.MaxPushBytes {
				full = true
			}
			if !full {
				ids = append(ids, id)
			}
			return err
		}, g.queues[g.wants[0].Name], int64(g.wants[0].Max-len(ids)))
	}
	short := func() bool { return !full && len(ids) < g.wants[0].Max }
	err = find("ready_find")
	for round, more := 0, true; err == nil && short() && more && round < refillRounds; round++ {
		var ready int
		if ready, more, err = g.refill(round == 0); err == nil && ready > 0 {
			ids, size = nil, 0
			err = find("ready_find")
		}
	}
	if err == nil && short() {
		err = find("later_find")
	}
	if err != nil || len(ids) == 0 {
		return nil, false, err
	}
	jobs, err = g.takeOut(ids)
	return jobs, len(jobs) == 0, err
}

// takeOut deletes those of the jobs that still wait and returns them. Those that cannot be read are abandoned.
func (t tx) takeOut(ids Numbers) ([]heldJob, error) {
	sorted := slices.Sorted(slices.Values(ids))
	if !t.Exclusive() {
		held, err := t.numbers("place_hold", Numbers(sorted), false)
		if err != nil || len(held) == 0 {
			return nil, err
		}
		slices.Sort(held)
		ids = slices.DeleteFunc(ids, func(id int64) bool { return !has(held, id) })
	}
	places, err := t.places(ids, false)
	if err != nil {
		return nil, err
	}
	at := map[int64]*place{}
	var waiting []place
	for i := range places {
		if p := &places[i]; p.since != 0 || p.release != 0 {
			at[p.id] = p
			waiting = append(waiting, *p)
		}
	}
	if len(waiting) == 0 {
		return nil, nil
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return at[id] == nil })
	if _, err := t.pullOut(waiting, nil); err != nil {
		return nil, err
	}
	rows, err := t.readJobs(ids)
	if err != nil {
		return nil, err
	}
	var jobs []heldJob
	var gone Numbers
	var damaged []*row
	for i := range rows {
		r := &rows[i]
		if r.damage != nil {
			damaged = append(damaged, r)
			continue
		}
		gone = append(gone, r.id)
		jobs = append(jobs, newHeldJob(r, at[r.id]))
	}
	if err := t.Exec("dedupe_delete", ids); err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		slices.Sort(gone)
		if err := t.deleteJobs(gone); err != nil {
			return nil, err
		}
	}
	return jobs, t.abandonDamaged(damaged)
}

// Keep implements [jobqueue.Holder].
func (b *Backend) Keep(ctx context.Context, h jobqueue.Hold, held []jobqueue.Held) error {
	if err := h.Check(held...); err != nil || len(held) == 0 {
		return err
	}
	return b.write(ctx, func(t tx) error {
		jobs, err := t.heldJobs(held)
		if err != nil {
			return err
		}
		if err = t.putHold(h, jobs); err == ErrAgain {
			err = nil
		}
		return err
	})
}

// Held implements [jobqueue.Holder].
func (b *Backend) Held(ctx context.Context, h jobqueue.Hold) (held []jobqueue.Held, err error) {
	err = b.read(ctx, func(t tx) error {
		held = nil
		old, err := t.readHold(h.ID)
		if err == nil && old != nil {
			held, err = old.held(t.now())
		}
		return err
	})
	return held, err
}

// Holds implements [jobqueue.Holder].
func (b *Backend) Holds(ctx context.Context) (all []jobqueue.Hold, err error) {
	err = b.read(ctx, func(t tx) error {
		all = nil
		return t.Query("hold_list", func(scan Scan) error {
			var h jobqueue.Hold
			var id []byte
			var since, count int64
			if err := scan(&id, &h.Label, &h.Domain, &h.Type, &since, &count); err != nil {
				return err
			}
			h.Since, h.Jobs = instant(since), int(count)
			h.ID, err = uuid.FromBytes(id)
			all = append(all, h)
			return err
		})
	})
	return all, err
}

// Drop implements [jobqueue.Holder].
func (b *Backend) Drop(ctx context.Context, h jobqueue.Hold) error {
	return b.write(ctx, func(t tx) error { return t.Exec("hold_end", h.ID[:], t.now(), int64(0), int64(0)) })
}

// Release implements [jobqueue.Holder].
func (b *Backend) Release(ctx context.Context, h jobqueue.Hold) (stored, duplicates int, err error) {
	var queues found
	err = b.write(ctx, func(t tx) error {
		stored, duplicates, queues = 0, 0, nil // An earlier transaction may have been undone.
		old, err := t.findHold(h.ID)
		if err != nil || old == nil {
			return err
		}
		if stored, duplicates = old.stored, old.dropped; old.ended {
			return nil
		}
		if queues, err = b.addQueues(t, []jobqueue.Name{old.name}); err != nil {
			return err
		}
		if stored, duplicates, err = t.pushHeld(old, queues); err != nil {
			return err
		}
		return t.Exec("hold_end", h.ID[:], t.now(), int64(stored), int64(duplicates))
	})
	if err != nil {
		return 0, 0, err
	}
	b.remember(queues)
	return stored, duplicates, nil
}

// pushHeld puts the jobs of a hold into their queue, and returns how many were stored and dropped.
func (t tx) pushHeld(k *keptHold, queues found) (stored, dropped int, err error) {
	p := pushing{tx: t}
	jobs, err := k.jobs()
	if err != nil {
		return 0, 0, err
	}
	for i := range jobs {
		r, err := jobs[i].record(k.name)
		if err != nil {
			return 0, 0, err
		}
		if jobs[i].Release != 0 {
			r.ReleaseAt = instant(jobs[i].Release)
		}
		p.records, p.headers = append(p.records, r), append(p.headers, jobs[i].Headers)
		p.pushed = append(p.pushed, jobs[i].Pushed)
	}
	if err := p.run(queues); err != nil {
		return 0, 0, err
	}
	var ids, failures, expiries []int64
	var reasons []string
	for i, j := range jobs {
		if p.twin[i] != 0 {
			dropped++
			continue
		}
		if stored++; j.Failures != 0 || j.Expiries != 0 || j.Error != "" {
			ids, reasons = append(ids, p.first+int64(i)), append(reasons, j.Error)
			failures, expiries = append(failures, int64(j.Failures)), append(expiries, int64(j.Expiries))
		}
	}
	if len(ids) > 0 {
		err = t.ExecEach("job_change", failures, expiries, reasons, make([]int64, len(ids)), ids)
	}
	return stored, dropped, err
}
