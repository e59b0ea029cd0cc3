package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Routes say which backend keeps which job type, and how types are treated.
type Routes struct {
	Default   Backend                 // for every type without a backend of its own; required
	Types     map[string]Backend      // by type
	Exclude   []string                // types that run only when asked for by name
	ReadOnly  string                  // a reason refuses push, pop, delete and requeue
	MaxParams int                     // bytes of parameters per job; 0 means DefaultMaxParams
	Policy    func(typ string) Policy // zero fields mean the defaults; nil means all defaults
	Trace     *Trace
}

// A Group is how programs reach queues: it routes job types to backends, for a
// home domain. It checks what is pushed, splits and joins batches, and turns
// policies into what backends are told. It is safe for concurrent use.
type Group struct {
	*routes
	domain string
}

type routes struct {
	Routes
	backends  []Backend // each once, the default first
	maxParams int
}

// NewGroup returns a group at home in domain. It panics without a default
// backend, and if the domain is no valid part of a [Name].
func NewGroup(domain string, r Routes) *Group {
	if r.Default == nil {
		panic("jobqueue: new group: Routes.Default is required")
	}
	if err := checkPart("domain", domain); err != nil {
		panic("jobqueue: new group: " + err.Error())
	}
	rs := &routes{Routes: r, backends: []Backend{r.Default}, maxParams: r.MaxParams}
	def(&rs.maxParams, DefaultMaxParams)
	for _, b := range r.Types {
		if !slices.Contains(rs.backends, b) {
			rs.backends = append(rs.backends, b)
		}
	}
	if rs.Trace == nil {
		rs.Trace = &Trace{}
	}
	return &Group{rs, domain}
}

// On returns the same group at home in another domain. It does no I/O and no
// check; a bad domain is found when something is pushed.
func (g *Group) On(domain string) *Group { return &Group{g.routes, domain} }

// Domain returns the home domain.
func (g *Group) Domain() string { return g.domain }

// Backends returns every backend that types are routed to, each once.
func (g *Group) Backends() []Backend { return slices.Clone(g.backends) }

// Backend returns the backend of a type.
func (g *Group) Backend(typ string) Backend {
	if b, ok := g.Types[typ]; ok {
		return b
	}
	return g.Default
}

// Excluded reports whether a type runs only when asked for by name.
func (g *Group) Excluded(typ string) bool { return slices.Contains(g.Exclude, typ) }

// Policy returns the policy of a type with every default filled in.
func (g *Group) Policy(typ string) Policy {
	if g.Routes.Policy == nil {
		return Policy{}.WithDefaults()
	}
	return g.Routes.Policy(typ).WithDefaults()
}

// Queue returns the queue of a type on the home domain.
func (g *Group) Queue(typ string) Queue { return &queue{g, Name{g.domain, typ}} }

func (g *Group) writable() error {
	if g.ReadOnly != "" {
		return fmt.Errorf("%w: %s", ErrReadOnly, g.ReadOnly)
	}
	return nil
}

