package jobqueue

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
)

// Limits of a [Backend].
const (
	MaxPush      = 1000     // records in one Backend.Push
	MaxPushBytes = 16 << 20 // bytes of parameters in one Backend.Push
	MaxError     = 4 << 10  // bytes of a stored error; longer ones are cut
)

// How long a backend remembers what nobody can be asked about.
const (
	RootMemory  = 28 * 24 * time.Hour // a root mark, after it last moved
	PushMemory  = 15 * time.Minute    // the answer to a push id
	TokenMemory = 15 * time.Minute    // which jobs of a token were settled, after the last of them or after its lease
)

// DefaultKeep is how long an abandoned job is kept where nothing else is said.
const DefaultKeep = 7 * 24 * time.Hour

// A Backend keeps any number of queues. Implementers write it; programs use a
// [Group], which is the only caller of Push, Pop, Settle and Extend, checks
// what goes in, and turns policy into the plain orders found here.
//
// All methods may be called concurrently, by any number of processes on the
// same store. Every call works on a batch in as few round trips as the store
// allows, and its cost does not grow with the number of queues that are
// empty, nor with the number of delayed, claimed or abandoned jobs.
//
// Time is the store's clock: every delay, lease and age is a duration added
// to it there. Durations are kept to the millisecond or better.
//
// Errors: [ErrUnavailable] when repeating the call later may work, be it
// unknown whether it took effect; [ErrReadOnly] with the reason;
// [ErrInvalid] for what can never work. On any error Pop has claimed nothing
// that a repeat with the same token does not return. A backend made of several may
// return a [PartError] from any call but Push and Pop: it says what was left out.
//
// What is due is never hidden behind an optional daemon: every Pop first
// makes ready some of the jobs of any queue that are delayed and due, those
// first that have been for longest, so that none starves behind a backlog.
// Before Pop answers short it makes ready, a bounded number a call, the jobs of the wanted
// queues that are delayed and due and those whose claim has run out; Counts
// and Ready say what a Pop would find now.
//
// # Leases
//
// Every Pop opens one claim on all the jobs it returns, for the length of its
// lease; a backend made of several opens one in each, under a token made of that of the Pop. A lease that ends unextended gives each unsettled job back: its
// expiries go up by one, and it is ready at the back of its queue. Looking
// for ended leases is called a sweep. While there are claims every Pop that comes up short
// and every Maintain makes one, and so does any Pop or Ready that finds the last one
// more than a second old. Until a sweep has found it,
// a claim whose lease has ended can still be settled and extended.
//
// The store may have been away, or its clock may have jumped. So a sweep that
// finds the last sweep longer ago than half of a claim's lease, and less than half of that
// lease left, gives that claim one new lease first, but not twice unless it was extended in between.
// An expiry more than two leases ahead is cut to one lease.
type Backend interface {
	// Push stores the records: all of them or, on an error, none. There are
	// at most MaxPush of them with at most MaxPushBytes of parameters, else it is
	// an [ErrTooLarge]. Their order is the order of the queue.
	//
	// A record with a Digest is dropped when a job of its queue with that
	// digest waits (ready or delayed; not one that was claimed since its push);
	// of two such records in one push the first stays. The waiting job
	// takes over, in the same atomic step,
	//   - the earlier of the two release times; becoming ready, it goes to the back;
	//   - of two roots with the same key, the newer one; in any other case it
	//     keeps its root only if the record has the same one, and is left without a
	//     root, so never superseded, if they differ.
	//
	// A zero Root.Time becomes the store's clock or, if the mark of that root stands
	// there or ahead of it, a microsecond more than the mark: one time for
	// all such roots of the push with that domain, type and key. The mark of the root of every
	// stored record, and of every root that was taken over, is moved
	// as by MarkRoots in the same atomic step; that of a record dropped
	// without a trace is not.
	//
	// Repeating a push with the same id within PushMemory stores nothing
	// more and returns the same answer, even if its jobs have run since.
	Push(ctx context.Context, id uuid.UUID, records []Record) (Pushed, error)

	// Pop claims up to Want.Max jobs of each wanted queue, oldest ready first,
	// and returns them grouped as wanted. A Want with an ID claims that one
	// job alone, ready or delayed. Claiming gives up the job's digest:
	// an equal job may be pushed from then on, and neither recycling, retry nor
	// giving back takes the digest again.
	//
	// A job whose root is older than the root mark of its domain, type and
	// key is claimed like any other, and returned with Superseded set.
	//
	// Repeating a Pop with the token of an earlier one returns the claims of that
	// which are still held, and claims nothing new; none if the lease has ended.
	//
	// A stored job that cannot be read is abandoned with the reason, and
	// the Pop goes on without it.
	Pop(ctx context.Context, l Lease, wants ...Want) ([]*Claim, error)

	// Settle ends claims, each in its own way, mixed in one call. An outcome whose
	// claim is not held changes nothing and its claim is returned in
	// lost; the others take effect. Repeating an outcome within TokenMemory
	// reports what the first one did: a claim that was settled is not lost,
	// whatever became of the job afterwards, and nothing is done twice.
	// Retried and given back jobs go to the back of their queue.
	Settle(ctx context.Context, outcomes ...Outcome) (lost []*Claim, err error)

	// Extend gives the claims of each token a new lease of ttl from now,
	// and returns the tokens that hold no claim any more.
	Extend(ctx context.Context, ttl time.Duration, tokens ...uuid.UUID) (lost []uuid.UUID, err error)

	// MarkRoots moves each root mark forward to its time, never back, and returns
	// where each stands afterwards. A zero time only reads; an unknown
	// mark reads as the zero time. With Next it reads what a zero Root.Time would become. Marks that have not moved for RootMemory
	// may be forgotten.
	MarkRoots(ctx context.Context, marks ...Mark) ([]time.Time, error)

	// Counts returns the exact number of jobs in each state, at one instant, for
	// each name; or, without names, for every queue that holds a job,
	// sorted by domain and type. It may be slow on a large store; nothing
	// calls it periodically.
	Counts(ctx context.Context, names ...Name) ([]Counts, error)

	// Ready yields those of the named queues or, without names, of all queues
	// in which a Pop would find a job now, in no particular order. Its cost
	// grows with the names and with the queues it yields alone.
	// It yields an error once, as the last thing.
	Ready(ctx context.Context, names ...Name) iter.Seq2[Backlog, error]

	// List yields the jobs that f matches in the order of their IDs, which is
	// that of their pushes. It reads in pages, so that a job that changes
	// while it is listed may or may not be seen in its new state.
	// It yields an error once, as the last thing.
	List(ctx context.Context, f Filter) iter.Seq2[Entry, error]

	// Delete deletes the jobs that f matches and returns how many; running
	// ones only when f.States names Claimed, and then their claims are
	// lost. It works in batches of bounded size: after an error some are gone.
	Delete(ctx context.Context, f Filter) (int, error)

	// Requeue makes the jobs that f matches ready, at the back of their queues,
	// with no failures and no expiries, and returns how many. It moves each
	// atomically. Without f.States it takes the abandoned ones. Claimed ones,
	// when named, lose their claim; ready ones are left alone.
	Requeue(ctx context.Context, f Filter) (int, error)

	// Maintain does the hygiene that no other call needs, a bounded amount
	// of it: it sweeps, releases what is due in queues that nobody pops, prunes
	// abandoned jobs past their time, and forgets old marks, push ids and
	// tokens. Any number of processes may call it at once.
	Maintain(ctx context.Context) (Maintained, error)
}

