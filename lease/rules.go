package lease

import "time"

// Rules are how often a domain's work may begin, and when a holder counts as dead.
type Rules struct {
	Interval time.Duration // between two beginnings, at least. Default 1 min
	TTL      time.Duration // how long after its last beat a holder counts as alive. Default 30 s
	Keep     int           // how many runs are kept in the history of a domain, if they fit into 64 KiB. Default 20
}

// WithDefaults returns u with its zero fields set, and the TTL 1 ms at least.
func (u Rules) WithDefaults() Rules {
	if u.Interval <= 0 {
		u.Interval = time.Minute
	}
	if u.TTL <= 0 {
		u.TTL = 30 * time.Second
	}
	u.TTL = max(u.TTL, time.Millisecond)
	if u.Keep <= 0 {
		u.Keep = 20
	}
	return u
}

// A Place is what somebody who asked for a lease has got.
type Place int

const (
	Refused Place = iota // both places are taken, or it did not want to wait
	OnDeck               // it is the one that asks again when Wait is over
	Current              // it holds the lease
)

// Alive reports whether the current holder may still be at work.
func (r Record) Alive(u Rules) bool { return !r.Over && r.Current.ID != "" && r.Beat+u.TTL >= 0 }

// Wait is how long it is until a lease may be taken: at once if 0. A holder that is
// at work for longer than the interval is looked at once a second.
func (r Record) Wait(u Rules) time.Duration {
	switch {
	case r.NotBefore > 0:
		return r.NotBefore
	case r.Alive(u):
		return time.Second
	}
	return 0
}

// Behind is how long who is neither at work nor on deck leaves the lease alone: until somebody must have begun or is late. A
// run that takes long may end any time.
func (r Record) Behind(u Rules) time.Duration {
	look := u.Interval / 2
	if r.NotBefore > 0 {
		look = r.NotBefore + time.Second
	}
	return min(look, max(r.NextExpires, 0)+time.Millisecond)
}

// An ask is what somebody asks for who wants a lease.
type ask struct{ current, onDeck bool }

// take is the only way to a lease: a pure function of the record as it is now. It returns
// the record that is to be written, which is the same if nothing is. A new holder gets the token.
func take(r Record, u Rules, p Party, a ask, token int64) (Record, Place) {
	waited := p.Waited
	p.Waited = 0
	switch mine := r.Next.ID == p.ID; {
	case r.Current.ID == p.ID && !r.Over:
		r.again(u) // the answer to an earlier call was lost
		return r, Current
	case r.Wait(u) == 0 && !a.current:
		return r, Refused
	case r.Wait(u) == 0:
		now := Record{Token: token, Current: p, NotBefore: u.Interval}
		now.begin(r, waited, u.Keep)
		return now, Current
	case !a.onDeck:
		return r, Refused
	case r.Next.ID != "" && r.NextExpires >= 0 && !mine:
		return r, Refused
	case mine && r.NextExpires > max(r.NotBefore, 0)+u.TTL/2:
		return r, OnDeck
	}
	r.Next, r.NextExpires = p, max(r.NotBefore, 0)+u.TTL
	return r, OnDeck
}

// beat says that the holder of a token lives.
func beat(r Record, token int64) (Record, error) {
	if r.Token != token || r.Over || r.Current.ID == "" {
		return r, ErrStale
	}
	r.Beat = 0
	return r, nil
}

// end says how the run of a token's holder ended. It keeps the rate limit. Of who has been taken over it
// notes for how long it went on nevertheless.
func end(r Record, token int64, outcome string, took time.Duration) (Record, error) {
	stale := r.Token != token || r.Over || r.Current.ID == ""
	if most := -r.Started; !stale {
		r.finish(token, took, most, outcome)
		r.Over, r.Ended, r.Outcome = true, 0, outcome
		return r, nil
	}
	r.finish(token, took, century, outcome)
	return r, ErrStale
}

// reset makes both places free.
func reset(r Record, token int64) Record {
	now := Record{Token: token, Started: r.Started, Reset: true, Past: r.Past}
	if last := now.latest(); last != nil && last.Took < 0 && last.Outcome == "" {
		last.Outcome = WasReset
	}
	return now
}

// leave gives up the place on deck.
func leave(r Record, p Party) Record {
	if r.Next.ID == p.ID {
		r.Next, r.NextExpires = Party{}, 0
	}
	return r
}