// Push stores jobs of any types and domains. Either every spec is valid or
// nothing is stored.
//
// It splits the batch by backend and into pieces of at most [MaxPush] jobs;
// each piece is stored whole or not at all, and a piece that fails does not
// stop the others. Pushed says for every job whether it is in. On an
// [ErrUnavailable] a piece is tried once more, under the same push id, so that
// a lost answer neither loses nor doubles a job.
func (g *Group) Push(ctx context.Context, specs ...Spec) (Pushed, error) {
	if err := g.writable(); err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	records, err := g.Records(specs...)
	if err != nil {
		return nil, &Error{Op: "push", Err: err}
	}
	pushed := make(Pushed, len(records))
	var errs []error
	for _, b := range g.backends {
		for _, piece := range pieces(records, func(r *Record) bool { return g.Backend(r.Type) == b }) {
			if err := g.pushPiece(ctx, b, records, piece, pushed); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return pushed, errors.Join(errs...)
}

// pieces splits the places of the records that are wanted into runs within the limits of Backend.Push.
func pieces(records []Record, wanted func(*Record) bool) (out [][]int) {
	var piece []int
	size := 0
	for i := range records {
		r := &records[i]
		if !wanted(r) {
			continue
		}
		if len(piece) == MaxPush || len(piece) > 0 && size+len(r.Params) > MaxPushBytes {
			out = append(out, piece)
			piece, size = nil, 0
		}
		piece = append(piece, i)
		size += len(r.Params)
	}
	if len(piece) > 0 {
		out = append(out, piece)
	}
	return out
}

func (g *Group) pushPiece(ctx context.Context, b Backend, records []Record, piece []int, pushed Pushed) error {
	batch := records
	if len(piece) != len(records) {
		batch = make([]Record, len(piece))
		for k, i := range piece {
			batch[k] = records[i]
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	answer, err := b.Push(ctx, id, batch)
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		answer, err = b.Push(ctx, id, batch)
	}
	if g.Trace.Pushed != nil {
		g.Trace.Pushed(ctx, batch, answer, err)
	}
	if err != nil {
		e := &Error{Op: "push", Queue: batch[0].Name, Err: err}
		for _, i := range piece {
			pushed[i].Err = e
		}
		return e
	}
	for k, i := range piece {
		pushed[i] = answer[k]
	}
	return nil
}

// Pop claims jobs of any queues, in one Backend.Pop per backend. Jobs that a
// newer root supersedes and jobs whose tries are used up are settled at
// once and not returned, so that a Pop may return fewer jobs than are
// ready; only when it returns none is there none.
//
// On an [ErrUnavailable] it asks once more with the same token, so that a lost
// answer does not leave jobs to wait for their lease to end.
// With an error there may still be claims, of the backends that answered.
// The caller settles or extends them before the lease ends.
func (g *Group) Pop(ctx context.Context, l Lease, wants ...Want) ([]*Claim, error) {
	if err := g.writable(); err != nil {
		return nil, &Error{Op: "pop", Err: err}
	}
	var all []*Claim
	var errs []error
	for _, b := range g.backends {
		mine := wants
		if len(g.backends) > 1 {
			mine = nil
			for _, w := range wants {
				if g.Backend(w.Type) == b {
					mine = append(mine, w)
				}
			}
		}
		if len(mine) == 0 {
			continue
		}
		claims, err := g.popFrom(ctx, b, l, mine)
		if err != nil {
			e := &Error{Op: "pop", Err: err}
			if len(mine) == 1 {
				e.Queue = mine[0].Name
			}
			errs = append(errs, e)
		}
		all = append(all, claims...)
	}
	return all, errors.Join(errs...)
}

// popFrom pops until a batch holds a job to run, or nothing.
func (g *Group) popFrom(ctx context.Context, b Backend, l Lease, wants []Want) ([]*Claim, error) {
	for {
		claims, err := b.Pop(ctx, l, wants...)
		if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
			claims, err = b.Pop(ctx, l, wants...)
		}
		if g.Trace.Popped != nil {
			g.Trace.Popped(ctx, claims, err)
		}
		if err != nil || len(claims) == 0 {
			return nil, err
		}
		for _, c := range claims {
			c.backend = b
			c.Attempt = c.Tries() + 1
		}
		live, dead := g.sortOut(claims)
		if len(dead) > 0 {
			if err := g.settleAtPop(ctx, dead); err != nil {
				return live, err
			}
		}
		if len(live) > 0 {
			return live, nil
		}
		// All of them are settled; the next batch is a Pop of its own.
		if l.Token, err = uuid.NewRandom(); err != nil {
			return nil, err
		}
	}
}

// sortOut splits claims into those to run and outcomes for those that must not.
func (g *Group) sortOut(claims []*Claim) (live []*Claim, dead []Outcome) {
	live = claims[:0]
	typ, policy := "", Policy{}
	for _, c := range claims {
		if c.MaxTries == 0 {
			if c.Type != typ {
				typ, policy = c.Type, g.Policy(c.Type)
			}
			c.MaxTries = policy.MaxTries
		}
		switch {
		case c.Superseded:
			dead = append(dead, Outcome{Claim: c, Do: ActionDone})
		case c.Attempt > c.MaxTries:
			dead = append(dead, Outcome{Claim: c, Do: ActionAbandon, Err: exhausted(c)})
		default:
			live = append(live, c)
		}
	}
	return live, dead
}

func exhausted(c *Claim) string {
	reason := fmt.Sprintf("tries used up: %d failures, %d claims ran out", c.Failures, c.Expiries)
	if c.Expiries > 2 {
		reason += ", the last ones while the job ran alone"
	}
	if c.LastError != "" {
		reason += "; last error: " + c.LastError
	}
	return reason
}

func (g *Group) settleAtPop(ctx context.Context, dead []Outcome) error {
	if err := g.Settle(ctx, dead...); err != nil && !errors.Is(err, ErrNotClaimed) {
		return err
	}
	for _, o := range dead {
		switch {
		case o.Do == ActionDone && g.Trace.Superseded != nil:
			g.Trace.Superseded(ctx, o.Claim)
		case o.Do == ActionAbandon && g.Trace.Exhausted != nil:
			g.Trace.Exhausted(ctx, o.Claim, o.Err)
		}
	}
	return nil
}

// Outcome turns what a job's Run returned into the outcome for its claim:
// done, or retried after a back-off, or abandoned on the last try, or what
// [Abandon], [RetryIn] or [Snooze] ask for.
func (g *Group) Outcome(c *Claim, err error) Outcome {
	if err == nil {
		return Outcome{Claim: c, Do: ActionDone}
	}
	o := Outcome{Claim: c, Do: ActionRetry, Delay: -1, Err: err.Error()}
	p := g.Policy(c.Type)
	if v, ok := errors.AsType[*verdict](err); ok {
		o.Do, o.Delay = v.do, v.delay
	}
	switch {
	case o.Do == ActionGiveBack && p.MaxSnooze >= 0 && time.Since(c.QueuedAt)+o.Delay > p.MaxSnooze:
		o.Do, o.Err = ActionAbandon, fmt.Sprintf("%s, which is past %v after it was queued", o.Err, p.MaxSnooze)
	case o.Do == ActionRetry && c.Attempt >= c.MaxTries:
		o.Do = ActionAbandon
	case o.Do == ActionRetry && o.Delay < 0:
		o.Delay = p.Backoff(c.Attempt)
	}
	return o
}

// Settle ends claims, in one Backend.Settle per backend. For ActionAbandon a zero
// Keep means the policy's. The error is, or wraps, a [LostError] if
// any claim was no longer held; every other claim of a backend that
// answered is settled. Repeating it with the same outcomes is safe.
func (g *Group) Settle(ctx context.Context, outcomes ...Outcome) error {
	for i := range outcomes {
		if o := &outcomes[i]; o.Do == ActionAbandon && o.Keep == 0 {
			o.Keep = g.Policy(o.Claim.Type).Keep
		}
	}
	var lost []*Claim
	var errs []error
	for b, mine := range byBackend(g, outcomes, func(o Outcome) *Claim { return o.Claim }) {
		gone, err := b.Settle(ctx, mine...)
		if g.Trace.Settled != nil {
			g.Trace.Settled(ctx, mine, gone, err)
		}
		if err != nil {
			errs = append(errs, &Error{Op: "settle", Err: err})
		}
		lost = append(lost, gone...)
	}
	if len(lost) > 0 {
		errs = append(errs, &Error{Op: "settle", Queue: lost[0].Name, Err: &LostError{lost}})
	}
	return errors.Join(errs...)
}

// byBackend yields what belongs to each backend, in order.
func byBackend[T any](g *Group, all []T, claim func(T) *Claim) iter.Seq2[Backend, []T] {
	home := func(t T) Backend {
		if c := claim(t); c.backend != nil {
			return c.backend
		} else {
			return g.Backend(c.Type)
		}
	}
	return func(yield func(Backend, []T) bool) {
		for len(all) > 0 {
			b := home(all[0])
			other := slices.IndexFunc(all, func(t T) bool { return home(t) != b })
			if other < 0 {
				yield(b, all)
				return
			}
			mine, rest := slices.Clone(all[:other]), []T(nil)
			for _, t := range all[other:] {
				if home(t) == b {
					mine = append(mine, t)
				} else {
					rest = append(rest, t)
				}
			}
			if all = rest; !yield(b, mine) {
				return
			}
		}
	}
}

// Extend gives the leases of the claims' tokens ttl from now, in one
// Backend.Extend per backend, and returns the claims that are lost.
// All claims of a token are extended together, listed or not.
// It does not change Claim.Expires.
func (g *Group) Extend(ctx context.Context, ttl time.Duration, claims ...*Claim) (lost []*Claim, err error) {
	var errs []error
	for b, mine := range byBackend(g, claims, func(c *Claim) *Claim { return c }) {
		tokens := make([]uuid.UUID, 0, len(mine))
		byToken := make(map[uuid.UUID][]*Claim, len(mine))
		for _, c := range mine {
			if byToken[c.Token] == nil {
				tokens = append(tokens, c.Token)
			}
			byToken[c.Token] = append(byToken[c.Token], c)
		}
		gone, err := b.Extend(ctx, ttl, tokens...)
		if err != nil {
			errs = append(errs, &Error{Op: "extend", Err: err})
		}
		for _, t := range gone {
			lost = append(lost, byToken[t]...)
		}
	}
	return lost, errors.Join(errs...)
}

// Ready yields the queues that have work now, each from the backend its
// type is routed to, and the error of each backend that could not be asked.
func (g *Group) Ready(ctx context.Context, names ...Name) iter.Seq2[Backlog, error] {
	return func(yield func(Backlog, error) bool) {
		for _, b := range g.backends {
			mine := slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return g.Backend(n.Type) != b })
			if len(names) > 0 && len(mine) == 0 {
				continue
			}
			for r, err := range b.Ready(ctx, mine...) {
				if err != nil {
					err = &Error{Op: "ready", Err: err}
				} else if g.Backend(r.Type) != b {
					continue
				}
				if !yield(r, err) {
					return
				}
			}
		}
	}
}