// Pushed says, job by job in the order of the push, what became of it.
type Pushed []PushedJob

// A PushedJob is what became of one pushed job: stored, or dropped as a
// duplicate, or, when a push failed in part, not stored because of Err; or run where it was pushed.
type PushedJob struct {
	ID        string // of the stored job; for a duplicate that of the job that stays
	Duplicate bool
	Inline    bool  // it ran, or runs once the job has ended that pushed it; ID names it nowhere else
	Err       error // nil if it is in; if [ErrUnavailable], it may be in all the same. Of an inline job: what failed it
}

// Stored returns how many jobs were stored.
func (p Pushed) Stored() int {
	return p.count(func(j PushedJob) bool { return j.Err == nil && !j.Duplicate && !j.Inline })
}

// Ran returns how many jobs ran inline, well or not; see [Group.Push].
func (p Pushed) Ran() int { return p.count(func(j PushedJob) bool { return j.Inline }) }

// Duplicates returns how many jobs were dropped because an equal one waits.
func (p Pushed) Duplicates() int { return p.count(func(j PushedJob) bool { return j.Duplicate }) }

func (p Pushed) count(is func(PushedJob) bool) (n int) {
	for _, j := range p {
		if is(j) {
			n++
		}
	}
	return n
}

// A Lease is the claim that a Pop opens. The caller makes the token, a new
// one for each Pop, so that it can repeat a Pop whose answer was lost.
type Lease struct {
	Token uuid.UUID
	TTL   time.Duration // at least a millisecond
	Owner string        // who, for people to read; at most 255 bytes
}

