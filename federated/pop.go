package federated

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// sweepTime is how long a partition goes without a call that has it look for ended leases.
const sweepTime = time.Second

// A popped is which partitions a Pop has got claims from, and which may have made some.
type popped struct{ sure, perhaps set }

// Pop implements [jobqueue.Backend]. It asks the partitions one after the other, beginning where least is under way, and by weight, until it
// has what it wants; that there is nothing is the answer of those that are not away.
//
// A repeat in this process asks those that had claims for it; one in another process asks all.
func (b *Backend) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	p := &pop{lease: l, wishes: newWishlist(b, wants)}
	before, repeated := b.pops.get(l.Token)
	for _, part := range b.order(l.Token) {
		if ctx.Err() != nil {
			break
		}
		all := repeated && before.sure.has(part)
		if !all && (p.wishes.met() || repeated && !before.perhaps.has(part)) {
			continue
		}
		if wants := p.wishes.of(part, all); len(wants) > 0 {
			p.ask(ctx, part, wants)
		}
	}
	if repeated && p.silent && len(p.wishes.claims()) == 0 {
		// What it had is out of reach for now; it waits for the end of its lease, others need not.
		for _, part := range b.order(l.Token) {
			if ctx.Err() == nil && !before.sure.has(part) && !before.perhaps.has(part) && !p.wishes.met() {
				if wants := p.wishes.of(part, false); len(wants) > 0 {
					p.ask(ctx, part, wants)
				}
			}
		}
		p.sure, p.perhaps = p.sure|before.sure, p.perhaps|before.perhaps
	}
	if p.sure|p.perhaps != 0 {
		b.pops.put(l.Token, p.popped)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
	}
	if len(wants) > 0 {
		b.sweep(ctx, wants[0].Name)
	}
	claims := p.wishes.claims()
	switch {
	case len(claims) > 0:
		b.supersede(ctx, claims)
		return claims, nil
	case p.failed != nil:
		return nil, p.failed
	case p.silent && !p.answered:
		return nil, b.nobody("answers")
	}
	return nil, nil
}

// A pop is one call of Pop.
type pop struct {
	popped
	lease    jobqueue.Lease
	wishes   *wishlist
	answered bool  // by some partition
	silent   bool  // is some partition
	failed   error // in a way that will not go away
}

// ask claims what is wanted at a partition.
func (p *pop) ask(ctx context.Context, part *partition, wants []jobqueue.Want) {
	if !part.up() {
		p.silent = true
		return
	}
	l := p.lease
	l.Token = part.token(l.Token)
	at := part.f.now()
	named := false
	claims, err := ask(ctx, part, func(ctx context.Context, b jobqueue.Backend) ([]*jobqueue.Claim, error) {
		if named = part.named != nil && !p.wishes.named; named {
			b = part.named
		}
		return b.Pop(ctx, l, wants...)
	})
	switch {
	case err == nil:
		p.answered = true
		if len(claims) > 0 {
			p.sure.add(part)
		}
	case partial(err):
		p.silent = true
		p.perhaps.add(part)
		return
	default:
		p.failed = fmt.Errorf("partition %s: %w", part.name, err)
		return
	}
	if !named {
		part.nameClaims(claims)
	}
	if p.wishes.add(part, claims) {
		part.swept.Store(int64(at))
	} else {
		part.sweeps(at)
	}
}

// A rank says how early a partition is asked.
type rank struct {
	*partition
	busy  float64 // calls of this process that are under way there, by weight
	score float64
}

// order returns the partitions, those first where least is under way; of these each is before another as often as its
// weight says.
func (b *Backend) order(token uuid.UUID) []*partition {
	key := binary.BigEndian.Uint64(token[8:]) ^ binary.BigEndian.Uint64(token[:8])
	ranks := make([]rank, len(b.parts))
	for i, p := range b.parts {
		ranks[i] = rank{p, float64(p.busy.Load()) / p.weight, score(key, p.seed, p.weight)}
	}
	slices.SortFunc(ranks, func(x, y rank) int {
		return cmp.Or(cmp.Compare(x.busy, y.busy), cmp.Compare(y.score, x.score), x.place-y.place)
	})
	order := make([]*partition, len(ranks))
	for i := range ranks {
		order[i] = ranks[i].partition
	}
	return order
}

// sweeps notes that something was called that sweeps when it finds the last sweep more than a second old.
func (p *partition) sweeps(at time.Duration) {
	if before := p.swept.Load(); due(before, at) {
		p.swept.CompareAndSwap(before, int64(at))
	}
}

func due(swept int64, now time.Duration) bool {
	return int64(now)-swept > int64(sweepTime) || int64(now) < swept
}

// sweep calls those partitions that nobody has called for too long, so that what dead runners hold there is
// found while others have work enough.
func (b *Backend) sweep(ctx context.Context, n jobqueue.Name) {
	now := b.now()
	var idle []*partition
	for _, p := range b.parts {
		if due(p.swept.Load(), now) && p.up() {
			idle = append(idle, p)
		}
	}
	each(idle, func(_ int, p *partition) { p.ready(ctx, n) })
}
