package queuetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// lease is how long claims last in the tests.
const lease = 3 * time.Second

// A tester tests one rule on a backend, with a queue of its own there.
// Its verbs fail the test with the rule when the backend's answer is another one.
type tester struct {
	*testing.T
	rule  string
	open  func(testing.TB) jobqueue.Backend
	b     jobqueue.Backend
	clock Clock
	now   time.Time // what the backend's clock says
	q     jobqueue.Name
	loose bool // the backend is a Spread
	split bool // or a Split
}

func newTester(t *testing.T, rule string, open func(testing.TB) jobqueue.Backend) *tester {
	x := &tester{
		T: t, rule: rule, open: open,
		now: time.Now().UTC().Truncate(time.Millisecond),
		q:   jobqueue.Name{Domain: "test-" + uuid.NewString(), Type: "work"},
	}
	x.b = x.another()
	x.clock = x.b.(Clock)
	_, x.loose = x.b.(Spread)
	_, x.split = x.b.(Split)
	x.maintain() // The store is in use.
	return x
}

// another opens a backend whose clock stands where the tester's does.
func (t *tester) another() jobqueue.Backend {
	t.Helper()
	b := t.open(t.T)
	stopClock(t.T, b, t.now)
	return b
}

func stopClock(t *testing.T, b jobqueue.Backend, at time.Time) {
	t.Helper()
	c, ok := b.(Clock)
	if !ok {
		t.Fatalf("%T is no Clock, without which leases and delays cannot be tested", b)
	}
	c.StopClock(at)
}

// Fatalf ends the test with the rule that does not hold.
func (t *tester) Fatalf(format string, args ...any) {
	t.Helper()
	t.T.Fatalf("the rule is: %s\nbut %s", t.rule, fmt.Sprintf(format, args...))
}

// Errorf fails the test with the rule that does not hold.
func (t *tester) Errorf(format string, args ...any) {
	t.Helper()
	t.T.Errorf("the rule is: %s\nbut %s", t.rule, fmt.Sprintf(format, args...))
}

func (t *tester) ok(err error, op string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
}

// named fills in the tester's queue where a record names none.
func (t *tester) named(records []jobqueue.Record) []jobqueue.Record {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i].Name
		r.Domain = cmp.Or(r.Domain, t.q.Domain)
		r.Type = cmp.Or(r.Type, t.q.Type)
	}
	return records
}

func (t *tester) push(records ...jobqueue.Record) jobqueue.Pushed {
	t.Helper()
	return t.pushAs(uuid.Must(uuid.NewV7()), records...)
}

func (t *tester) pushAs(id uuid.UUID, records ...jobqueue.Record) jobqueue.Pushed {
	t.Helper()
	pushed, err := t.b.Push(t.Context(), id, t.named(records))
	t.ok(err, "Push")
	if len(pushed) != len(records) {
		t.Fatalf("Push of %d jobs answers for %d", len(records), len(pushed))
	}
	for i, p := range pushed {
		if p.ID == "" || p.Err != nil {
			t.Fatalf("Push says of job %d: %+v, want an ID and no error", i, p)
		}
	}
	return pushed
}

// stores pushes records that must all be stored and returns their IDs.
func (t *tester) stores(records ...jobqueue.Record) []string {
	t.Helper()
	pushed := t.push(records...)
	if n := pushed.Stored(); n != len(records) {
		t.Fatalf("Push stored %d of %d jobs: %+v", n, len(records), pushed)
	}
	return ids(pushed)
}

// drops pushes records that must all be dropped as duplicates of the job id.
func (t *tester) drops(id string, records ...jobqueue.Record) {
	t.Helper()
	for i, p := range t.push(records...) {
		if !p.Duplicate || p.ID != id {
			t.Fatalf("Push says of job %d: %+v, want a duplicate of %s", i, p, id)
		}
	}
}

func newLease() jobqueue.Lease {
	return jobqueue.Lease{Token: uuid.New(), TTL: lease, Owner: "queuetest"}
}

func (t *tester) popAs(l jobqueue.Lease, wants ...jobqueue.Want) []*jobqueue.Claim {
	t.Helper()
	claims, err := t.b.Pop(t.Context(), l, wants...)
	t.ok(err, "Pop")
	t.underTokens(l, claims)
	return claims
}

// pop claims up to n jobs of the tester's queue.
func (t *tester) pop(n int) []*jobqueue.Claim {
	t.Helper()
	return t.popAs(newLease(), jobqueue.Want{Name: t.q, Max: n})
}