// Check returns an [ErrInvalid] if the lease is too short. A backend calls it first in Pop
// and, for the new length, in Extend.
func (l Lease) Check() error {
	if l.TTL < time.Millisecond {
		return fmt.Errorf("%w: lease of %v is shorter than a millisecond", ErrInvalid, l.TTL)
	}
	return nil
}

// CheckPush returns an [ErrTooLarge] if there are more records than one push may have, or
// they are larger. A backend calls it first in Push.
func CheckPush(records []Record) error {
	size := 0
	for i := range records {
		size += len(records[i].Params)
	}
	if len(records) > MaxPush || size > MaxPushBytes {
		return fmt.Errorf("%w: %d jobs with %d bytes in one push, at most %d and %d are allowed",
			ErrTooLarge, len(records), size, MaxPush, MaxPushBytes)
	}
	return nil
}

// A Want asks for jobs of one queue.
type Want struct {
	Name
	Max int    // how many at most; with an ID it counts as 1
	ID  string // this job only
}

// A Mark moves the root mark of a domain, type and key.
type Mark struct {
	Name
	Key  string
	Time time.Time
	Next bool // not with a Time
}

// Counts are the jobs of one queue by state.
type Counts struct {
	Name
	Ready, Delayed, Claimed, Abandoned int
	Age                                time.Duration // about how long the oldest ready job has been ready; 0 without one
}

// Total returns the number of jobs in any state.
func (c Counts) Total() int { return c.Ready + c.Delayed + c.Claimed + c.Abandoned }

// A Backlog is a queue that has work.
type Backlog struct {
	Name
	Age     time.Duration // about how long its oldest ready job has been ready
	Version int64         // of an [Aggregator]'s entry; 0 from a Backend
}

// A Filter matches stored jobs: all its fields must. The zero Filter matches every job.
type Filter struct {
	Domain, Type string   // "" matches any
	IDs          []string // nil matches any; an ID that is not of the backend's form matches none
	States       []State  // nil matches any, unless a method says otherwise
	After        string   // only jobs listed after this ID: the cursor for paging; one that is not of the backend's form is an ErrInvalid
	Limit        int      // at most so many; 0 or less is no limit
}

// An Entry is a stored job as List shows it.
type Entry struct {
	Record
	ID        string
	State     State
	QueuedAt  time.Time
	ReadyAt   time.Time // delayed: when it will be ready; ready: since when
	Failures  int
	Expiries  int
	LastError string
	Owner     string    // claimed: whose
	Expires   time.Time // claimed: when the lease ends; by the store's clock, as all times here
	PruneAt   time.Time // abandoned: when it is deleted; zero is never
}

// Maintained is what one Maintain did.
type Maintained struct {
	Released  int // delayed jobs that became ready
	Recycled  int // jobs whose claim had run out
	Pruned    int // abandoned jobs deleted
	Forgotten int // marks, push ids, tokens, holds that have ended, and values whose TTL has run out
}

// Waiter is implemented by a Backend that can tell when to look again.
// Without it a runner polls.
type Waiter interface {
	// Wait returns when work may have arrived since it was called, in the
	// queues it names or, with nil names, anywhere; or with the error of ctx.
	// It is a hint: it may return for nothing and, rarely, miss something,
	// and it does not watch release times or leases.
	Wait(ctx context.Context) ([]Name, error)
}
