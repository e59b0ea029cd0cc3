package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/snmp"
)

const (
	agentEvery    = 5 * time.Second  // between two looks at a store
	agentWait     = time.Second      // how long a request waits for them, and how long a table serves
	agentPatience = 30 * time.Second // for a look
)

// An agent answers for a farm, which it opens when it can.
type agent struct {
	ctx   context.Context
	env   *env
	base  snmp.OID
	first *session // nothing is open in it; it has the log

	farm  latest[*watched]
	table *snmp.Table
	until time.Time // the table serves
}

func newAgent(ctx context.Context, e *env, base snmp.OID, first *session) *agent {
	a := &agent{ctx: ctx, env: e, base: base, first: first}
	a.farm = latest[*watched]{read: a.open, every: agentEvery, patience: agentPatience}
	return a
}

// look returns what there is to tell now.
func (a *agent) look() *snmp.Table {
	begun := time.Now()
	if begun.Before(a.until) {
		return a.table
	}
	within(a.ctx, agentWait, a.farm.look(a.ctx))
	known := a.farm.last()
	v := &view{status: unknown, text: "the stores are being opened", paused: -1}
	if w := known.value; w != nil {
		within(a.ctx, agentWait-time.Since(begun), w.look()...)
		v = w.view()
	}
	if known.err != nil {
		v.status, v.text = unknown, escape(inline(known.err))
	}
	a.table, a.until = snmp.NewTable(v.values(a.base)...), time.Now().Add(agentWait)
	return a.table
}

// open opens the farm, or returns the one that is open if its file has not changed or cannot be used.
func (a *agent) open(ctx context.Context) (*watched, error) {
	was, file := a.farm.last().value, a.env.fileStamp()
	if was != nil && was.file == file {
		return was, nil
	}
	beside := a.first
	if was != nil {
		beside = was.s
	}
	s, err := a.env.openBeside(ctx, beside, false)
	if err != nil {
		return was, err
	}
	if was != nil {
		was.s.Close()
	}
	return watch(a.ctx, s, file), nil
}

// fileStamp returns what changes when the farm file does.
func (e *env) fileStamp() string {
	info, err := os.Stat(e.config)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

func (a *agent) close() error {
	if w := a.farm.last().value; w != nil {
		return w.s.Close()
	}
	return nil
}

// A watched is an open farm, and what is known of it.
type watched struct {
	ctx    context.Context // of what is read for more than one request
	s      *session
	file   string // when it was read
	crew   latest[crew]
	check  latest[*check]
	stores []*watchedStore
}

type watchedStore struct {
	config.Store
	counts latest[[]jobqueue.Counts]
}

func watch(ctx context.Context, s *session, file string) *watched {
	w := &watched{ctx: ctx, s: s, file: file}
	w.crew = latest[crew]{read: s.crew, every: agentEvery, patience: agentPatience}
	// The check waits for the counts.
	w.check = latest[*check]{read: w.judge, every: agentEvery, patience: 2 * agentPatience}
	for _, st := range s.Stores {
		ws := &watchedStore{Store: st}
		ws.counts = latest[[]jobqueue.Counts]{every: agentEvery, patience: agentPatience, read: func(ctx context.Context) ([]jobqueue.Counts, error) {
			return st.Backend.Counts(ctx)
		}}
		w.stores = append(w.stores, ws)
	}
	return w
}

func (w *watched) look() []<-chan struct{} {
	var all []<-chan struct{}
	for _, st := range w.stores {
		all = append(all, st.counts.look(w.ctx))
	}
	return append(all, w.crew.look(w.ctx), w.check.look(w.ctx))
}

// judge does what jobctl check does without flags, with the counts that were read anyway.
func (w *watched) judge(ctx context.Context) (*check, error) {
	k := newCheck()
	k.count = func(ctx context.Context, st config.Store) ([]jobqueue.Counts, error) {
		for _, ws := range w.stores {
			if ws.Name != st.Name {
				continue
			}
			select {
			case <-ws.counts.look(w.ctx):
			case <-ctx.Done():
			}
			known := ws.counts.last()
			if known.at.IsZero() {
				return nil, context.Cause(ctx)
			}
			return known.value, known.err
		}
		return nil, errors.New("store " + st.Name + " is not one of the farm's")
	}
	if err := k.run(ctx, w.s); err != nil {
		k.unasked(err)
	}
	return k, nil
}
