//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/queuetest"
)

// A troupe is workers that share the memory backend in this process. They can be slow, and answers get lost.
type troupe struct {
	dir    string
	memory *queuememory.Backend
	actors map[string]*actor
}

// An actor is a worker that is no process of its own.
type actor struct {
	*recorder
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once it has ended
}

// lose returns the memory backend, of whose calls some are not made and some answers get lost.
func lose(b *queuememory.Backend, seed uint64) store {
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 3))
	return queuetest.Faulty(b, func(string) error {
		mu.Lock()
		defer mu.Unlock()
		switch rnd.IntN(40) {
		case 0:
			return queuetest.After(fmt.Errorf("%w: no answer", jobqueue.ErrUnavailable))
		case 1:
			return fmt.Errorf("%w: not reached", jobqueue.ErrUnavailable)
		}
		return nil
	}).(store)
}

func newTroupe(t *testing.T, seed uint64) *troupe {
	t.Helper()
	tr := &troupe{dir: logDir(t), memory: queuememory.New(), actors: map[string]*actor{}}
	for i, name := range workerNames {
		log, err := newJournal(tr.dir, name)
		if err != nil {
			t.Fatal(err)
		}
		a := &actor{recorder: &recorder{store: lose(tr.memory, seed+uint64(i)), log: log}, ended: make(chan struct{})}
		var ctx context.Context
		ctx, a.cancel = context.WithCancel(context.Background())
		w := worker{Name: name, Runner: slices.Contains(runnerNames, name), Seed: seed + uint64(i), Pause: pause}
		go func() {
			defer close(a.ended)
			a.err = w.do(ctx, a.recorder)
		}()
		t.Cleanup(func() {
			a.cancel()
			<-a.ended
		})
		tr.actors[name] = a
	}
	return tr
}

func (tr *troupe) cast() cast             { return cast{Workers: workerNames} }
func (tr *troupe) look() jobqueue.Backend { return tr.memory }
func (tr *troupe) logs() string           { return tr.dir }

func (tr *troupe) play(_ context.Context, t trouble, over <-chan struct{}) error {
	if t.Kind == stepTime {
		tr.memory.Shift(t.Step)
		return nil
	}
	a := tr.actors[t.Target]
	a.gate.Lock()
	defer a.gate.Unlock()
	<-over
	return nil
}

func (tr *troupe) rest(ctx context.Context) error { return tr.stop(ctx, producerNames) }
func (tr *troupe) end(ctx context.Context) error  { return tr.stop(ctx, runnerNames) }

func (tr *troupe) stop(ctx context.Context, names []string) error {
	var first error
	for _, name := range names {
		a := tr.actors[name]
		a.cancel()
		select {
		case <-a.ended:
			first = errors.Join(first, a.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not end: %w", name, context.Cause(ctx))
		}
	}
	return first
}
