package cli

import (
	"context"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/internal/latest"
)

// A watched is an open farm, and what is known of it. No store holds up another one.
type watched struct {
	ctx      context.Context // of what is read for more than one request
	s        *session
	file     string // when it was read
	crew     *latest.Value[crew]
	check    *latest.Value[*check]
	overruns *latest.Value[[]string]
	stores   []*watchedStore
}

type watchedStore struct {
	config.Store
	ready  *latest.Value[[]jobqueue.Backlog]
	counts *latest.Value[[]jobqueue.Counts]
}

// watch watches a farm whose stores have so long to answer.
func watch(ctx context.Context, s *session, file string, patience time.Duration) *watched {
	w := &watched{ctx: ctx, s: s, file: file}
	w.crew = &latest.Value[crew]{Read: s.crew, Every: agentEvery, Patience: patience}
	w.overruns = &latest.Value[[]string]{Read: s.overruns, Every: agentEvery, Patience: patience}
	// The check waits for the others.
	w.check = &latest.Value[*check]{Read: w.judge, Every: agentEvery, Patience: 2 * patience}
	for _, st := range s.Stores {
		w.stores = append(w.stores, &watchedStore{
			Store: st,
			ready: &latest.Value[[]jobqueue.Backlog]{Every: agentEvery, Patience: patience, Read: func(ctx context.Context) ([]jobqueue.Backlog, error) {
				return readReady(ctx, st.Backend, 0)
			}},
			counts: &latest.Value[[]jobqueue.Counts]{Every: agentEvery, Patience: patience, Read: func(ctx context.Context) ([]jobqueue.Counts, error) {
				return st.Backend.Counts(ctx)
			}},
		})
	}
	return w
}

// readReady reads which queues have work, so many at most; 0 for any number.
func readReady(ctx context.Context, b jobqueue.Backend, most int) (all []jobqueue.Backlog, err error) {
	for q, err := range b.Ready(ctx) {
		if err != nil {
			return all, err
		}
		if all = append(all, q); len(all) == most {
			break
		}
	}
	return all, nil
}

// look begins to read how many jobs and runners there are.
func (w *watched) look() []<-chan struct{} {
	all := []<-chan struct{}{w.crew.Look(w.ctx)}
	for _, st := range w.stores {
		all = append(all, st.counts.Look(w.ctx))
	}
	return all
}

// judge does what jobctl check does without flags.
func (w *watched) judge(ctx context.Context) (*check, error) {
	k := newCheck()
	k.judge(ctx, w)
	return k, nil
}

// control returns the name of the store that has the control values, as far as it is one of the farm's.
func (w *watched) control() string {
	i := slices.IndexFunc(w.stores, func(st *watchedStore) bool { return st.Backend == w.s.Routes.Default })
	if i < 0 {
		return ""
	}
	return w.stores[i].Name
}
