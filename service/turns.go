package service

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

const (
	turnPrefix = "service/"       // of the keys in a Control
	turnTime   = 5 * time.Second  // between two words that a process goes on
	turnLasts  = 15 * time.Second // after the last of them
	turnEnd    = time.Second      // for giving a turn back
)

// A turn is what says that a service runs in this process and in no other of the farm.
type turn struct {
	name    string
	held    bool
	version int64
	until   time.Time
}

// turns are those of the services that run in one process of the farm.
type turns struct {
	s       *Set
	control jobqueue.Control
	id      []byte
	list    []*turn
	failing bool
}

func newTurns(s *Set) (*turns, error) {
	t := &turns{s: s, control: s.o.Control}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	t.id = []byte(id.String())
	for _, v := range s.services {
		if !v.EachProcess {
			t.list = append(t.list, &turn{name: v.Name})
		}
	}
	return t, nil
}

// keep takes and keeps turns until ctx ends.
func (t *turns) keep(ctx context.Context) {
	tick := time.NewTicker(turnTime)
	defer tick.Stop()
	for {
		// A store that does not answer is not waited for once for each of them.
		round, cancel := context.WithTimeout(ctx, turnTime)
		var err error
		for _, one := range t.list {
			if e := t.take(round, one); e != nil {
				err = e
			}
		}
		cancel()
		if err != nil && !t.failing && ctx.Err() == nil {
			t.s.o.Logger.Warn("cannot tell which process of the farm runs the services", "error", printable(err.Error()))
		}
		t.failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// take takes a turn that is free, or says that it goes on. It ends a turn that it cannot be sure of early enough for
// the services to end before others begin.
func (t *turns) take(ctx context.Context, one *turn) error {
	asked := time.Now()
	v := jobqueue.Value{Key: turnPrefix + one.name, Data: t.id, TTL: turnLasts, Version: one.version}
	now, ok, err := t.control.SetValue(ctx, v)
	switch {
	case err != nil:
		if one.held && time.Until(one.until) <= turnTime {
			t.hold(one, false)
		}
		return err
	case ok || bytes.Equal(now.Data, t.id): // An answer may have been lost.
		one.version = now.Version
		if ok {
			one.until = asked.Add(turnLasts)
		}
		t.hold(one, true)
	default:
		one.version = 0
		t.hold(one, false)
	}
	return nil
}

func (t *turns) hold(one *turn, held bool) {
	if one.held == held {
		return
	}
	one.held = held
	t.s.mu.Lock()
	t.s.held[one.name] = held
	t.s.turned = true
	t.s.mu.Unlock()
	t.s.wake()
}

// giveBack lets other processes have the turns at once. It is for the end, when nothing runs any more.
func (t *turns) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), turnEnd)
	defer cancel()
	for _, one := range t.list {
		if one.held {
			// If that fails, it runs out.
			_, _, _ = t.control.SetValue(ctx, jobqueue.Value{Key: turnPrefix + one.name, Version: one.version})
		}
	}
}
