package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// claim claims jobs of queues that are ready, and returns how many it asked for and kept.
func (f *fetcher) claim(ctx context.Context, room room) (asked, kept int) {
	type source struct {
		*store
		ttl time.Duration
	}
	var order []source
	pops := map[source]*pop{}
	places, refused := f.r.caps.admit(f.r.calls, f.deal(room))
	for _, p := range refused {
		f.dealer.Refund(p)
	}
	for asked < len(places) {
		t := f.types[places[asked].Type]
		src := source{t.store, t.policy.Lease}
		if pops[src] == nil {
			order = append(order, src)
			pops[src] = &pop{lines: map[jobqueue.Name]*line{}}
		}
		asked += pops[src].add(places[asked:])
	}
	for _, src := range order {
		if ctx.Err() != nil || f.solo != nil || src.again != nil { // it failed just now
			f.refund(pops[src])
			continue
		}
		kept += f.pop(ctx, src.store, src.ttl, pops[src])
	}
	return asked, kept
}

// A pop is one claim to be made, for places that were dealt.
type pop struct {
	lease jobqueue.Lease
	wants []jobqueue.Want
	lines map[jobqueue.Name]*line
	at    time.Time // when it was first tried
}

// A line is the places of a queue that are not taken yet.
type line struct{ places []schedule.Place }

// add adds the first of some places and those behind it that are of the same queue, and returns how many.
func (p *pop) add(places []schedule.Place) int {
	n := places[0].Name
	many := slices.IndexFunc(places, func(other schedule.Place) bool { return other.Name != n })
	if many < 0 {
		many = len(places)
	}
	if l := p.lines[n]; l != nil {
		l.places = append(l.places, places[:many]...)
	} else {
		p.lines[n] = &line{places[:many:many]}
		p.wants = append(p.wants, jobqueue.Want{Name: n})
	}
	return many
}

// take returns the next place of a line, and whether there was one.
func (l *line) take() (place schedule.Place, ok bool) {
	if l == nil || len(l.places) == 0 {
		return schedule.Place{}, false
	}
	place, l.places = l.places[0], l.places[1:]
	return place, true
}

// pop makes one claim and hands its jobs on, and returns how many it kept.
func (f *fetcher) pop(ctx context.Context, s *store, ttl time.Duration, p *pop) int {
	token, err := uuid.NewRandom()
	if err != nil {
		s.heard(fmt.Errorf("token: %w", err))
		f.refund(p)
		return 0
	}
	for i, w := range p.wants {
		if l := p.lines[w.Name]; l != nil {
			p.wants[i].Max = max(w.Max, len(l.places))
		}
	}
	p.lease, p.at = jobqueue.Lease{Token: token, TTL: ttl, Owner: f.r.o.Owner}, time.Now()
	return f.try(ctx, s, p)
}

func (f *fetcher) try(ctx context.Context, s *store, p *pop) int {
	call, cancel := s.call()
	defer cancel()
	popped, asked := s.popped, time.Now()
	claims, err := s.group.Pop(call, p.lease, p.wants...)
	if err == nil {
		observe(&f.answer, int64(time.Since(asked)))
	}
	if err != nil && len(claims) == 0 && call.Err() != nil && s.popped > popped {
		// The store answers; only, what it had so far was superseded, and there is more.
		s.heard(nil)
		f.refund(p)
		return 1
	}
	s.heard(err)
	if err != nil && len(claims) == 0 && !final(err) {
		s.again = p
		f.forget(s, p.wants, claims)
		return 0
	}
	f.forget(s, p.wants, claims)
	jobs := f.inHand(s, p, claims)
	f.refund(p)
	if len(jobs) == 0 {
		return 0
	}
	return f.accept(ctx, jobs)
}

// repeat repeats the claims whose answer was lost, as they may have taken effect.
func (f *fetcher) repeat(ctx context.Context) (kept int) {
	for _, s := range f.r.stores {
		if f.solo != nil && ctx.Err() == nil {
			break
		}
		if p := s.again; p != nil && !time.Now().Before(s.retryAt) {
			s.again = nil
			kept += f.try(ctx, s, p)
		}
	}
	return kept
}

// forget notes that the queues which had less than was wanted are not ready any more.
func (f *fetcher) forget(s *store, wants []jobqueue.Want, claims []*jobqueue.Claim) {
	got := make(map[jobqueue.Name]int, len(wants))
	for i := 0; i < len(claims); {
		from, n := i, claims[i].Name
		for i++; i < len(claims) && claims[i].Name == n; i++ {
		}
		got[n] += i - from
	}
	var empty []jobqueue.Name
	for _, w := range wants {
		if got[w.Name] == 0 {
			empty = append(empty, w.Name)
		}
		if got[w.Name] < w.Max {
			f.dealer.Remove(w.Name)
		}
	}
	if s.err == nil {
		f.clear(empty)
	}
}

// inHand makes jobs of claims, and has their leases extended.
func (f *fetcher) inHand(s *store, p *pop, claims []*jobqueue.Claim) []*job {
	ttl, now := p.lease.TTL, p.at
	s.inHand.Add(int64(len(claims)))
	f.r.claimed += int64(len(claims))
	b := f.r.beater(s, ttl)
	jobs := make([]*job, 0, len(claims))
	for len(claims) > 0 {
		// A Pop that had to settle all it got went on under a token of its own.
		n := slices.IndexFunc(claims, func(c *jobqueue.Claim) bool { return c.Token != claims[0].Token })
		if n < 0 {
			n = len(claims)
		}
		h := &hand{beater: b, token: claims[0].Token, jobs: make([]job, n)}
		h.held.Store(int64(n))
		at := earliest(claims[:n]).Add(-ttl)
		h.confirmed.Store(&at)
		typ := f.jobType(s, claims[0].Type)
		bytes, since := 0, 0
		name, line := claims[0].Name, p.lines[claims[0].Name]
		for i, c := range claims[:n] {
			if c.Name != name {
				name, line = c.Name, p.lines[c.Name]
			}
			if typ.name != c.Type {
				observe(&typ.size, int64(bytes/(i-since)))
				typ, bytes, since = f.jobType(s, c.Type), 0, i
			}
			bytes += len(c.Params)
			j := &h.jobs[i]
			place, ok := line.take()
			j.claim, j.hand, j.typ, j.place = c, h, typ, place
			j.charged.Store(int64(place.Cost))
			j.last = ok && len(line.places) == 0
			if !ok || c.Suspect() { // a worker is free for a suspect
				j.place = f.dealer.Extra(now, c.Name)
			}
			jobs = append(jobs, j)
		}
		observe(&typ.size, int64(bytes/(n-since)))
		b.add(h)
		claims = claims[n:]
	}
	return jobs
}

// earliest returns when the first of some claims ends. Those of a pop that was repeated may end at different times.
func earliest(claims []*jobqueue.Claim) time.Time {
	first := claims[0].Expires
	for _, c := range claims[1:] {
		if c.Expires.Before(first) {
			first = c.Expires
		}
	}
	return first
}

// refund takes back what was charged for places that have no job.
func (f *fetcher) refund(p *pop) {
	for _, l := range p.lines {
		for _, place := range l.places {
			f.dealer.Refund(place)
		}
		l.places = nil
	}
}
