package cli

import (
	"context"
	"log/slog"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/snmp"
)

// over returns a session over some stores.
func over(stores []config.Store) *session {
	q := &config.Queues{Stores: stores, Group: jobqueue.NewGroup("default", jobqueue.Routes{Default: stores[0].Backend})}
	return &session{Queues: q, farm: config.SQLite("jobs.db"), reg: &jobqueue.Registry{}, log: slog.New(slog.DiscardHandler), level: &slog.LevelVar{}}
}

// NewTop returns the model of top over some stores.
func NewTop(ctx context.Context, stores ...config.Store) tea.Model {
	return &top{ctx: ctx, feed: newFeed(over(stores), time.Second), every: time.Second, screen: screen{below: true}}
}

// Tick tells top that a time has come.
func Tick(t time.Time) tea.Msg { return tick(t) }

// NewAgent returns what answers for some stores.
func NewAgent(ctx context.Context, base snmp.OID, stores ...config.Store) func() *snmp.Table {
	a := newAgent(ctx, &env{}, base, nil)
	a.farm.Set(watch(ctx, over(stores), "", agentPatience))
	return a.look
}

// Check returns what check says of some stores, which have so long to answer.
func Check(ctx context.Context, patience time.Duration, stores ...config.Store) string {
	k := newCheck()
	k.judge(ctx, watch(ctx, over(stores), "", patience))
	_, line := k.verdict()
	return line
}