// hands pops one job more than it is given numbers of, and wants these and no more, in this order.
func (t *tester) hands(numbers ...int) []*jobqueue.Claim {
	t.Helper()
	claims := t.pop(len(numbers) + 1)
	t.same(claims, numbers...)
	return claims
}

// takes pops as many jobs as it is given numbers, and wants these in this order.
func (t *tester) takes(numbers ...int) []*jobqueue.Claim {
	t.Helper()
	claims := t.pop(len(numbers))
	t.same(claims, numbers...)
	return claims
}

// oldest pops one job, which must be this one. Where jobs have no order it is asked for by its ID.
func (t *tester) oldest(number int, id string) *jobqueue.Claim {
	t.Helper()
	if !t.loose {
		return t.takes(number)[0]
	}
	claims := t.popAs(newLease(), jobqueue.Want{Name: t.q, ID: id})
	t.same(claims, number)
	return claims[0]
}

// same wants claims to be the jobs with these numbers in this order. Those of one queue it puts in order itself
// if they have none.
func (t *tester) same(claims []*jobqueue.Claim, numbers ...int) {
	t.Helper()
	if t.loose {
		arrange(claims, numbers)
	}
	if got := numbersOf(claims); !slices.Equal(got, numbers) {
		t.Fatalf("Pop handed out the jobs %v, want %v", got, numbers)
	}
}

// arrange puts claims in the order of the numbers, as far as they can be without moving any from one queue's to another's.
func arrange(claims []*jobqueue.Claim, numbers []int) {
	for from := 0; from < len(claims); {
		to := from + 1
		for to < len(claims) && claims[to].Name == claims[from].Name {
			to++
		}
		for i := from; i < min(to, len(numbers)); i++ {
			for k := i; k < to; k++ {
				if numberOf(claims[k].Params) == numbers[i] {
					claims[i], claims[k] = claims[k], claims[i]
					break
				}
			}
		}
		from = to
	}
}

func (t *tester) settle(outcomes ...jobqueue.Outcome) {
	t.Helper()
	t.loses(nil, outcomes...)
}

// loses settles and wants the claims to be reported as lost, in any order.
func (t *tester) loses(lost []*jobqueue.Claim, outcomes ...jobqueue.Outcome) {
	t.Helper()
	got, err := t.b.Settle(t.Context(), outcomes...)
	t.ok(err, "Settle")
	if a, b := fences(got), fences(lost); !slices.Equal(a, b) {
		t.Fatalf("Settle lost the claims %v, want %v", a, b)
	}
}

// fences returns what identifies each claim, sorted.
func fences(claims []*jobqueue.Claim) []string {
	all := make([]string, len(claims))
	for i, c := range claims {
		all[i] = c.Token.String() + " " + c.ID
	}
	slices.Sort(all)
	return all
}

// extend extends by a lease and wants these tokens to be lost.
func (t *tester) extend(tokens []uuid.UUID, lost ...uuid.UUID) {
	t.Helper()
	t.extendBy(lease, tokens, lost...)
}

func (t *tester) extendBy(ttl time.Duration, tokens []uuid.UUID, lost ...uuid.UUID) {
	t.Helper()
	got, err := t.b.Extend(t.Context(), ttl, tokens...)
	t.ok(err, "Extend")
	byText := func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, byText)
	slices.SortFunc(lost, byText)
	if !slices.Equal(got, lost) {
		t.Fatalf("Extend lost the tokens %v, want %v", got, lost)
	}
}

// counts wants the tester's queue to hold so many jobs in each state.
func (t *tester) counts(ready, delayed, claimed, abandoned int) {
	t.Helper()
	t.countsOf(t.q, ready, delayed, claimed, abandoned)
}

func (t *tester) countsOf(n jobqueue.Name, ready, delayed, claimed, abandoned int) {
	t.Helper()
	got := t.count(n)
	got.Age = 0
	if want := (jobqueue.Counts{Name: n, Ready: ready, Delayed: delayed, Claimed: claimed, Abandoned: abandoned}); got != want {
		t.Fatalf("Counts = %+v, want %+v", got, want)
	}
}

func (t *tester) count(n jobqueue.Name) jobqueue.Counts {
	t.Helper()
	all, err := t.b.Counts(t.Context(), n)
	t.ok(err, "Counts")
	if len(all) != 1 || all[0].Name != n {
		t.Fatalf("Counts(%v) = %+v", n, all)
	}
	return all[0]
}

