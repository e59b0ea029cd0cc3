package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Resume goes on with the last run of a domain, if that has ended and its interval is not over. It is not a new run: when it
// began, when the next may begin and who is on deck stay. The caller is its holder now, with a new token. It returns Refused when
// there is nothing to resume, because a holder is at work or has died, or because a lease is to be had by [Store.Take].
func (s *Store) Resume(ctx context.Context, domain string, p Party) (Grant, error) {
	if p.ID == "" || len(p.ID) > maxParty || len(p.Owner) > maxParty {
		return Grant{}, fmt.Errorf("%w: a party has an id, and no more than %d bytes of it and of its owner", jobqueue.ErrInvalid, maxParty)
	}
	u := s.Rules.WithDefaults()
	g := Grant{Asked: time.Now()}
	err := s.change(ctx, domain, func(r Record, version int64) (Record, error) {
		r, g.Place = resume(r, p, max(r.Token, version)+1)
		g.Token, g.Wait = r.Token, r.Wait(u)
		if g.Place == Current {
			g.Wait = 0
		}
		return r, nil
	})
	return g, err
}

func resume(r Record, p Party, token int64) (Record, Place) {
	switch {
	case r.Current.ID == p.ID && !r.Over:
		r.Beat = 0 // the answer to an earlier call was lost
		return r, Current
	case !r.Over || r.NotBefore <= 0:
		return r, Refused
	}
	p.Waited = 0
	r.Token, r.Current, r.Beat = token, p, 0
	if last := r.latest(); last != nil {
		last.Token, last.Before, last.Took, last.Outcome = token, -r.Started, -1, ""
	}
	r.Over, r.Ended, r.Outcome = false, 0, ""
	return r, Current
}
