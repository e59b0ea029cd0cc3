package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/wikifarm/jobqueue/internal/latest"
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

	farm  *latest.Value[*watched]
	table *snmp.Table
	until time.Time // the table serves
}

func newAgent(ctx context.Context, e *env, base snmp.OID, first *session) *agent {
	a := &agent{ctx: ctx, env: e, base: base, first: first}
	a.farm = &latest.Value[*watched]{Read: a.open, Every: agentEvery, Patience: agentPatience}
	return a
}

// look returns what there is to tell now.
func (a *agent) look() *snmp.Table {
	begun := time.Now()
	if begun.Before(a.until) {
		return a.table
	}
	latest.Wait(a.ctx, agentWait, a.farm.Look(a.ctx))
	known := a.farm.Last()
	v := &view{status: unknown, text: "the stores are being opened", paused: -1, away: -1}
	if w := known.Value; w != nil {
		latest.Wait(a.ctx, agentWait-time.Since(begun), append(w.look(), w.check.Look(a.ctx))...)
		v = w.view()
	}
	if known.Err != nil {
		v.status, v.text = unknown, escape(inline(known.Err))
	}
	a.table, a.until = snmp.NewTable(v.values(a.base)...), time.Now().Add(agentWait)
	return a.table
}

// open opens the farm, or returns the one that is open if its file has not changed or cannot be used.
func (a *agent) open(ctx context.Context) (*watched, error) {
	was, file := a.farm.Last().Value, a.env.fileStamp()
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
	return watch(a.ctx, s, file, agentPatience), nil
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
	if w := a.farm.Last().Value; w != nil {
		return w.s.Close()
	}
	return nil
}
