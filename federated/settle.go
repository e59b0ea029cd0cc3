package federated

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/wikifarm/jobqueue"
)

// A settlement is the outcomes for one partition, with claims as it knows them.
type settlement struct {
	*partition
	claims   []jobqueue.Claim
	outcomes []jobqueue.Outcome
	places   []int // in the call
	lost     []*jobqueue.Claim
}

// settlements are used again, as they are as large as batches.
var settlements = sync.Pool{New: func() any { return new(settlement) }}

// Settle implements [jobqueue.Backend].
func (b *Backend) Settle(ctx context.Context, outcomes ...jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	for i := range outcomes {
		if err := outcomes[i].Check(); err != nil {
			return nil, err
		}
	}
	if p := b.home(outcomes); p != nil {
		return p.settle(ctx, outcomes)
	}
	var parts []*settlement
	var s *settlement
	for i := range outcomes {
		o := &outcomes[i]
		var p *partition
		id, ok := "", false
		if s != nil {
			p = s.partition
			id, ok = strings.CutPrefix(o.Claim.ID, p.prefix) // It is that of the one before, as a rule.
		}
		if !ok || id == "" {
			p, id, ok = b.local(o.Claim.ID)
		}
		if !ok {
			lost = append(lost, o.Claim)
			continue
		}
		if s == nil || s.partition != p {
			k := slices.IndexFunc(parts, func(s *settlement) bool { return s.partition == p })
			if k < 0 {
				k = len(parts)
				parts = append(parts, newSettlement(p, len(outcomes)))
			}
			s = parts[k]
		}
		s.add(i, o, id)
	}
	missing, err := scatter(parts, func(s *settlement) (err error) {
		s.hurry()
		s.lost, err = ask(ctx, s.partition, func(ctx context.Context, b jobqueue.Backend) ([]*jobqueue.Claim, error) {
			return b.Settle(ctx, s.outcomes...)
		})
		return err
	})
	for _, s := range parts {
		lost = s.own(lost, outcomes)
	}
	if part, ok := errors.AsType[*jobqueue.PartError](err); ok {
		for _, s := range missing {
			for _, i := range s.places {
				part.Claims = append(part.Claims, outcomes[i].Claim)
			}
		}
	}
	if err == nil { // Else somebody may still be at it.
		for _, s := range parts {
			s.free()
		}
	}
	return lost, err
}

// home returns the partition that all the outcomes are of, if it knows their IDs as they are; or nil.
func (b *Backend) home(outcomes []jobqueue.Outcome) *partition {
	if len(outcomes) == 0 {
		return nil
	}
	p, _, ok := b.local(outcomes[0].Claim.ID)
	if !ok || !p.up() || p.named == nil {
		return nil
	}
	for i := range outcomes {
		if !strings.HasPrefix(outcomes[i].Claim.ID, p.prefix) {
			return nil
		}
	}
	return p
}

// settle settles outcomes of the partition, which knows their IDs.
func (p *partition) settle(ctx context.Context, outcomes []jobqueue.Outcome) (lost []*jobqueue.Claim, err error) {
	_, err = scatter([]*partition{p}, func(*partition) error {
		lost, err = ask(ctx, p, func(ctx context.Context, _ jobqueue.Backend) ([]*jobqueue.Claim, error) {
			return p.named.Settle(ctx, outcomes...)
		})
		return err
	})
	if part, ok := errors.AsType[*jobqueue.PartError](err); ok {
		for i := range outcomes {
			part.Claims = append(part.Claims, outcomes[i].Claim)
		}
	}
	return lost, err
}

func newSettlement(p *partition, n int) *settlement {
	s := settlements.Get().(*settlement)
	s.partition = p
	if cap(s.claims) < n {
		s.claims, s.outcomes, s.places = make([]jobqueue.Claim, 0, n), make([]jobqueue.Outcome, 0, n), make([]int, 0, n)
	}
	return s
}

// add adds an outcome. There is room for it, so that claims stay where they are.
func (s *settlement) add(place int, o *jobqueue.Outcome, id string) {
	n := len(s.claims)
	s.claims = s.claims[:n+1]
	c := &s.claims[n]
	c.ID, c.Token = id, o.Claim.Token
	if c.Name != o.Claim.Name { // It mostly is, from the last time.
		c.Name = o.Claim.Name
	}
	s.outcomes = s.outcomes[:n+1]
	out := &s.outcomes[n]
	if out.Claim != c { // It is, from the last time.
		out.Claim = c
	}
	if out.Do, out.Delay, out.Keep = o.Do, o.Delay, o.Keep; out.Err != o.Err {
		out.Err = o.Err
	}
	s.places = append(s.places, place)
}

// own adds to lost the caller's claims for those that the partition has found lost.
func (s *settlement) own(lost []*jobqueue.Claim, outcomes []jobqueue.Outcome) []*jobqueue.Claim {
	at := 0
	for _, l := range s.lost {
		// They come in the order of the outcomes, as a rule.
		for range s.claims {
			if &s.claims[at] == l {
				lost = append(lost, outcomes[s.places[at]].Claim)
				break
			}
			at = (at + 1) % len(s.claims)
		}
	}
	return lost
}

// free lets s be used again. What it holds will be written over.
func (s *settlement) free() {
	s.partition, s.lost = nil, nil
	s.claims, s.outcomes, s.places = s.claims[:0], s.outcomes[:0], s.places[:0]
	settlements.Put(s)
}
