package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"
	"github.com/wikifarm/jobqueue"
)

// A mover copies or moves jobs, a batch after the other.
type mover struct {
	from, to end
	label    string
	filter   jobqueue.Filter
	bar      *progressbar.ProgressBar

	mine           map[uuid.UUID]bool // the holds that it made or found
	begun          bool               // it has a hold that has not ended
	resumed        int                // jobs of holds that it found
	ready, delayed int                // jobs that it took or copied
	unreadable     int

	stored, duplicates int
}

func (m *mover) wants(n jobqueue.Name) bool {
	return (m.filter.Domain == "" || m.filter.Domain == n.Domain) && (m.filter.Type == "" || m.filter.Type == n.Type)
}

// finish finishes what earlier copies have left behind.
func (m *mover) finish(ctx context.Context) error {
	// The order matters: a hold that is in the second backend, and then not in the first, was dropped there.
	kept, err := m.holds(ctx, m.to)
	if err != nil {
		return err
	}
	held, err := m.holds(ctx, m.from)
	if err != nil {
		return err
	}
	for _, h := range held {
		var jobs []jobqueue.Held
		err := m.from.twice(func() (err error) {
			jobs, err = m.from.Held(ctx, h)
			return err
		})
		if err == nil {
			err = m.pass(ctx, h, jobs)
		}
		if err != nil {
			return err
		}
		m.resumed += h.Jobs
	}
	for _, h := range kept {
		if m.mine[h.ID] {
			continue
		}
		if err := m.release(ctx, h); err != nil {
			return err
		}
		m.resumed += h.Jobs
	}
	return nil
}

// holds returns the holds of such copies in a backend.
func (m *mover) holds(ctx context.Context, e end) ([]jobqueue.Hold, error) {
	all, err := e.Holds(ctx)
	return slices.DeleteFunc(all, func(h jobqueue.Hold) bool { return h.Label != m.label }), e.failed(err)
}

// newHold returns a hold that is known as this mover's.
func (m *mover) newHold(n jobqueue.Name) (jobqueue.Hold, error) {
	id, err := uuid.NewV7()
	return jobqueue.Hold{ID: id, Name: n, Label: m.label}, err
}

// pass hands the jobs of a hold on from the first backend to the second.
func (m *mover) pass(ctx context.Context, h jobqueue.Hold, jobs []jobqueue.Held) error {
	m.mine[h.ID], m.begun = true, true
	err := m.to.twice(func() error { return m.to.Keep(ctx, h, jobs) })
	if err == nil {
		err = m.markRoots(ctx, jobs)
	}
	if err == nil {
		err = m.from.twice(func() error { return m.from.Drop(ctx, h) })
	}
	if err == nil {
		err = m.release(ctx, h)
	}
	return err
}

func (m *mover) release(ctx context.Context, h jobqueue.Hold) error {
	m.mine[h.ID], m.begun = true, true
	return m.to.twice(func() error {
		stored, duplicates, err := m.to.Release(ctx, h)
		if err == nil {
			m.begun = false
			m.stored += stored
			m.duplicates += duplicates
			m.progress(stored + duplicates)
		}
		return err
	})
}

func (m *mover) progress(n int) {
	if m.bar != nil {
		m.bar.Add(n)
	}
}

