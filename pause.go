package jobqueue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	pausePrefix = "pause/"               // of the keys of pauses in a Control
	pauseAge    = 500 * time.Millisecond // how old what a group knows of pauses may be
)

// A Pause holds back a type, a domain, one type on one domain or, without
// both, everything.
type Pause struct {
	Domain, Type string    // "" means all
	Reason       string    // for people to read
	By           string    // who paused
	At           time.Time // since when
}

// Covers reports whether p holds back a queue.
func (p Pause) Covers(n Name) bool {
	return (p.Domain == "" || p.Domain == n.Domain) && (p.Type == "" || p.Type == n.Type)
}

// Pause holds back queues, for all groups with the same [Routes.Control]: within a second
// none of them pops jobs of these any more, or finds them ready. Jobs that are
// claimed already go on; pushing, counting, listing, deleting and requeueing
// are not affected. It lasts until [Group.Resume]. Pausing again
// replaces reason, By and At, whose zero means now.
//
// The error is an [errors.ErrUnsupported] if no backend can keep a pause.
func (g *Group) Pause(ctx context.Context, p Pause) error {
	if p.At.IsZero() {
		p.At = time.Now()
	}
	p.At = p.At.UTC().Truncate(time.Millisecond)
	p.Reason, p.By = storable(p.Reason), storable(p.By)
	key, err := g.pauseKey(p.Domain, p.Type)
	if err != nil {
		return &Error{Op: "pause", Err: err}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return &Error{Op: "pause", Err: err}
	}
	if _, _, err := g.Control.SetValue(ctx, Value{Key: key, Data: data, Version: AnyVersion}); err != nil {
		return &Error{Op: "pause", Err: err}
	}
	g.pauses.known.Store(nil)
	return nil
}

// Resume ends the pause of exactly this domain and type, "" being all, and reports whether
// there was one. Queues that another pause covers stay paused.
func (g *Group) Resume(ctx context.Context, domain, typ string) (bool, error) {
	key, err := g.pauseKey(domain, typ)
	if err != nil {
		return false, &Error{Op: "resume", Err: err}
	}
	for {
		values, err := g.Control.Values(ctx, key)
		if err != nil {
			return false, &Error{Op: "resume", Err: err}
		}
		// Other keys may begin like this one, and are behind it.
		if len(values) == 0 || values[0].Key != key {
			return false, nil
		}
		_, ok, err := g.Control.SetValue(ctx, Value{Key: key, Version: values[0].Version})
		if err != nil {
			return false, &Error{Op: "resume", Err: err}
		}
		if ok {
			g.pauses.known.Store(nil)
			return true, nil
		}
	}
}

func (g *Group) pauseKey(domain, typ string) (string, error) {
	if g.Control == nil {
		return "", fmt.Errorf("%w: the default backend keeps no control values, so nothing can be paused", errors.ErrUnsupported)
	}
	if domain != "" {
		if err := checkPart("domain", domain); err != nil {
			return "", err
		}
	}
	if typ != "" {
		if err := checkPart("type", typ); err != nil {
			return "", err
		}
	}
	return pausePrefix + strconv.Itoa(len(domain)) + "/" + domain + "/" + typ, nil
}

// Pauses returns every pause, sorted by domain and type. Without a [Control] there is none.
func (g *Group) Pauses(ctx context.Context) ([]Pause, error) {
	if g.Control == nil {
		return nil, nil
	}
	list, err := g.readPauses(ctx)
	if err != nil {
		return nil, &Error{Op: "read pauses", Err: err}
	}
	slices.SortFunc(list, func(a, b Pause) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Type, b.Type))
	})
	return list, nil
}

func (g *Group) readPauses(ctx context.Context) ([]Pause, error) {
	values, err := g.Control.Values(ctx, pausePrefix)
	if err != nil {
		return nil, fmt.Errorf("read what is paused: %w", err)
	}
	list := make([]Pause, len(values))
	for i, v := range values {
		if err := json.Unmarshal(v.Data, &list[i]); err != nil {
			return nil, fmt.Errorf("%w: read what is paused: %q: %w", ErrInvalid, v.Key, err)
		}
	}
	return list, nil
}

// pauses are what a group knows of pauses.
type pauses struct {
	known atomic.Pointer[paused]
	turn  chan struct{} // held by the call that reads them
}

// A paused is what was paused at some time.
type paused struct {
	at  time.Time
	set map[Name]struct{} // parts may be ""
}

func (p *paused) covers(n Name) bool {
	for _, n := range [...]Name{n, {Domain: n.Domain}, {Type: n.Type}, {}} {
		if _, ok := p.set[n]; ok {
			return true
		}
	}
	return false
}

// paused returns what is paused, nil for nothing. A call that finds what is
// known too old reads it again; an error is better than a pause that is overlooked.
func (g *Group) paused(ctx context.Context) (*paused, error) {
	if g.Control == nil {
		return nil, nil
	}
	p := g.pauses.fresh()
	if p == nil {
		select {
		case g.pauses.turn <- struct{}{}:
			defer func() { <-g.pauses.turn }()
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: read what is paused: %w", ErrUnavailable, context.Cause(ctx))
		}
		if p = g.pauses.fresh(); p == nil {
			at := time.Now()
			list, err := g.readPauses(ctx)
			if err != nil {
				return nil, err
			}
			p = &paused{at, make(map[Name]struct{}, len(list))}
			for _, l := range list {
				p.set[Name{l.Domain, l.Type}] = struct{}{}
			}
			g.pauses.known.Store(p)
		}
	}
	if len(p.set) == 0 {
		return nil, nil
	}
	return p, nil
}

// fresh returns what is known unless it is too old.
func (p *pauses) fresh() *paused {
	if known := p.known.Load(); known != nil && time.Since(known.at) < pauseAge {
		return known
	}
	return nil
}