// Counts returns the exact counts of each name from its backend or, without names, of
// every queue that holds a job in any backend, including such as hold
// jobs of a type that is routed elsewhere by now.
func (g *Group) Counts(ctx context.Context, names ...Name) ([]Counts, error) {
	var all []Counts
	for _, b := range g.backends {
		mine := slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return g.Backend(n.Type) != b })
		if len(names) > 0 && len(mine) == 0 {
			continue
		}
		counts, err := b.Counts(ctx, mine...)
		if err != nil {
			return nil, &Error{Op: "count", Err: err}
		}
		all = append(all, counts...)
	}
	return all, nil
}

// List yields the jobs that f matches, backend by backend. Filter.After names a job of
// one backend and so is of use only when there is one.
func (g *Group) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, b := range g.backends {
			for e, err := range b.List(ctx, f) {
				if err != nil {
					err = &Error{Op: "list", Err: err}
				}
				if !yield(e, err) || err != nil {
					return
				}
				if f.Limit > 0 {
					if f.Limit--; f.Limit == 0 {
						return
					}
				}
			}
		}
	}
}

// Delete deletes the jobs that f matches in every backend; see [Backend].
func (g *Group) Delete(ctx context.Context, f Filter) (int, error) {
	return g.change(ctx, "delete", f, Backend.Delete)
}

