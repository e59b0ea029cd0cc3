//go:build linux

package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A checker finds what in a log must not be. It knows nothing of how anything works.
type checker struct {
	parts bool // the store is made of several, so that what goes elsewhere when one is away may be there twice
	over  bool // all jobs have been run by the end of the log
	began int64

	jobs   map[string]*job     // by id
	pushes map[string]*pushLog // by push id
	leases map[string]*tenure  // by token of the claims
	pops   map[string]int64    // by token of the pop: when it was first called
	roots  map[string][]rootLog
	faults []*event
	late   []lateStart

	longest int64    // call
	found   []string // what must not be
	noted   map[string]int
}

// longestCall is how long any call may take: twice as long as a store waits for a server, and as long as a process is stopped.
const longestCall = time.Minute

// A job is all that is known of one.
type job struct {
	id     string
	number string
	queue  string
	digest string
	in     *event // the push that was confirmed to have stored it
	drops  []*event
	claims []*claim
	starts int
}

// A claim is a job in somebody's hand, as far as that process knows.
type claim struct {
	claimEvent
	job    *job
	by     string
	called int64 // when the pop was first called
	from   int64 // when it was answered
	ends   int64 // when its lease does, as far as was confirmed
	done   int64 // when its settlement was first tried, or it was known to be lost; 0 for never
	tried  []jobqueue.Action
	lost   bool  // by what it was told
	doubt  bool  // its lease was extended when it may have ended
	kept   int64 // when a settlement was confirmed; 0 for never
}

// A tenure is all that is held by one token.
type tenure struct {
	by string
	of []*claim
}

type pushLog struct {
	first int64 // when it was first called
	done  *event
}

type rootLog struct {
	at     int64 // its time
	pushed int64 // when it was first pushed
}

func newChecker(log []event, parts bool) *checker {
	c := &checker{
		parts: parts, jobs: map[string]*job{}, pushes: map[string]*pushLog{}, leases: map[string]*tenure{},
		pops: map[string]int64{}, roots: map[string][]rootLog{}, noted: map[string]int{},
	}
	if len(log) > 0 {
		c.began = log[0].Begin
	}
	for i := range log {
		c.read(&log[i])
	}
	return c
}

// check returns what must not be. Whether jobs are lost is known only when all have been run.
func (c *checker) check(over bool) []string {
	if c.over = over; over {
		c.checkLost()
	}
	c.checkNumbers()
	c.checkWaiting()
	c.checkDrops()
	c.checkOverlaps()
	c.checkOnce()
	c.checkLate()
	return c.found
}

// bad notes what must not be.
func (c *checker) bad(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *checker) job(id string) *job {
	j := c.jobs[id]
	if j == nil {
		j = &job{id: id}
		c.jobs[id] = j
	}
	return j
}

// read takes in an event; they come in the order of their ends.
func (c *checker) read(e *event) {
	if e.End > 0 && e.Kind != fault {
		c.noted["calls"]++
		if e.Err != "" {
			c.noted["calls that failed"]++
		}
		if took := span(e.End - e.Begin); took > longestCall {
			c.bad("%s waited %v for the answer to %s%s", e.By, took, e.Kind, e.What)
		}
		c.longest = max(c.longest, e.End-e.Begin)
	}
	switch e.Kind {
	case pushing:
		p := c.pushes[e.ID]
		if p == nil {
			p = &pushLog{first: e.Begin}
			c.pushes[e.ID] = p
		}
		for _, j := range e.Jobs {
			if j.Root != "" {
				c.roots[j.Root] = append(c.roots[j.Root], rootLog{j.At, e.Begin})
			}
		}
	case pushed:
		c.readPushed(e)
	case popping:
		if _, again := c.pops[e.Token]; !again {
			c.pops[e.Token] = e.Begin
		}
	case popped:
		for i := range e.Claims {
			c.readClaim(e, &e.Claims[i])
		}
	case settling, settled:
		for _, o := range e.Outcomes {
			c.readOutcome(e, o)
		}
	case extended:
		for _, t := range e.Tokens {
			c.readExtended(e, t)
		}
	case started:
		c.readStart(e)
	case fault:
		c.faults = append(c.faults, e)
	}
}

func (c *checker) readPushed(e *event) {
	p := c.pushes[e.ID]
	if e.Err != "" {
		return
	}
	if p == nil {
		c.bad("push %s was answered and never called", e.ID)
		return
	}
	if p.done != nil {
		for i, x := range e.Jobs {
			if was := p.done.Jobs[i]; x != was && !(c.parts && part(x.ID) != part(was.ID)) {
				c.bad("push %s was answered %+v, and again %+v", e.ID, was, x)
			}
		}
		return
	}
	first := *e
	first.Begin = p.first // It may have been stored by any of the calls.
	p.done = &first
	for _, x := range e.Jobs {
		j := c.job(x.ID)
		if x.Dup {
			j.drops = append(j.drops, p.done)
			continue
		}
		if j.in != nil {
			c.bad("job %s was stored by push %s and by push %s", x.ID, j.in.ID, e.ID)
		}
		j.in, j.number, j.queue, j.digest = p.done, x.Number, x.Queue, x.Digest
	}
}

