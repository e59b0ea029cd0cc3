package queuetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

var leaseRules = []testCase{
	{"ends", "a lease that ends unextended gives each unsettled job back: its expiries go up by one, and it is ready", testLeaseEnds},
	{"lasts", "only while the lease lasts does the claim hold, and that long", testLeaseLasts},
	{"default", "a lease of the default length is kept like any other", testLeaseDefault},
	{"one claim", "every Pop opens one claim on all the jobs it returns", testLeaseOneClaim},
	{"settled stay", "a lease that ends gives each unsettled job back, and no other", testLeaseSettledStay},
	{"each its own", "a claim is for the length of its own lease", testLeaseEachItsOwn},
	{"expiries", "the expiries of a job go up by one each time its lease ends", testLeaseExpiries},
	{"extended", "Extend gives the claims of each token a new lease of ttl from now", testLeaseExtended},
	{"extended by another", "Extend gives a new lease of ttl, whatever the one before was", testLeaseExtendedBy},
	{"extend lost", "Extend returns the tokens that hold no claim any more; the others are extended", testLeaseExtendLost},
	{"extend partly settled", "Extend returns the tokens that hold no claim any more: not one that holds some", testLeaseExtendPartly},
	{"extend many", "Extend works on a batch", testLeaseExtendMany},
	{"extend late", "until a sweep has found it, a claim whose lease has ended can still be extended", testLeaseExtendLate},
	{"extend after a part ended", "Extend returns the tokens that hold no claim any more: none is held whose job was given back because the lease ended", testLeaseEndsInPart},
	{"kept alive", "while heartbeats arrive a job is never handed out twice", testLeaseKeptAlive},
	{"swept by pops", "any Pop that finds the last sweep more than a second old while there are claims makes one", testLeaseSweptByPops},
	{"swept by polls", "any Ready that finds the last sweep more than a second old while there are claims makes one", testLeaseSweptByPolls},
}

func testLeaseEnds(t *tester) {
	t.stores(jobs(1, 2)...)
	t.hands(1, 2)
	if m := t.advance(lease + lease/2); m.Recycled != 2 {
		t.Fatalf("Maintain recycled %d jobs, want 2", m.Recycled)
	}
	t.counts(2, 0, 0, 0)
	for _, c := range t.hands(1, 2) {
		if c.Expiries != 1 || c.Failures != 0 {
			t.Fatalf("the job has %d expiries and %d failures, want 1 and 0", c.Expiries, c.Failures)
		}
	}
}

func testLeaseLasts(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	if m := t.advance(lease / 2); m.Recycled != 0 {
		t.Fatalf("Maintain recycled %d jobs after half a lease", m.Recycled)
	}
	t.counts(0, 0, 1, 0)
	t.settle(done(c))
}

func testLeaseDefault(t *tester) {
	l := newLease()
	l.TTL = jobqueue.Policy{}.WithDefaults().Lease
	step := l.TTL / 8
	t.stores(job(1))
	t.popAs(l, t.want(t.q.Type, 1))
	t.advanceBy(step, l.TTL*5/8)
	t.extendBy(l.TTL, []uuid.UUID{l.Token})
	t.advanceBy(step, l.TTL*5/8)
	t.hands()
	if m := t.advanceBy(step, l.TTL); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs, want 1", m.Recycled)
	}
	t.hands(1)
}

// underTokens wants claims to have the token of their Pop or, where that makes several, those of a domain to have one.
func (t *tester) underTokens(l jobqueue.Lease, claims []*jobqueue.Claim) {
	t.Helper()
	first := map[string]uuid.UUID{}
	for _, c := range claims {
		want, ok := first[c.Domain]
		if !t.split {
			want = l.Token
		} else if !ok {
			want = c.Token
		}
		if first[c.Domain] = want; c.Token != want && !t.loose {
			t.Fatalf("Pop returned the token %v, want %v", c.Token, want)
		}
	}
}

func testLeaseOneClaim(t *tester) {
	t.stores(job(1), typed(job(2), "b"), job(3))
	l := newLease()
	claims := t.popAs(l, t.want(t.q.Type, 2), t.want("b", 1))
	t.settle(done(claims[0]))
	t.advance(lease * 2 / 3)
	t.extend([]uuid.UUID{l.Token})
	t.advance(lease * 2 / 3)
	t.settle(done(claims[1]), done(claims[2]))
}

func testLeaseSettledStay(t *tester) {
	t.stores(jobs(1, 4)...)
	c := t.hands(1, 2, 3, 4)
	t.settle(done(c[0]), abandon(c[1], time.Hour), retry(c[2], time.Hour))
	if m := t.advance(lease + lease/2); m.Recycled != 1 {
		t.Fatalf("Maintain recycled %d jobs, want 1", m.Recycled)
	}
	t.counts(1, 1, 0, 1)
	t.hands(4)
}

func testLeaseEachItsOwn(t *tester) {
	t.stores(jobs(1, 2)...)
	t.popAs(longLease(), t.want(t.q.Type, 1))
	t.hands(2)
	t.advance(lease + lease/2)
	t.hands(2)
	t.counts(0, 0, 2, 0)
}

func testLeaseExpiries(t *tester) {
	t.stores(job(1))
	for n := range 4 {
		if c := t.hands(1)[0]; c.Expiries != n {
			t.Fatalf("the job has %d expiries, want %d", c.Expiries, n)
		}
		t.advance(lease + lease/2)
	}
}