// markRoots has the second backend know of newer roots than those of the jobs, which would be superseded in the first.
func (m *mover) markRoots(ctx context.Context, jobs []jobqueue.Held) error {
	var marks []jobqueue.Mark
	for i := range jobs {
		mark := jobqueue.Mark{Name: jobs[i].Name, Key: jobs[i].Root.Key}
		if mark.Key != "" && !slices.Contains(marks, mark) {
			marks = append(marks, mark)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	err := m.from.twice(func() error {
		times, err := m.from.MarkRoots(ctx, marks...)
		for i := range times {
			marks[i].Time = times[i]
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.to.twice(func() error {
		_, err := m.to.MarkRoots(ctx, marks...)
		return err
	})
}

// queues returns the queues that have jobs to take.
func (m *mover) queues(ctx context.Context) (names []jobqueue.Name, err error) {
	counts, err := m.from.Counts(ctx)
	for _, n := range counts {
		if m.wants(n.Name) && n.Ready+n.Delayed > 0 {
			names = append(names, n.Name)
		}
	}
	return names, m.from.failed(err)
}

var errInterrupted = errors.New("interrupted")

// fruitless is how often the mover looks again where jobs are counted and none is there when it takes them.
const fruitless = 3

// move moves jobs until it finds none. It stops between two batches when ctx ends.
func (m *mover) move(ctx, work context.Context) error {
	for idle := 0; idle < fruitless; idle++ {
		names, err := m.queues(work)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		for _, n := range names {
			moved, err := m.drain(ctx, work, n)
			if err != nil {
				return err
			}
			if moved {
				idle = -1
			}
		}
	}
	return nil
}

// drain moves the jobs of a queue, and reports whether there were any.
func (m *mover) drain(ctx, work context.Context, n jobqueue.Name) (some bool, err error) {
	for ctx.Err() == nil {
		h, err := m.newHold(n)
		if err != nil {
			return some, err
		}
		var jobs []jobqueue.Held
		tries := 0
		err = m.from.twice(func() (err error) {
			tries++
			jobs, err = m.from.Hold(work, h, jobqueue.MaxPush)
			return err
		})
		if err != nil {
			// It may have been made all the same.
			m.begun = true
			return some, err
		}
		if len(jobs) == 0 && tries == 1 {
			return some, nil
		}
		if err := m.pass(work, h, jobs); err != nil {
			return some, err
		}
		m.count(jobs)
		some = true
	}
	return some, errInterrupted
}

func (m *mover) count(jobs []jobqueue.Held) {
	for i := range jobs {
		if jobs[i].Delay > 0 || jobs[i].ReleaseAt.After(time.Now()) {
			m.delayed++
		} else {
			m.ready++
		}
	}
}

// copy copies the jobs that there are.
func (m *mover) copy(ctx, work context.Context) error {
	names, err := m.queues(work)
	if err != nil {
		return err
	}
	for _, n := range names {
		var jobs []jobqueue.Held
		size := 0
		f := jobqueue.Filter{Domain: n.Domain, Type: n.Type, States: []jobqueue.State{jobqueue.Ready, jobqueue.Delayed}}
		for e, err := range m.from.List(work, f) {
			if err != nil {
				return m.from.failed(err)
			}
			if ctx.Err() != nil {
				return errInterrupted
			}
			if e.Params == nil {
				m.unreadable++
				continue
			}
			if len(jobs) == jobqueue.MaxPush || len(jobs) > 0 && size+len(e.Params) > jobqueue.MaxPushBytes {
				if err := m.put(work, n, jobs); err != nil {
					return err
				}
				jobs, size = nil, 0
			}
			jobs = append(jobs, heldOf(e))
			size += len(e.Params)
		}
		if err := m.put(work, n, jobs); err != nil {
			return err
		}
	}
	return nil
}

// put stores a batch in the second backend.
func (m *mover) put(ctx context.Context, n jobqueue.Name, jobs []jobqueue.Held) error {
	if len(jobs) == 0 {
		return nil
	}
	h, err := m.newHold(n)
	if err != nil {
		return err
	}
	m.mine[h.ID], m.begun = true, true
	err = m.to.twice(func() error { return m.to.Keep(ctx, h, jobs) })
	if err == nil {
		err = m.markRoots(ctx, jobs)
	}
	if err == nil {
		err = m.release(ctx, h)
	}
	if err == nil {
		m.count(jobs)
	}
	return err
}

// heldOf is a job that is listed as one that is held.
func heldOf(e jobqueue.Entry) jobqueue.Held {
	h := jobqueue.Held{Record: e.Record, QueuedAt: e.QueuedAt, Failures: e.Failures, Expiries: e.Expiries, LastError: e.LastError}
	if e.State == jobqueue.Delayed {
		h.ReleaseAt = e.ReadyAt
	}
	return h
}