func (c *checker) readClaim(e *event, x *claimEvent) {
	called, ok := c.pops[e.Token]
	if !ok {
		c.bad("pop %s was answered and never called", e.Token)
	}
	j := c.job(x.ID)
	j.number, j.queue = x.Number, x.Queue
	l := c.leases[x.Token]
	if l == nil {
		l = &tenure{by: e.By}
		c.leases[x.Token] = l
	}
	if l.by != e.By {
		c.bad("token %s is held by %s and %s", x.Token, l.by, e.By)
	}
	for _, k := range j.claims {
		if k.Token == x.Token {
			k.ends = max(k.ends, x.Expires)
			return // The pop was repeated.
		}
		if k.kept > 0 && k.over() && k.kept < called {
			c.bad("job %s (%s) was handed to %s at %v, after %s was told at %v that it was settled for good", j.id, j.number, e.By, c.at(e.End), k.by, c.at(k.kept))
		}
	}
	k := &claim{claimEvent: *x, job: j, by: e.By, called: called, from: e.End, ends: x.Expires}
	if x.Superseded && !c.newer(x, e.End) {
		c.bad("job %s (%s) is superseded, but nobody pushed a newer root", j.id, j.number)
	}
	j.claims = append(j.claims, k)
	l.of = append(l.of, k)
}

// newer reports whether a newer root was pushed by then.
func (c *checker) newer(x *claimEvent, by int64) bool {
	return slices.ContainsFunc(c.roots[x.Root], func(r rootLog) bool { return r.at > x.At && r.pushed < by })
}

// over reports whether the claim was settled, if it was, so that the job does not come back. What the first settlement
// did holds, whatever those say that follow.
func (k *claim) over() bool {
	return len(k.tried) > 0 && !slices.ContainsFunc(k.tried, func(a jobqueue.Action) bool { return a != jobqueue.ActionDone && a != jobqueue.ActionAbandon })
}

func (c *checker) claim(id, token string) *claim {
	for _, k := range c.job(id).claims {
		if k.Token == token {
			return k
		}
	}
	return nil
}

func (c *checker) readOutcome(e *event, o outcomeEvent) {
	k := c.claim(o.ID, o.Token)
	if k == nil {
		c.bad("%s settles job %s, of which it has no claim %s", e.By, o.ID, o.Token)
		return
	}
	if k.done == 0 {
		k.done = e.Begin
	}
	if e.Kind == settling {
		k.tried = append(k.tried, o.Do)
	}
	if e.Kind == settling || o.Open {
		return
	}
	if o.Lost {
		c.lose(k, e)
	} else if k.kept == 0 {
		k.kept = e.End
		if k.lost {
			c.bad("%s was told that its claim of job %s is lost, and then at %v that it is settled", k.by, o.ID, c.at(e.End))
		}
	}
}

// lose notes that somebody was told that a claim is lost.
func (c *checker) lose(k *claim, e *event) {
	if k.kept > 0 {
		c.bad("%s was told at %v that its claim of job %s is lost, after that it is settled", k.by, c.at(e.End), k.ID)
	}
	if e.End < k.ends {
		c.bad("%s was told at %v that its claim of job %s (%s) is lost, %v before the end of its lease", k.by, c.at(e.End), k.ID, k.job.number, span(k.ends-e.End))
	}
	if k.lost = true; k.done == 0 {
		k.done = e.Begin
	}
}

func (c *checker) readExtended(e *event, t tokenEvent) {
	l := c.leases[t.Token]
	switch {
	case t.Open:
	case l == nil:
		c.bad("%s extends a lease %s that it does not have", e.By, t.Token)
	case t.Lost:
		for _, k := range l.of {
			if k.done == 0 {
				c.lose(k, e)
			}
		}
	default:
		c.extend(l, e)
	}
}

// extend notes a lease that has become longer. If it may have ended before, some of its jobs may be gone all the same.
func (c *checker) extend(l *tenure, e *event) {
	live := slices.DeleteFunc(slices.Clone(l.of), func(k *claim) bool { return k.lost || k.kept > 0 && k.kept < e.Begin })
	if len(live) == 0 {
		c.bad("a lease of %s was extended at %v, though it holds no claim any more", e.By, c.at(e.End))
	}
	for _, k := range live {
		if e.End <= k.ends || len(live) == 1 {
			k.ends = max(k.ends, e.Begin+e.TTL)
		} else {
			k.doubt = true
		}
	}
}

func (c *checker) readStart(e *event) {
	k := c.claim(e.ID, e.Token)
	if k == nil {
		c.bad("%s runs job %s without a claim", e.By, e.ID)
		return
	}
	k.job.starts++
	if k.lost {
		c.bad("%s runs job %s at %v, after it was told that its claim is lost", e.By, e.ID, c.at(e.Begin))
	}
	if e.Begin > k.ends && k.kept == 0 && !k.doubt { // One that runs at most once is settled before.
		c.late = append(c.late, lateStart{k, e, k.ends})
	}
}

// A lateStart is a run that began after its lease had ended.
type lateStart struct {
	*claim
	*event
	ended int64
}

// at says when something was, from the beginning of the log.
func (c *checker) at(t int64) time.Duration { return span(t - c.began) }

func span(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// summary says what was seen, for people.
func (c *checker) summary() string {
	stored, dropped, claims, starts, lost, superseded := 0, 0, 0, 0, 0, 0
	for _, j := range c.jobs {
		if j.in != nil {
			stored++
		}
		dropped += len(j.drops)
		claims += len(j.claims)
		starts += j.starts
		for _, k := range j.claims {
			if k.lost {
				lost++
			}
			if k.Superseded {
				superseded++
			}
		}
	}
	s := fmt.Sprintf("%d jobs stored, %d dropped, %d claims, %d runs, %d claims lost, %d superseded, longest call %v", stored, dropped, claims, starts, lost, superseded, span(c.longest))
	for _, what := range slices.Sorted(maps.Keys(c.noted)) {
		s += fmt.Sprintf("; %s %d", what, c.noted[what])
	}
	return s
}