// ready returns what Ready yields of the tester's domain, for these types or all.
func (t *tester) ready(types ...string) []jobqueue.Backlog {
	t.Helper()
	var names []jobqueue.Name
	for _, typ := range types {
		names = append(names, jobqueue.Name{Domain: t.q.Domain, Type: typ})
	}
	var found []jobqueue.Backlog
	for r, err := range t.b.Ready(t.Context(), names...) {
		t.ok(err, "Ready")
		if r.Domain == t.q.Domain {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b jobqueue.Backlog) int { return strings.Compare(a.Type, b.Type) })
	return found
}

// list returns the jobs of the tester's domain that f matches.
func (t *tester) list(f jobqueue.Filter) []jobqueue.Entry {
	t.Helper()
	f.Domain = t.q.Domain
	var found []jobqueue.Entry
	for e, err := range t.b.List(t.Context(), f) {
		t.ok(err, "List")
		found = append(found, e)
	}
	return found
}

// entry returns one stored job.
func (t *tester) entry(id string) jobqueue.Entry {
	t.Helper()
	found := t.list(jobqueue.Filter{IDs: []string{id}})
	if len(found) != 1 || found[0].ID != id {
		t.Fatalf("List of job %s = %+v", id, found)
	}
	return found[0]
}

func (t *tester) deletes(n int, f jobqueue.Filter) {
	t.Helper()
	f.Domain = t.q.Domain
	got, err := t.b.Delete(t.Context(), f)
	t.ok(err, "Delete")
	if got != n {
		t.Fatalf("Delete deleted %d jobs, want %d", got, n)
	}
}

func (t *tester) requeues(n int, f jobqueue.Filter) {
	t.Helper()
	f.Domain = t.q.Domain
	got, err := t.b.Requeue(t.Context(), f)
	t.ok(err, "Requeue")
	if got != n {
		t.Fatalf("Requeue moved %d jobs, want %d", got, n)
	}
}

// mark moves the mark of a root key of the tester's queue and returns where it stands.
func (t *tester) mark(key string, at time.Time) time.Time {
	t.Helper()
	times, err := t.b.MarkRoots(t.Context(), jobqueue.Mark{Name: t.q, Key: key, Time: at})
	t.ok(err, "MarkRoots")
	if len(times) != 1 {
		t.Fatalf("MarkRoots of one mark = %v", times)
	}
	return times[0]
}

// markIs wants the mark of a root key of the tester's queue to stand at a time.
func (t *tester) markIs(key string, at time.Time) {
	t.Helper()
	if got := t.mark(key, time.Time{}); !got.Equal(at) {
		t.Fatalf("the mark of root %q stands at %v, want %v", key, got, at)
	}
}

func (t *tester) maintain() jobqueue.Maintained {
	t.Helper()
	m, err := t.b.Maintain(t.Context())
	t.ok(err, "Maintain")
	return m
}

// advance lets time pass as it does on a store that is in use: swept
// often enough that no lease is renewed. It returns the sum of what Maintain did.
func (t *tester) advance(d time.Duration) (sum jobqueue.Maintained) {
	t.Helper()
	return t.advanceBy(lease/8, d)
}

// advanceBy is advance for leases of at least eight steps.
func (t *tester) advanceBy(step, d time.Duration) (sum jobqueue.Maintained) {
	t.Helper()
	for d > 0 {
		step = min(d, step)
		t.jump(step)
		d -= step
		m := t.maintain()
		sum.Released += m.Released
		sum.Recycled += m.Recycled
		sum.Pruned += m.Pruned
		sum.Forgotten += m.Forgotten
	}
	return sum
}

// jump moves the clock at once: it was stepped, or the store was away.
func (t *tester) jump(d time.Duration) {
	t.now = t.now.Add(d)
	t.clock.Shift(d)
}

// lapse lets a lease end after the last sweep, so soon that the next one must see it.
func (t *tester) lapse() {
	t.Helper()
	t.advance(lease * 3 / 4)
	t.jump(lease * 3 / 8)
}

// lapseNow lets a lease end less than a second after the last sweep, so that
// only what sweeps at any time sees it.
func (t *tester) lapseNow() {
	t.Helper()
	t.advance(lease - 400*time.Millisecond)
	t.jump(800 * time.Millisecond)
}
