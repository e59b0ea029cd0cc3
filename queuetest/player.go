package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuememory"
)

// A player plays one history on a backend and on the model.
type player struct {
	*testing.T
	b      jobqueue.Backend
	model  jobqueue.Backend
	loose  bool // the backend is a Spread
	queues [2]jobqueue.Name
	ids    map[string]string // of the model's jobs, by the backend's
	native map[string]string // the other way round
	number int               // of the last job
	begin  time.Time         // where the clocks were stopped
	now    time.Duration     // how far they were moved since
	log    []string          // what was done so far

	pushes  []pushCall
	pops    []popCall
	claims  []*twoClaims
	settled []settlement
}

type pushCall struct {
	id      uuid.UUID
	records []jobqueue.Record
	at      time.Duration
}

type popCall struct {
	lease jobqueue.Lease
	wants []jobqueue.Want // the backend's
	model []modelPop
	at    time.Duration
}

// A modelPop is one Pop of the model. There may be several for one of a backend that opens more than one claim.
type modelPop struct {
	token uuid.UUID
	wants []jobqueue.Want
}

// twoClaims is one claim on both backends.
type twoClaims struct{ b, model *jobqueue.Claim }

type settlement struct {
	c  *twoClaims
	o  jobqueue.Outcome
	at time.Duration
}

func newPlayer(t *testing.T, b jobqueue.Backend) *player {
	domain := "fuzz-" + uuid.NewString()
	p := &player{
		T: t, b: b, model: queuememory.New(), ids: map[string]string{}, native: map[string]string{},
		queues: [2]jobqueue.Name{{Domain: domain, Type: "a"}, {Domain: domain, Type: "b"}},
		begin:  time.Now().UTC().Truncate(time.Millisecond),
	}
	_, p.loose = b.(Spread)
	for _, b := range p.both() {
		stopClock(t, b, p.begin)
	}
	p.maintain()
	return p
}

func (p *player) both() []jobqueue.Backend { return []jobqueue.Backend{p.b, p.model} }

// Fatalf ends the test with all that was done.
func (p *player) Fatalf(format string, args ...any) {
	p.Helper()
	p.T.Fatalf("after %s: %s", strings.Join(p.log, ", "), fmt.Sprintf(format, args...))
}

func (p *player) ok(err error, op string) {
	p.Helper()
	if err != nil {
		p.Fatalf("%s: %v", op, err)
	}
}

// counts returns the jobs of both queues in the model.
func (p *player) counts() []jobqueue.Counts {
	c, err := p.model.Counts(p.Context(), p.queues[:]...)
	p.ok(err, "Counts of the model")
	return c
}

// pop pops one or all of one queue, or all of both.
func (p *player) pop(n int) {
	most := []int{1, 2, 4, 1000}[n%4]
	wants := []jobqueue.Want{{Name: p.queues[n/4%2], Max: most}}
	if n/8%2 == 1 {
		wants = []jobqueue.Want{{Name: p.queues[0], Max: 1000}, {Name: p.queues[1], Max: 1000}}
	}
	p.sweep()
	l := p.lease(n / 16)
	c := popCall{l, wants, []modelPop{{l.Token, wants}}, p.now}
	before := p.counts()
	got, err := p.b.Pop(p.Context(), c.lease, c.wants...)
	p.ok(err, "Pop")
	// Which jobs come first is for the rows of the suite to say; the model follows.
	if p.loose || len(wants) == 1 && before[n/4%2].Ready >= most {
		c.model = p.follow(wants, before, got)
	}
	p.popped(c, got)
}

// follow returns how the model pops the same jobs as the backend, which must be as many ready ones as there are or are wanted.
func (p *player) follow(wants []jobqueue.Want, ready []jobqueue.Counts, got []*jobqueue.Claim) (pops []modelPop) {
	count := map[jobqueue.Name]int{}
	for _, c := range got {
		if s := p.modelState(c.ID); s != jobqueue.Ready {
			p.Fatalf("Pop handed out job %s, which is %v in the model", c.Params, s)
		}
		count[c.Name]++
		k := slices.IndexFunc(pops, func(m modelPop) bool { return m.token == c.Token })
		if k < 0 {
			k = len(pops)
			pops = append(pops, modelPop{token: c.Token})
		}
		pops[k].wants = append(pops[k].wants, jobqueue.Want{Name: c.Name, ID: p.ids[c.ID]})
	}
	for _, w := range wants {
		for _, r := range ready {
			if want := min(w.Max, r.Ready); r.Name == w.Name && count[w.Name] != want {
				p.Fatalf("Pop handed out %d jobs of %d, want %d", count[w.Name], r.Ready, want)
			}
		}
	}
	return pops
}