func testLeaseExtended(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.advance(lease * 2 / 3)
	t.extend([]uuid.UUID{c.Token})
	e := t.entry(c.ID)
	if d := e.Expires.Sub(e.QueuedAt); d != lease*5/3 {
		t.Fatalf("the lease ends %v after the Pop, want 5/3 of %v", d, lease)
	}
	t.advance(lease / 2)
	t.hands()
	t.advance(lease)
	t.hands(1)
}

func testLeaseExtendedBy(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.extendBy(10*lease, []uuid.UUID{c.Token})
	t.advance(2 * lease)
	t.hands()
	t.extendBy(lease, []uuid.UUID{c.Token})
	t.advance(lease + lease/2)
	t.hands(1)
}

func testLeaseExtendLost(t *tester) {
	t.stores(jobs(1, 3)...)
	expired := t.takes(1)[0]
	t.advance(lease + lease/2)
	settled, held := t.takes(2)[0], t.takes(3)[0]
	t.settle(done(settled))
	unknown := uuid.New()
	t.extend([]uuid.UUID{expired.Token, held.Token, unknown, settled.Token}, expired.Token, unknown, settled.Token)
	t.counts(1, 0, 1, 0)
}

func testLeaseExtendPartly(t *tester) {
	t.stores(jobs(1, 3)...)
	c := t.hands(1, 2, 3)
	t.settle(done(c[0]), retry(c[1], time.Hour))
	t.extend([]uuid.UUID{c[0].Token})
	t.settle(done(c[2]))
	t.extend([]uuid.UUID{c[0].Token}, c[0].Token)
}

func testLeaseExtendMany(t *tester) {
	t.stores(jobs(1, 50)...)
	var tokens []uuid.UUID
	for range 50 {
		l := longLease()
		t.popAs(l, t.want(t.q.Type, 1))
		tokens = append(tokens, l.Token)
	}
	t.extendBy(10*lease, tokens)
	t.advance(8 * lease)
	t.counts(0, 0, 50, 0)
}

func longLease() jobqueue.Lease {
	l := newLease()
	l.TTL = 5 * lease
	return l
}

func testLeaseExtendLate(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	t.jump(2 * lease)
	t.extend([]uuid.UUID{c.Token})
	t.advance(lease / 2)
	t.settle(done(c))
}

// What is of one Pop may be in several places, of which a sweep has seen but one. Where nothing is, all of it ends at once.
func testLeaseEndsInPart(t *tester) {
	const domains = 12
	var records []jobqueue.Record
	var wants []jobqueue.Want
	for i := range domains {
		r := job(i)
		r.Name = jobqueue.Name{Domain: fmt.Sprint(t.q.Domain, i), Type: "work"}
		records, wants = append(records, r), append(wants, jobqueue.Want{Name: r.Name, Max: 1})
	}
	t.stores(records...)
	claims := t.popAs(newLease(), wants...)
	if len(claims) != domains {
		t.Fatalf("Pop handed out %d jobs, want %d", len(claims), domains)
	}
	t.lapseNow()
	t.same(t.popAs(newLease(), jobqueue.Want{Name: wants[0].Name, Max: 2}), 0)
	tokens := make([]uuid.UUID, domains)
	for i, c := range claims {
		tokens[i] = c.Token
	}
	slices.SortFunc(tokens, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	gone, err := t.b.Extend(t.Context(), lease, slices.Compact(tokens)...)
	t.ok(err, "Extend")
	var lost []*jobqueue.Claim
	for _, c := range claims {
		if slices.Contains(gone, c.Token) {
			lost = append(lost, c)
		}
	}
	if !slices.ContainsFunc(lost, func(c *jobqueue.Claim) bool { return numberOf(c.Params) == 0 }) {
		t.Fatalf("Extend says that a claim is held whose job another has")
	}
	t.loses(lost, each(claims, jobqueue.Outcome{Do: jobqueue.ActionDone})...)
}

func testLeaseKeptAlive(t *tester) {
	t.stores(job(1))
	c := t.hands(1)[0]
	for range 12 {
		t.advance(lease / 2)
		t.extend([]uuid.UUID{c.Token})
		t.hands()
	}
	t.settle(done(c))
	t.counts(0, 0, 0, 0)
}

// A sweep must be made when the last one is so old, and so many end a lease.
const (
	oldSweep       = 1100 * time.Millisecond
	sweepsPerLease = int(lease/oldSweep) + 1
)

func testLeaseSweptByPops(t *tester) {
	t.stores(append(jobs(1, 40), typed(job(99), "dead"))...)
	t.same(t.popAs(newLease(), t.want("dead", 1)), 99)
	for n := range sweepsPerLease {
		t.jump(oldSweep)
		t.settle(done(t.takes(n + 1)[0])) // never short
	}
	t.same(t.popAs(newLease(), t.want("dead", 1)), 99)
}

func testLeaseSweptByPolls(t *tester) {
	t.stores(job(1))
	t.takes(1)
	for range sweepsPerLease {
		t.jump(oldSweep)
		t.ready()
	}
	if found := t.ready(); len(found) != 1 || found[0].Name != t.q {
		t.Fatalf("Ready yields %+v, want the queue of the dead runner's job", found)
	}
	t.hands(1)
}
