package metrics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/internal/latest"
	"github.com/wikifarm/jobqueue/runner"
)

const (
	patience   = 5 * time.Second // for one look
	scrapeWait = time.Second     // how long whoever asks waits for looks that are under way; then older ones have to do
)

// A Store is a backend with the name it has in the label store.
type Store struct {
	Name    string
	Backend jobqueue.Backend
}

// Watch has the stores of a group looked at whenever metrics are asked for, in place of those of
// the group before; nil ends it. Without stores they are those of the group, with their numbers for names.
func (m *Metrics) Watch(g *jobqueue.Group, stores ...Store) {
	if g == nil {
		m.see(nil)
		return
	}
	if len(stores) == 0 {
		for i, b := range g.Backends() {
			stores = append(stores, Store{fmt.Sprint(i), b})
		}
	}
	s := &sight{group: g}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.farm = value(m.o.Every, func(ctx context.Context) (farm, error) { return readFarm(ctx, g) })
	for _, st := range stores {
		w := &watched{Store: st}
		w.queues = value(m.o.Every, func(ctx context.Context) (queues, error) { return m.readQueues(ctx, s, st.Backend) })
		if m.o.CountEvery > 0 {
			w.counts = value(max(m.o.Every, m.o.CountEvery), func(ctx context.Context) (counts, error) { return m.count(ctx, st.Backend) })
		}
		s.stores = append(s.stores, w)
	}
	m.see(s)
}

// see replaces what is watched, and ends looks at what was.
func (m *Metrics) see(s *sight) {
	if was := m.sight.Swap(s); was != nil {
		was.end()
	}
}

func value[T any](every time.Duration, read func(context.Context) (T, error)) *latest.Value[T] {
	return &latest.Value[T]{Read: read, Every: every, Patience: patience}
}

// A sight is the stores of a group and what was seen of them.
type sight struct {
	ctx    context.Context // of looks
	end    context.CancelFunc
	group  *jobqueue.Group
	farm   *latest.Value[farm]
	stores []*watched
}

type watched struct {
	Store
	queues *latest.Value[queues]
	counts *latest.Value[counts] // nil: they are not counted
}

// look sees to it that what is known is new, as far as that can be had soon.
func (s *sight) look(ctx context.Context) {
	begun := time.Now()
	// Which queues are paused, and covered, is asked first.
	latest.Wait(ctx, scrapeWait, s.farm.Look(s.ctx))
	var all []<-chan struct{}
	for _, st := range s.stores {
		all = append(all, st.queues.Look(s.ctx))
		if st.counts != nil {
			all = append(all, st.counts.Look(s.ctx))
		}
	}
	latest.Wait(ctx, scrapeWait-time.Since(begun), all...)
}

// A farm is what the store of control values says.
type farm struct {
	runners []runner.Presence
	pauses  []jobqueue.Pause
	idle    time.Duration
	worked  bool // idle is known
	unknown bool // there is no such store
}

func readFarm(ctx context.Context, g *jobqueue.Group) (f farm, err error) {
	if g.Control == nil {
		return farm{unknown: true}, nil
	}
	if f.runners, err = runner.Runners(ctx, g); err != nil {
		return f, err
	}
	if f.pauses, err = g.Pauses(ctx); err != nil {
		return f, err
	}
	f.idle, f.worked, err = runner.Progress(ctx, g)
	return f, err
}

// covered reports whether a live runner runs jobs of a queue.
func (f *farm) covered(n jobqueue.Name) bool {
	for i := range f.runners {
		if f.runners[i].Covers(n) {
			return true
		}
	}
	return false
}

func (f *farm) paused(n jobqueue.Name) bool {
	for _, p := range f.pauses {
		if p.Covers(n) {
			return true
		}
	}
	return false
}

// queues are the ready queues of a store, summed up.
type queues struct {
	types   map[*kind]*summary
	domains map[*domain]*summary
	oldest  time.Duration // of those that are not paused
	paused  int
}

// A summary is of ready queues.
type summary struct {
	queues    int
	oldest    time.Duration
	uncovered int
}

// of returns the summary of a type or domain, made when it is missing.
func of[K comparable](m map[K]*summary, k K) *summary {
	s := m[k]
	if s == nil {
		s = &summary{}
		m[k] = s
	}
	return s
}

func (m *Metrics) readQueues(ctx context.Context, s *sight, b jobqueue.Backend) (queues, error) {
	q := queues{types: map[*kind]*summary{}, domains: map[*domain]*summary{}}
	seen := s.farm.Last()
	for ready, err := range b.Ready(ctx) {
		if err != nil {
			return q, err
		}
		if seen.Value.paused(ready.Name) {
			q.paused++
			continue
		}
		q.oldest = max(q.oldest, ready.Age)
		of(q.domains, m.domains.get(ready.Domain)).add(ready.Age)
		t := of(q.types, m.types.get(ready.Type))
		t.add(ready.Age)
		if !seen.At.IsZero() && !seen.Value.unknown && !seen.Value.covered(ready.Name) {
			t.uncovered++
		}
	}
	return q, nil
}

func (s *summary) add(age time.Duration) {
	s.queues++
	s.oldest = max(s.oldest, age)
}

// counts are those of each type, and of each domain.
type counts struct {
	types   map[*kind]*jobqueue.Counts
	domains map[*domain]*jobqueue.Counts
}

func (m *Metrics) count(ctx context.Context, b jobqueue.Backend) (counts, error) {
	all, err := b.Counts(ctx)
	sums := counts{map[*kind]*jobqueue.Counts{}, map[*domain]*jobqueue.Counts{}}
	for _, c := range all {
		count(sums.types, m.types.get(c.Type), c)
		count(sums.domains, m.domains.get(c.Domain), c)
	}
	return sums, err
}

// count adds to the counts of a type or domain.
func count[K comparable](sums map[K]*jobqueue.Counts, k K, c jobqueue.Counts) {
	if sums[k] == nil {
		sums[k] = &jobqueue.Counts{}
	}
	s := sums[k]
	s.Ready, s.Delayed, s.Claimed, s.Abandoned = s.Ready+c.Ready, s.Delayed+c.Delayed, s.Claimed+c.Claimed, s.Abandoned+c.Abandoned
}

// Ready returns nil if every store of the group that is watched can be reached and has no ready job that
// waits for longer than maxAge, unless it is paused; 0 allows any age. It waits a second at most; of
// what takes longer it says so.
func (m *Metrics) Ready(ctx context.Context, maxAge time.Duration) error {
	if m.health.stopping.Load() {
		return errors.New("the process is stopping")
	}
	s := m.sight.Load()
	if s == nil {
		return errors.New("no store is watched yet")
	}
	s.look(ctx)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	if err := s.farm.Last().Err; err != nil {
		add(fmt.Errorf("the store of runners and pauses: %w", err))
	}
	for _, st := range s.stores {
		seen := st.queues.Last()
		switch {
		case seen.Away() != nil:
			add(fmt.Errorf("store %s: %w", st.Name, seen.Away()))
		case seen.At.IsZero():
			add(fmt.Errorf("store %s has not answered yet", st.Name))
		case maxAge > 0 && seen.Value.oldest > maxAge:
			add(fmt.Errorf("store %s: the oldest ready job has waited for %v, more than %v", st.Name, seen.Value.oldest.Round(time.Second), maxAge))
		}
	}
	return errors.Join(errs...)
}
