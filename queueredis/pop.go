package queueredis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

var errAnswer = fmt.Errorf("%w: answer of Redis that is not understood", jobqueue.ErrUnavailable)

// A wanted is a want and its place in the call.
type wanted struct {
	jobqueue.Want
	key   string
	id    jobID
	place int
}

// Pop implements [jobqueue.Backend].
func (b *Backend) Pop(ctx context.Context, l jobqueue.Lease, wants ...jobqueue.Want) ([]*jobqueue.Claim, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, gone(ctx)
	}
	var all []wanted
	for i, w := range wants {
		want := wanted{Want: w, key: nameKey(w.Name), place: i}
		if w.ID != "" {
			var ok bool
			if want.id, ok = b.parseID(w.ID); !ok || want.id.shard != b.shardOf(w.Domain) {
				continue
			}
		} else if w.Max <= 0 {
			continue
		}
		all = append(all, want)
	}
	claims := make([][]*jobqueue.Claim, b.shards)
	parts := byShard(b, all, func(w wanted) int { return b.shardOf(w.Domain) })
	b.sweepOthers(ctx, func(shard int) bool { return parts[shard] != nil })
	err := each(parts, func(shard int, wants []wanted) (err error) {
		claims[shard], err = b.popFrom(ctx, shard, l, wants)
		return err
	})
	if err != nil {
		return nil, err
	}
	if b.shards == 1 {
		return claims[0], nil
	}
	return inOrder(claims, wants), nil
}

// inOrder joins the claims of shards as they were wanted.
func inOrder(claims [][]*jobqueue.Claim, wants []jobqueue.Want) (all []*jobqueue.Claim) {
	byName := map[jobqueue.Name][]*jobqueue.Claim{}
	for _, cs := range claims {
		for _, c := range cs {
			byName[c.Name] = append(byName[c.Name], c)
		}
	}
	for _, w := range wants {
		all = append(all, byName[w.Name]...)
		delete(byName, w.Name)
	}
	return all
}

// maxWants is how many wants go into one script.
const maxWants = 500

// popFrom pops from the queues of one shard, in as many turns as it takes.
func (b *Backend) popFrom(ctx context.Context, shard int, l jobqueue.Lease, wants []wanted) (claims []*jobqueue.Claim, err error) {
	l.Token = b.token(l.Token, shard)
	part, got := "+0", 0
	for {
		few := wants[:min(maxWants, len(wants))]
		order := []any{"p", l.Token[:], micros(l.TTL), l.Owner, part, len(few)}
		weight := len(few)
		for _, w := range few {
			weight += w.Max
			id := ""
			if w.ID != "" {
				id = hex(w.id.number)
			}
			order = append(order, w.key, max(w.Max, 1), id)
		}
		// A lease begins at a whole microsecond, which may be a moment before now.
		started := time.Now().Add(-time.Microsecond)
		v, err := b.turn(ctx, shard, weight, order)
		if err != nil {
			return nil, err
		}
		p, err := b.readPopped(ctx, shard, l, started, v)
		if err != nil {
			return nil, err
		}
		claims = append(claims, p.claims...)
		got += p.n
		switch {
		case p.next == "more":
			wants = p.left(few, wants)
			part = "+" + strconv.Itoa(got)
		case p.next != "":
			part = p.next
		case p.again || len(wants) <= len(few):
			return claims, nil
		default:
			wants, part = wants[len(few):], "+"+strconv.Itoa(got)
		}
		if len(wants) == 0 {
			return claims, nil
		}
	}
}

// A popped is the answer to one turn.
type popped struct {
	claims []*jobqueue.Claim
	n      int   // how many jobs were claimed, with those that cannot be read
	counts []int // of the wants
	next   string
	again  bool
}

// left returns what is still to be had of wants after a turn that had no room for all of few.
func (p *popped) left(few, wants []wanted) []wanted {
	var rest []wanted
	for i, w := range few {
		if i < len(p.counts) {
			if w.ID != "" {
				if p.counts[i] > 0 {
					continue
				}
			} else {
				w.Max -= p.counts[i]
			}
		}
		if w.ID != "" || w.Max > 0 {
			rest = append(rest, w)
		}
	}
	return append(rest, wants[len(few):]...)
}

// readPopped reads the answer to a pop. Jobs that cannot be read are abandoned.
func (b *Backend) readPopped(ctx context.Context, shard int, l jobqueue.Lease, started time.Time, v any) (*popped, error) {
	a := list(v)
	if len(a) != 7 {
		return nil, errAnswer
	}
	p := &popped{next: text(a[1]), again: number(a[6]) == 1}
	names, ids, bodies, extras := list(a[2]), text(a[3]), list(a[4]), list(a[5])
	p.n = len(bodies)
	expires := started.Add(duration(number(a[0])))
	claims := make([]jobqueue.Claim, len(bodies))
	at := 0
	for i := 0; i+1 < len(names); i += 2 {
		n := int(number(names[i+1]))
		p.counts = append(p.counts, n)
		name, ok := parseName(text(names[i]))
		if !ok || at+n > len(claims) {
			return nil, errAnswer
		}
		for range n {
			claims[at].Name = name
			at++
		}
	}
	for i := 0; i+3 < len(extras); i += 4 {
		k := int(number(extras[i])) - 1
		if k < 0 || k >= len(claims) {
			return nil, errAnswer
		}
		c := &claims[k]
		c.Failures, c.Expiries, c.LastError = readHistory(text(extras[i+1]))
		c.Root, c.Superseded = readRoot(text(extras[i+2])), text(extras[i+3]) != ""
	}
	numbers := make([]int64, 0, len(claims))
	for id := range strings.FieldsSeq(ids) {
		numbers = append(numbers, unhex(id))
	}
	if len(numbers) != len(claims) {
		return nil, errAnswer
	}
	texts := b.idTexts(numbers, shard)
	p.claims = make([]*jobqueue.Claim, 0, len(claims))
	var damaged []jobqueue.Outcome
	for i := range claims {
		c := &claims[i]
		c.ID, c.Token, c.Expires = texts[i], l.Token, expires
		queued, err := readBody(text(bodies[i]), &c.Record)
		c.QueuedAt, c.Digest = instant(queued), jobqueue.Digest{}
		if err != nil {
			damaged = append(damaged, jobqueue.Outcome{Claim: c, Do: jobqueue.ActionAbandon, Err: err.Error()})
			continue
		}
		p.claims = append(p.claims, c)
	}
	if len(damaged) > 0 {
		if _, err := b.Settle(ctx, damaged...); err != nil {
			return nil, err
		}
	}
	return p, nil
}