// sweep has every store of a backend that has several look for ended leases at the same instants as the model, which is one.
func (p *player) sweep() {
	if p.loose {
		p.maintain()
	}
}

func (p *player) lease(n int) jobqueue.Lease {
	return jobqueue.Lease{Token: uuid.New(), TTL: fuzzLeases[n%len(fuzzLeases)], Owner: "fuzz"}
}

func (p *player) modelState(id string) (s jobqueue.State) {
	for e, err := range p.model.List(p.Context(), jobqueue.Filter{IDs: []string{p.ids[id]}}) {
		p.ok(err, "List of the model")
		s = e.State
	}
	return s
}

func (p *player) popByID(n int) {
	for e, err := range p.model.List(p.Context(), jobqueue.Filter{}) {
		p.ok(err, "List of the model")
		if n--; n < 0 {
			want := jobqueue.Want{Name: e.Name, Max: 1, ID: p.native[e.ID]}
			p.sweep()
			l := p.lease(0)
			c := popCall{l, []jobqueue.Want{want}, nil, p.now}
			got, err := p.b.Pop(p.Context(), c.lease, c.wants...)
			p.ok(err, "Pop")
			for _, claim := range got {
				l.Token = claim.Token
			}
			c.model = []modelPop{{l.Token, []jobqueue.Want{{Name: e.Name, Max: 1, ID: e.ID}}}}
			p.popped(c, got)
			return
		}
	}
}

func (p *player) repeatPop(n int) {
	if c, ok := pick(p.pops, n); ok && p.now-c.at < memory {
		p.sweep()
		got, err := p.b.Pop(p.Context(), c.lease, c.wants...)
		p.ok(err, "Pop")
		p.popped(c, got)
	}
}

// popped lets the model pop too, and compares what it hands out with what the backend did.
func (p *player) popped(c popCall, got []*jobqueue.Claim) {
	byID := map[string]*jobqueue.Claim{}
	for _, m := range c.model {
		l := c.lease
		l.Token = m.token
		want, err := p.model.Pop(p.Context(), l, m.wants...)
		p.ok(err, "Pop of the model")
		for _, w := range want {
			byID[w.ID] = w
		}
	}
	for _, g := range got {
		w := byID[p.ids[g.ID]]
		if w == nil {
			p.Fatalf("Pop handed out job %s, the model does not", g.Params)
		}
		if a, b := describeClaim(g), describeClaim(w); a != b {
			p.Fatalf("Pop = %s, want %s", a, b)
		}
		delete(byID, w.ID)
		p.claims = append(p.claims, &twoClaims{g, w})
	}
	for _, w := range byID {
		p.Fatalf("Pop did not hand out job %s, the model does", w.Params)
	}
	if len(got) > 0 {
		p.pops = append(p.pops, c)
	}
}

func describeClaim(c *jobqueue.Claim) string {
	return fmt.Sprintf("job %s of %v: root %v, %d failures, %d expiries, error %q, superseded %v",
		c.Params, c.Name, describeRoot(c.Root), c.Failures, c.Expiries, c.LastError, c.Superseded)
}

func describeRoot(r jobqueue.Root) string {
	if r.Key == "" {
		return "none"
	}
	return r.Key + " of " + r.Time.UTC().Format(time.RFC3339Nano)
}

func (p *player) settle(n int, o jobqueue.Outcome) {
	if c, ok := pick(p.claims, n); ok {
		p.settleBoth(settlement{c, o, p.now})
	}
}

func (p *player) repeatSettle(n int) {
	if s, ok := pick(p.settled, n); ok {
		p.settleBoth(s)
	}
}

func (p *player) settleBoth(s settlement) {
	for _, before := range p.settled {
		if before.c.b.Token == s.c.b.Token && before.c.b.ID == s.c.b.ID && p.now-before.at > memory {
			return // It may be forgotten by now.
		}
	}
	s.at = p.now
	p.settled = append(p.settled, s)
	o := s.o
	o.Claim = s.c.b
	got, err := p.b.Settle(p.Context(), o)
	p.ok(err, "Settle")
	o.Claim = s.c.model
	want, err := p.model.Settle(p.Context(), o)
	p.ok(err, "Settle of the model")
	if len(got) != len(want) {
		p.Fatalf("Settle of job %s lost %d claims, want %d", s.c.b.Params, len(got), len(want))
	}
}

func (p *player) settleStale(n int) {
	if c, ok := pick(p.claims, n); ok {
		s := twoClaims{stray(c.b), c.model}
		s.model = stray(c.model)
		p.settleBoth(settlement{&s, everyWay(nil)[n%4], p.now})
	}
}

