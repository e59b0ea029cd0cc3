//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// What a history is made of.
const (
	clients  = 3
	mostOps  = 7 // of each client
	callMost = 5 * time.Second
	checkFor = 10 * time.Second
)

// TestLinear plays many small histories of concurrent calls on one queue each, some of whose answers get lost, and
// checks that each could have been the work of one client after the other.
func TestLinear(t *testing.T) {
	each(t, func(t *testing.T, s subject, seed uint64) {
		stores, snap := s.clients(t, seed)
		rnd := rand.New(rand.NewPCG(seed, 4))
		parts := strings.Contains(s.name, "+")
		terms := contract(parts || s.name == "postgres")
		played, lost, undecided := 0, 0, 0
		for end := time.Now().Add(*length / 6); time.Now().Before(end) || played < 20; played++ {
			h := &history{
				stores: stores, parts: parts, numbers: map[string]string{},
				name: jobqueue.Name{Domain: fmt.Sprint("history", played), Type: "work"},
			}
			if played%2 == 1 && !parts {
				h.snap, h.repeats = snap, s.name == "redis"
			}
			if err := h.play(t.Context(), rnd); err != nil {
				t.Fatalf("%s with seed %d: %v\n%s", s.name, seed, err, describe(h.operations()))
			}
			lost += h.lost
			switch result, _ := porcupine.CheckOperationsVerbose(terms.model(), h.operations(), checkFor); result {
			case porcupine.Illegal:
				t.Fatalf("%s with seed %d: history %d is no order of calls:\n%s", s.name, seed, played, describe(h.operations()))
			case porcupine.Unknown:
				undecided++
			}
		}
		t.Logf("%d histories, %d answers lost, %d undecided", played, lost, undecided)
		if undecided*20 > played {
			t.Errorf("%d of %d histories could not be decided in %v", undecided, played, checkFor)
		}
	})
}

// clients returns a store for each client, and what breaks a client's connections.
func (s subject) clients(t *testing.T, seed uint64) (stores []jobqueue.Backend, snap func(client int) error) {
	if s.kinds == nil {
		m := queuememory.New()
		for i := range clients {
			stores = append(stores, lose(m, seed+uint64(i)))
		}
		return stores, func(int) error { return nil }
	}
	f := newFarm(t, seed, s.keep(t))
	for i := range clients {
		stores = append(stores, f.open(t, f.reach(workerNames[i]), &clockwork{}))
	}
	return stores, func(client int) error {
		for _, l := range f.links[workerNames[client]] {
			if err := l.cut(closedChannel); err != nil {
				return err
			}
		}
		return nil
	}
}

// A history is one small play of clients on a queue of its own.
type history struct {
	stores []jobqueue.Backend
	snap   func(client int) error // nil for no faults
	parts  bool
	name   jobqueue.Name

	repeats bool // connections break, and calls are repeated behind the caller's back

	mu      sync.Mutex
	log     []porcupine.Operation
	numbers map[string]string // of jobs, by id
	held    []*jobqueue.Claim // that were handed out, to whomever
	pushes  []pushCall
	pops    []popCall
	lost    int
}

type pushCall struct {
	id uuid.UUID
	op pushOp
}

type popCall struct {
	token  uuid.UUID
	op     popOp
	client int // whose it was first
}

