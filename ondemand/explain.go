package ondemand

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
)

// A State says how it stands with a domain, and why.
type State struct {
	Domain  string `json:"domain"`
	Status  string `json:"status"` // one of the constants
	Why     string `json:"why"`    // for people
	LastRun string `json:"lastRun"`
	Outcome string `json:"outcome,omitempty"` // of the last run that has ended

	Overdue time.Duration `json:"-"` // how long beyond the interval the run at work has gone on
}

// What State.Status may be.
const (
	StatusNever        = "never"         // it was not run within 30 days
	StatusIdle         = "idle"          // nobody waits for a run
	StatusRunning      = "running"       // a run is at work
	StatusHung         = "hung"          // a run is at work for longer than the interval
	StatusOnDeck       = "on deck"       // somebody waits for its turn
	StatusCrashed      = "crashed"       // who was at work, or on deck, gives no sign of life
	StatusWaiting      = "waiting"       // in this process, for others to end
	StatusDisabled     = "disabled"      // requests run nothing
	StatusReadOnly     = "read-only"     // nothing may be written now
	StatusLaunchFailed = "launch failed" // no process could be started; what is due runs in the server's
	StatusUnreachable  = "unreachable"   // the store of the lease
)

// Explain says how it stands with a domain, from a lease that was read at a time.
func Explain(domain string, now lease.Record, s Switch, u lease.Rules, at time.Time) State {
	u = u.WithDefaults()
	st := State{Domain: domain, LastRun: LastRun(now)}
	for _, p := range now.Past {
		if p.Outcome != "" {
			st.Outcome = p.Outcome
		}
	}
	clock := func(d time.Duration) string { return at.Add(max(d, 0)).Format(time.TimeOnly) }
	alive := now.Alive(u)
	if alive {
		st.Overdue = max(0, -now.NotBefore)
	}
	switch {
	case s.Disabled:
		st.Status, st.Why = StatusDisabled, "disabled: only who asks for a run by name gets one"
	case s.ReadOnly != "":
		st.Status, st.Why = StatusReadOnly, "read-only: "+s.ReadOnly
	case alive && now.NotBefore <= 0:
		st.Status = StatusHung
		st.Why = fmt.Sprintf("%s has been at work for %v, which is longer than %v", now.Current.Owner, (-now.Started).Round(time.Second), u.Interval)
	case alive:
		st.Status, st.Why = StatusRunning, fmt.Sprintf("%s has been at work for %v", now.Current.Owner, (-now.Started).Round(time.Second))
	case now.Current.ID != "" && !now.Over:
		st.Status = StatusCrashed
		st.Why = fmt.Sprintf("%s began %v ago and has given no sign of life for %v; the next request after %s is followed by a run",
			now.Current.Owner, (-now.Started).Round(time.Second), (-now.Beat).Round(time.Second), clock(now.NotBefore))
	case now.Next.ID != "" && now.NextExpires >= 0:
		st.Status, st.Why = StatusOnDeck, fmt.Sprintf("%s is on deck until %s", now.Next.Owner, clock(now.NotBefore))
	case now.Next.ID != "":
		st.Status, st.Why = StatusCrashed, now.Next.Owner+" was on deck and did not come; the next request is followed by a run"
	case now.NotBefore > 0:
		st.Status, st.Why = StatusIdle, "nobody has asked for another run, which may begin at "+clock(now.NotBefore)
	case len(now.Past) == 0:
		st.Status, st.Why = StatusNever, "nobody has asked for a run"
	default:
		st.Status, st.Why = StatusIdle, "nobody has asked for another run, which may begin at once"
	}
	return st
}

// LastRun says when the last run of a domain began: "never", "moments ago" within a minute, "12 minutes ago", "2.5 hours ago" or
// "3.0 days ago".
func LastRun(now lease.Record) string {
	ago := -now.Started
	switch {
	case len(now.Past) == 0 && now.Current.ID == "":
		return "never"
	case ago < time.Minute:
		return "moments ago"
	case ago < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(ago.Minutes()))
	case ago < 48*time.Hour:
		return fmt.Sprintf("%.1f hours ago", ago.Hours())
	}
	return fmt.Sprintf("%.1f days ago", ago.Hours()/24)
}

// Explain says how it stands with a domain, with what only this process knows of it. The error is a
// [jobqueue.ErrInvalid] for what cannot be a domain.
func (r *Runner) Explain(ctx context.Context, domain string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	now, err := r.o.Leases.Read(ctx, domain)
	if errors.Is(err, jobqueue.ErrInvalid) {
		return State{}, err
	}
	if err != nil {
		return State{Domain: domain, Status: StatusUnreachable, Why: err.Error(), LastRun: "unknown"}, nil
	}
	st := Explain(domain, now, r.o.Switch(domain), r.o.Leases.Rules, time.Now())
	if st.Status == StatusDisabled || st.Status == StatusReadOnly || st.Status == StatusRunning || st.Status == StatusHung {
		return st, nil
	}
	r.mu.Lock()
	w := r.wanted[domain]
	var why error
	if w != nil {
		why = w.why
	}
	r.mu.Unlock()
	switch failed := r.launchError(domain); {
	case failed != nil:
		st.Status, st.Why = StatusLaunchFailed, failed.Error()
	case why != nil:
		st.Status, st.Why = StatusWaiting, why.Error()
	case w != nil && st.Status != StatusOnDeck:
		st.Status, st.Why = StatusWaiting, "this process will look at it, or has other domains to run first"
	}
	return st, nil
}
