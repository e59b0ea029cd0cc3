package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/internal/latest"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	topPatience = 10 * time.Second
	countEvery  = 5 * time.Second
	mostCounted = 200   // queues of a store
	mostQueues  = 50000 // of a store
)

// A feed is what top knows of a farm. No store holds up another one, or the screen.
type feed struct {
	s      *session
	crew   *latest.Value[crew]
	stores []*fed
}

// A fed is a store, the queues in it that have work, and how deep they are.
type fed struct {
	config.Store
	ready  *latest.Value[[]jobqueue.Backlog]
	depths *latest.Value[map[jobqueue.Name]int]
}

func newFeed(s *session, every time.Duration) *feed {
	every -= every / 10 // Those who look that often are not to come too early.
	f := &feed{s: s}
	f.crew = &latest.Value[crew]{Read: s.crew, Every: every, Patience: topPatience}
	for _, st := range s.Stores {
		d := &fed{Store: st}
		read := func(ctx context.Context) ([]jobqueue.Backlog, error) { return readReady(ctx, st.Backend, mostQueues) }
		d.ready = &latest.Value[[]jobqueue.Backlog]{Read: read, Every: every, Patience: topPatience}
		d.depths = &latest.Value[map[jobqueue.Name]int]{Read: d.readDepths, Every: countEvery, Patience: topPatience}
		f.stores = append(f.stores, d)
	}
	return f
}

// readDepths counts the queues that have waited longest.
func (d *fed) readDepths(ctx context.Context) (map[jobqueue.Name]int, error) {
	known := slices.Clone(d.ready.Last().Value)
	slices.SortFunc(known, func(a, b jobqueue.Backlog) int { return cmp.Compare(b.Age, a.Age) })
	var names []jobqueue.Name
	for _, b := range known[:min(len(known), mostCounted)] {
		names = append(names, b.Name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	counts, err := d.Backend.Counts(ctx, names...)
	if err != nil {
		return nil, err // That of a part would be too low.
	}
	depths := make(map[jobqueue.Name]int, len(counts))
	for _, c := range counts {
		depths[c.Name] = c.Ready
	}
	return depths, nil
}

// look begins to read what is due.
func (f *feed) look(ctx context.Context) []<-chan struct{} {
	all := []<-chan struct{}{f.crew.Look(ctx)}
	for _, d := range f.stores {
		all = append(all, d.ready.Look(ctx))
		if len(d.ready.Last().Value) > 0 {
			all = append(all, d.depths.Look(ctx))
		}
	}
	return all
}

// A picture is what is known of a farm at one time.
type picture struct {
	crew   latest.Reading[crew]
	stores []picturedStore
	queues []picturedQueue

	enabled func(jobqueue.Name) bool
}

type picturedStore struct {
	name string
	text string // what is wrong with it
}

type picturedQueue struct {
	jobqueue.Name
	store string // "" if there is one alone
	age   time.Duration
	depth int // -1: not counted
}

func (f *feed) picture() *picture {
	p := &picture{crew: f.crew.Last(), enabled: f.s.farm.Enabled}
	for _, d := range f.stores {
		st := picturedStore{name: jobqueue.EscapeName(d.Name)}
		ready, depths := d.ready.Last(), d.depths.Last()
		switch {
		case ready.Away() != nil:
			st.text = "away: " + escape(inline(ready.Err))
		case ready.Err != nil:
			st.text = escape(inline(ready.Err))
		case ready.At.IsZero():
			st.text = "no answer yet"
		case len(ready.Value) == mostQueues:
			st.text = "there are more queues than are shown"
		}
		p.stores = append(p.stores, st)
		for _, b := range ready.Value {
			q := picturedQueue{Name: b.Name, age: b.Age + time.Since(ready.At), depth: -1}
			if n, ok := depths.Value[b.Name]; ok && depths.Err == nil {
				q.depth = n
			}
			if len(f.stores) > 1 {
				q.store = st.name
			}
			p.queues = append(p.queues, q)
		}
	}
	return p
}

// note says what else there is to say of a queue.
func (p *picture) note(q picturedQueue) string {
	note := ""
	switch {
	case slices.ContainsFunc(p.crew.Value.pauses, func(s jobqueue.Pause) bool { return s.Covers(q.Name) }):
		note = "paused"
	case !p.enabled(q.Name):
		note = "not enabled"
	case p.crew.OK() && !p.crew.Value.none && !slices.ContainsFunc(p.crew.Value.runners, func(r runner.Presence) bool { return r.Covers(q.Name) }):
		note = "no runner"
	}
	if q.store != "" {
		note = q.store + " " + note
	}
	return note
}