func (p *player) extend(n int) {
	if c, ok := pick(p.claims, n); ok {
		ttl := fuzzLeases[n/4%len(fuzzLeases)]
		got, err := p.b.Extend(p.Context(), ttl, c.b.Token)
		p.ok(err, "Extend")
		want, err := p.model.Extend(p.Context(), ttl, c.model.Token)
		p.ok(err, "Extend of the model")
		if len(got) != len(want) || len(got) > 0 && got[0] != c.b.Token {
			p.Fatalf("Extend of the claim %v of job %s lost %v, want %d", c.b.Token, c.b.Params, got, len(want))
		}
	}
}

func (p *player) maintain() {
	got, err := p.b.Maintain(p.Context())
	p.ok(err, "Maintain")
	want, err := p.model.Maintain(p.Context())
	p.ok(err, "Maintain of the model")
	if got.Pruned != want.Pruned || got.Recycled != want.Recycled {
		p.Fatalf("Maintain = %+v, want %+v but for what is released or forgotten", got, want)
	}
}

// change deletes or requeues one job, or those of a queue in one state.
func (p *player) change(op string, do func(jobqueue.Backend, context.Context, jobqueue.Filter) (int, error), n int) {
	q := p.queues[n/4%2]
	mine := jobqueue.Filter{Domain: q.Domain, Type: q.Type}
	if n%3 == 2 {
		mine.States = []jobqueue.State{jobqueue.State(1 + n/8%4)}
	}
	theirs := mine
	if e, ok := pick(p.stored(), n/3); ok && n%3 == 0 {
		mine = jobqueue.Filter{IDs: []string{p.native[e.ID]}, States: jobqueue.States()}
		theirs = jobqueue.Filter{IDs: []string{e.ID}, States: jobqueue.States()}
	}
	got, err := do(p.b, p.Context(), mine)
	p.ok(err, op)
	want, err := do(p.model, p.Context(), theirs)
	p.ok(err, op+" of the model")
	if got != want {
		p.Fatalf("%s of %+v = %d, want %d", op, mine, got, want)
	}
}

func (p *player) mark(n int) {
	m := jobqueue.Mark{Name: p.queues[0], Key: key(n % 2)}
	if n/2%4 > 0 {
		m.Time = day(n / 2 % 4)
	}
	var times [2]string
	for i, b := range p.both() {
		at, err := b.MarkRoots(p.Context(), m)
		p.ok(err, "MarkRoots")
		times[i] = at[0].UTC().String()
	}
	if times[0] != times[1] {
		p.Fatalf("MarkRoots(%+v) = %s, want %s", m, times[0], times[1])
	}
}

func (p *player) ready(n int) {
	p.sweep()
	var names [2][]string
	for i, b := range p.both() {
		for r, err := range b.Ready(p.Context(), p.queues[:n%3]...) {
			if p.ok(err, "Ready"); r.Domain == p.queues[0].Domain {
				names[i] = append(names[i], r.Type)
			}
		}
		slices.Sort(names[i])
	}
	if !slices.Equal(names[0], names[1]) {
		p.Fatalf("Ready yields %v, want %v", names[0], names[1])
	}
}

// stored returns what the model holds.
func (p *player) stored() (entries []jobqueue.Entry) {
	for e, err := range p.model.List(p.Context(), jobqueue.Filter{}) {
		p.ok(err, "List of the model")
		entries = append(entries, e)
	}
	return entries
}

// compare compares all that is stored and the counts.
func (p *player) compare() {
	p.Helper()
	var got, want []string
	for e, err := range p.b.List(p.Context(), jobqueue.Filter{Domain: p.queues[0].Domain}) {
		p.ok(err, "List")
		got = append(got, describeEntry(e, p.ids[e.ID]))
	}
	for _, e := range p.stored() {
		want = append(want, describeEntry(e, e.ID))
	}
	if p.loose {
		slices.Sort(want)
		slices.Sort(got)
	}
	if d := cmp.Diff(want, got); d != "" {
		p.Fatalf("the backend at %v (-want +got):\n%s", p.begin.Add(p.now), d)
	}
	counts, err := p.b.Counts(p.Context(), p.queues[:]...)
	p.ok(err, "Counts")
	for i, w := range p.counts() {
		if w.Age = counts[i].Age; counts[i] != w {
			p.Fatalf("Counts = %+v, want %+v", counts[i], w)
		}
	}
}

func describeEntry(e jobqueue.Entry, id string) string {
	return fmt.Sprintf("%s %s %s %v: root %v, %d failures, %d expiries, error %q, deduplicated %v, owner %q, pushed %v, ready %v, expires %v, kept until %v",
		id, e.Name, e.Params, e.State, describeRoot(e.Root), e.Failures, e.Expiries, e.LastError,
		e.Digest != jobqueue.Digest{}, e.Owner, e.QueuedAt.UTC(), e.ReadyAt.UTC(), e.Expires.UTC(), e.PruneAt.UTC())
}