// play lets the clients work, and then one look at what is left.
func (h *history) play(ctx context.Context, rnd *rand.Rand) error {
	var all sync.WaitGroup
	errs := make(chan error, 2*clients)
	for i := range clients {
		r := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		all.Go(func() {
			for n := range 3 + r.IntN(mostOps-2) {
				if err := h.act(ctx, i, n, r); err != nil {
					errs <- err
					return
				}
			}
		})
		if h.snap != nil && r.IntN(2) == 0 {
			after := time.Duration(r.IntN(8000)) * time.Microsecond
			all.Go(func() {
				wait(ctx, after)
				errs <- h.snap(i)
			})
		}
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	h.snap = nil
	for range 2 {
		if err := h.count(ctx, 0); err != nil {
			return err
		}
		if err := h.pop(ctx, 0, popCall{uuid.New(), popOp{most: 100}, 0}); err != nil {
			return err
		}
	}
	return nil
}

// act has a client do something.
func (h *history) act(ctx context.Context, client, n int, r *rand.Rand) error {
	if h.snap != nil && r.IntN(8) == 0 {
		// It loses its patience.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(2000))*time.Microsecond)
		defer cancel()
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		op := pushOp{push: fmt.Sprint(client, "-", n)}
		most := 2
		if h.parts {
			most = 1 // A push over several parts is not atomic.
		}
		for i := range 1 + r.IntN(most) {
			j := waiting{number: fmt.Sprint(client, ".", n, ".", i)}
			if r.IntN(2) == 0 {
				j.digest = fmt.Sprint("key", r.IntN(2))
			}
			op.jobs = append(op.jobs, j)
		}
		return h.push(ctx, client, pushCall{uuid.New(), op})
	case 3:
		if c, ok := one(h, r, &h.pushes); ok {
			return h.push(ctx, client, c)
		}
	case 4, 5, 6:
		most := 1 + r.IntN(2)
		if h.parts {
			most = 1 // The claims of one pop have several tokens.
		}
		return h.pop(ctx, client, popCall{uuid.New(), popOp{most: most}, client})
	case 7:
		if c, ok := one(h, r, &h.pops); ok && (!h.parts || c.client == client) { // Its own is over.
			return h.pop(ctx, client, c)
		}
	case 8:
		if c, ok := one(h, r, &h.held); ok {
			return h.extend(ctx, client, c)
		}
	case 9:
		if c, ok := one(h, r, &h.held); ok {
			return h.requeue(ctx, client, c)
		}
	case 10:
		return h.count(ctx, client)
	default:
		if c, ok := one(h, r, &h.held); ok {
			return h.settle(ctx, client, c, pick(r, []jobqueue.Action{jobqueue.ActionDone, jobqueue.ActionGiveBack, jobqueue.ActionRetry}))
		}
	}
	return nil
}

// one returns one of what there is by now, of whichever client.
func one[T any](h *history, r *rand.Rand, all *[]T) (t T, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(*all) == 0 {
		return t, false
	}
	return pick(r, *all), true
}

// call makes a call and notes it. An answer that is lost may be of something that happens at any later time.
func (h *history) call(ctx context.Context, client int, op any, do func(context.Context) (any, error)) error {
	limited, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	begin := now()
	answer, err := do(limited)
	o := porcupine.Operation{ClientId: client, Input: op, Call: begin, Output: answer, Return: now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		if !errors.Is(err, jobqueue.ErrUnavailable) && limited.Err() == nil {
			return err
		}
		o.Output, o.Return = nil, math.MaxInt64
		h.lost++
	}
	h.log = append(h.log, o)
	return nil
}

func (h *history) push(ctx context.Context, client int, c pushCall) error {
	h.mu.Lock()
	h.pushes = append(h.pushes, c)
	h.mu.Unlock()
	records := make([]jobqueue.Record, len(c.op.jobs))
	for i, j := range c.op.jobs {
		records[i] = jobqueue.Record{Name: h.name, Params: fmt.Appendf(nil, `{"Number":%q}`, j.number)}
		if j.digest != "" {
			records[i].Digest = jobqueue.KeyDigest(j.digest)
		}
	}
	c.op.push = c.id.String()
	return h.call(ctx, client, c.op, func(ctx context.Context) (any, error) {
		p, err := h.stores[client].Push(ctx, c.id, records)
		if err != nil {
			return nil, err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for i, x := range p {
			if !x.Duplicate {
				h.numbers[x.ID] = c.op.jobs[i].number
			}
		}
		return p, nil // Whose duplicates they are is known in the end.
	})
}

func (h *history) pop(ctx context.Context, client int, c popCall) error {
	h.mu.Lock()
	h.pops = append(h.pops, c)
	h.mu.Unlock()
	c.op.token = c.token.String()
	return h.call(ctx, client, c.op, func(ctx context.Context) (any, error) {
		l := jobqueue.Lease{Token: c.token, TTL: time.Hour, Owner: fmt.Sprint("client ", client)}
		claims, err := h.stores[client].Pop(ctx, l, jobqueue.Want{Name: h.name, Max: c.op.most})
		if err != nil {
			return nil, err
		}
		var answer popAnswer
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, claim := range claims {
			answer.numbers = append(answer.numbers, number(claim.Params))
			h.numbers[claim.ID] = number(claim.Params)
			h.held = append(h.held, claim)
		}
		return answer, nil
	})
}

// token returns what the model knows the claims of a pop by. A store of several places makes tokens of that of the pop, which begin alike.
func (h *history) token(c *jobqueue.Claim) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pops {
		if [4]byte(p.token[:4]) == [4]byte(c.Token[:4]) {
			return p.token.String()
		}
	}
	return c.Token.String()
}

func (h *history) settle(ctx context.Context, client int, c *jobqueue.Claim, do jobqueue.Action) error {
	return h.call(ctx, client, settleOp{number(c.Params), h.token(c), do}, func(ctx context.Context) (any, error) {
		lost, err := h.stores[client].Settle(ctx, jobqueue.Outcome{Claim: c, Do: do})
		return lostOr(len(lost) > 0), err
	})
}

func (h *history) extend(ctx context.Context, client int, c *jobqueue.Claim) error {
	return h.call(ctx, client, extendOp{h.token(c)}, func(ctx context.Context) (any, error) {
		lost, err := h.stores[client].Extend(ctx, time.Hour, c.Token)
		return lostOr(len(lost) > 0), err
	})
}

func (h *history) requeue(ctx context.Context, client int, c *jobqueue.Claim) error {
	return h.call(ctx, client, requeueOp{number(c.Params)}, func(ctx context.Context) (any, error) {
		n, err := h.stores[client].Requeue(ctx, jobqueue.Filter{IDs: []string{c.ID}, States: []jobqueue.State{jobqueue.Claimed}})
		return requeued(n), err
	})
}

// count counts, where that is of one instant.
func (h *history) count(ctx context.Context, client int) error {
	if h.parts {
		return nil
	}
	return h.call(ctx, client, countOp{}, func(ctx context.Context) (any, error) {
		counts, err := h.stores[client].Counts(ctx, h.name)
		if err != nil {
			return nil, err
		}
		return counted{counts[0].Ready, counts[0].Claimed}, nil
	})
}

// unseen is the number of a job whose push was not answered, and that nobody has popped.
const unseen = "?"

// operations returns the history, with numbers for ids.
func (h *history) operations() []porcupine.Operation {
	all := slices.Clone(h.log)
	for _, o := range h.log {
		// The driver of Redis repeats what was not answered. So a pop may take effect, and be answered later what is left of that.
		if _, ok := o.Input.(popOp); ok && h.repeats && o.Output != nil {
			o.Output = nil
			all = append(all, o)
		}
	}
	for i := range all {
		if op, ok := all[i].Input.(popOp); ok {
			op.alone = true
			for k, o := range all {
				op.alone = op.alone && (k == i || o.Return < all[i].Call || all[i].Return < o.Call)
			}
			all[i].Input = op
		}
		p, ok := all[i].Output.(jobqueue.Pushed)
		if !ok {
			continue
		}
		var a pushAnswer
		for _, x := range p {
			n, known := h.numbers[x.ID]
			if !known {
				n = unseen
			}
			if x.Duplicate {
				n = "=" + n
			}
			a = append(a, n)
		}
		all[i].Output = a
	}
	return all
}