// Requeue makes the jobs that f matches ready in every backend; see [Backend].
func (g *Group) Requeue(ctx context.Context, f Filter) (int, error) {
	return g.change(ctx, "requeue", f, Backend.Requeue)
}

func (g *Group) change(ctx context.Context, op string, f Filter, do func(Backend, context.Context, Filter) (int, error)) (n int, err error) {
	if err := g.writable(); err != nil {
		return 0, &Error{Op: op, Err: err}
	}
	limit := f.Limit
	for _, b := range g.backends {
		if limit > 0 {
			if f.Limit = limit - n; f.Limit <= 0 {
				break
			}
		}
		changed, err := do(b, ctx, f)
		n += changed
		if err != nil {
			return n, &Error{Op: op, Err: err}
		}
	}
	return n, nil
}

// Maintain does a bounded amount of hygiene in every backend; see [Backend].
func (g *Group) Maintain(ctx context.Context) (Maintained, error) {
	var sum Maintained
	var errs []error
	for _, b := range g.backends {
		m, err := b.Maintain(ctx)
		if err != nil {
			errs = append(errs, &Error{Op: "maintain", Err: err})
		}
		sum.Released += m.Released
		sum.Recycled += m.Recycled
		sum.Pruned += m.Pruned
		sum.Forgotten += m.Forgotten
	}
	return sum, errors.Join(errs...)
}

// queue implements Queue.
type queue struct {
	g    *Group
	name Name
}

func (q *queue) Name() Name { return q.name }

func (q *queue) Push(ctx context.Context, jobs ...Spec) (Pushed, error) {
	specs := slices.Clone(jobs)
	for i := range specs {
		s := &specs[i]
		typ := s.Type
		if s.Job != nil {
			typ = s.Job.Type()
		} else if typ == "" {
			s.Type, typ = q.name.Type, q.name.Type
		}
		if typ != q.name.Type || s.Domain != "" && s.Domain != q.name.Domain {
			return nil, &Error{"push", q.name, fmt.Errorf("job %d: %w: it is for %v", i, ErrInvalid, Name{s.Domain, typ})}
		}
	}
	return q.g.Push(ctx, specs...)
}

func (q *queue) Pop(ctx context.Context, n int) ([]*Claim, error) {
	token, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	l := Lease{Token: token, TTL: q.g.Policy(q.name.Type).ClaimTTL}
	return q.g.Pop(ctx, l, Want{Name: q.name, Max: n})
}

func (q *queue) Ack(ctx context.Context, claims ...*Claim) error {
	outcomes := make([]Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = Outcome{Claim: c, Do: ActionDone}
	}
	return q.g.Settle(ctx, outcomes...)
}

func (q *queue) IsEmpty(ctx context.Context) (bool, error) {
	for _, err := range q.g.Ready(ctx, q.name) {
		return false, err
	}
	return true, nil
}
