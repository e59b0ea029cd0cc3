package queuetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wikifarm/jobqueue"
)

// FuzzBackend plays histories of calls on a backend and on the memory backend, and
// compares every answer and, after each call, all that is stored.
//
// A history is a string of operations, each a letter of the table in this
// package's source and one byte that says which job, key, queue or time is meant.
// What open returns must be a [Clock] and keep a store of its own.
func FuzzBackend(f *testing.F, open func(testing.TB) jobqueue.Backend) {
	for _, h := range []string{
		"p7o3s0r1g2a3x4o3g0r1o3",           // push, pop, settle each way
		"d0d0d1o0d0r0d0o3",                 // duplicates, around a claim and a retry
		"l0l4u0u0d0t4t8o3",                 // delayed twins, and the delay passes
		"R0R8RPo3R0R1Rpo3m0m4o3",           // roots that supersede and are taken over
		"p3o3t1t1t1t1t1o3x0s0S0",           // a lease ends; the old claim is settled late
		"p3o3j0w0o3t1e0j0o3e0s0",           // the store is away, once and again
		"p3P0o3O0s0O0P0S0P0",               // answers are lost
		"p7o3a0a1a2r3q0q1o3a0t8q2t8t8w0q1", // abandoned, requeued, pruned
		"p7l3o1k0k1k2k3p3c0o3i0i1i2i3",     // deleted in each state, popped by ID
		"D0D1L0L1U0U1o3o7s0s1s2t4o3o7j0o7", // both queues at once
		"w0h6p0o\x10h\x10w0",               // a lease half over, begun a little after the last sweep
	} {
		f.Add([]byte(h))
	}
	for seed := range uint64(6) {
		f.Add(randomHistory(seed))
	}
	f.Fuzz(func(t *testing.T, history []byte) {
		p := newPlayer(t, open(t))
		for len(history) >= 2 && len(p.log) < mostOperations {
			p.play(history[0], int(history[1]))
			history = history[2:]
			p.compare()
		}
	})
}

// randomHistory returns the history that a seed stands for: of any operations if it is
// even, else of those that leases depend on.
func randomHistory(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	history := make([]byte, 0, 2*mostOperations)
	for range mostOperations {
		letter := operations[r.IntN(len(operations))].letter
		if seed%2 == 1 {
			const leases = "ppoohhhhwecsg"
			letter = leases[r.IntN(len(leases))]
		}
		history = append(history, letter, byte(r.Uint32()))
	}
	return history
}

// mostOperations is how many operations of a history are played.
const mostOperations = 120

// Durations of histories. The clocks stand but for these, so that what happens at an
// instant and what happens a millisecond later can be told apart.
const (
	stepTime   = 14 * time.Second
	jumpLength = 13 * stepTime
	memory     = 14 * time.Minute // less than PushMemory and TokenMemory
)

var (
	fuzzLeases = []time.Duration{4*stepTime + 10*time.Second, 40 * time.Second, 3 * time.Second, 8 * time.Second}
	moves      = []time.Duration{
		20 * time.Second, 5 * time.Second, 1500 * time.Millisecond, 375 * time.Millisecond, 4 * time.Second, time.Second, // halves and eighths of leases
		500 * time.Millisecond, time.Millisecond, 999 * time.Millisecond, 1001 * time.Millisecond, // about the second between sweeps
		40 * time.Second, 3 * time.Second, 8 * time.Second, // leases
		-time.Millisecond, -time.Second, -20 * time.Second,
	}
)

// An operation does one thing to both backends; n chooses among its variants.
type operation struct {
	letter byte
	name   string
	do     func(p *player, n int)
}

var operations = []operation{
	{'p', "push", func(p *player, n int) { p.push(n/16, p.plain(n)...) }},
	{'d', "push deduplicated", func(p *player, n int) { p.push(n/16, unique(p.next(), key(n))) }},
	{'D', "push a batch with duplicates", func(p *player, n int) {
		p.push(n/16, unique(p.next(), key(n)), p.next(), unique(p.next(), key(n)), unique(p.next(), key(n+1)))
	}},
	{'l', "push delayed", func(p *player, n int) { p.push(n/16, delayed(p.next(), wait(n))) }},
	{'u', "push delayed and deduplicated", func(p *player, n int) { p.push(n/16, delayed(unique(p.next(), key(n)), wait(n/4))) }},
	{'r', "settle: retry", func(p *player, n int) { p.settle(n, retry(nil, wait(n/8))) }},
	{'R', "push rooted", func(p *player, n int) { p.push(0, p.rooted(n)) }},
	{'P', "repeat a push", (*player).repeatPush},
	{'o', "pop", (*player).pop},
	{'i', "pop by ID", (*player).popByID},
	{'O', "repeat a pop", (*player).repeatPop},
	{'s', "settle: done", func(p *player, n int) { p.settle(n, done(nil)) }},
	{'g', "settle: give back", func(p *player, n int) { p.settle(n, giveBack(nil, wait(n/8))) }},
	{'a', "settle: abandon", func(p *player, n int) { p.settle(n, abandon(nil, wait(n/8)+stepTime)) }},
	{'S', "repeat a settlement", (*player).repeatSettle},
	{'x', "settle with a stale token", (*player).settleStale},
	{'e', "extend", (*player).extend},
	{'h', "the clock is moved a little", func(p *player, n int) { p.move(moves[n%len(moves)]) }},
	{'w', "maintain", func(p *player, _ int) { p.maintain() }},
	{'t', "time passes", func(p *player, n int) { p.advance(1 + n%10) }},
	{'j', "the clock jumps", func(p *player, _ int) { p.shift(jumpLength) }},
	{'k', "delete", func(p *player, n int) { p.change("Delete", jobqueue.Backend.Delete, n) }},
	{'q', "requeue", func(p *player, n int) { p.change("Requeue", jobqueue.Backend.Requeue, n) }},
	{'m', "mark a root", (*player).mark},
	{'c', "ready", (*player).ready},
}

// play does the operation that a letter names, or that another byte falls on.
func (p *player) play(letter byte, n int) {
	op := operations[int(letter)%len(operations)]
	for _, o := range operations {
		if o.letter == letter {
			op = o
		}
	}
	if n >= '0' && n <= '9' {
		n -= '0' // so that histories can be written by hand
	}
	p.log = append(p.log, fmt.Sprintf("%s (%d)", op.name, n))
	op.do(p, n)
}

func key(n int) string { return string(rune('a' + n%4)) }

// wait returns one of a few delays.
func wait(n int) time.Duration {
	return []time.Duration{0, 10 * time.Second, 4*stepTime + 10*time.Second, 14*stepTime + 10*time.Second}[n%4]
}

// next returns a record with the next number.
func (p *player) next() jobqueue.Record {
	p.number++
	return job(p.number)
}

func (p *player) plain(n int) (records []jobqueue.Record) {
	for range 1 + n%8 {
		records = append(records, p.next())
	}
	return records
}

// rooted returns a record with one of two roots, deduplicated or not, delayed or not.
func (p *player) rooted(n int) jobqueue.Record {
	r := rooted(p.next(), key(n%2), day(1+n/2%4))
	if n/8%2 == 0 {
		r = unique(r, key(n/16))
	}
	return delayed(r, wait(n/64))
}

func (p *player) advance(steps int) {
	for range steps {
		p.shift(stepTime)
		p.maintain()
	}
}

// move moves the clocks at once. What is due before they go back may be ready already or not, so it is made so.
func (p *player) move(d time.Duration) {
	if d < 0 {
		p.maintain()
	}
	p.shift(d)
}

func (p *player) shift(d time.Duration) {
	p.now += d
	for _, b := range p.both() {
		b.(Clock).Shift(d)
	}
}

// push pushes records to one of the two queues of both backends.
func (p *player) push(queue int, records ...jobqueue.Record) {
	for i := range records {
		records[i].Name = p.queues[queue%2]
	}
	c := pushCall{uuid.New(), records, p.now}
	p.pushes = append(p.pushes, c)
	p.pushed(c)
}

func (p *player) repeatPush(n int) {
	if c, ok := pick(p.pushes, n); ok && p.now-c.at < memory {
		p.pushed(c)
	}
}

func (p *player) pushed(c pushCall) {
	got, err := p.b.Push(p.Context(), c.id, c.records)
	p.ok(err, "Push")
	want, err := p.model.Push(p.Context(), c.id, c.records)
	p.ok(err, "Push of the model")
	for i := range want {
		if i >= len(got) || got[i].Duplicate != want[i].Duplicate {
			p.Fatalf("Push = %+v, want %+v", got, want)
		}
		if id, known := p.ids[got[i].ID]; known && id != want[i].ID {
			p.Fatalf("Push says %+v of job %d, which is %s in the model, want %+v", got[i], i, id, want[i])
		}
		p.ids[got[i].ID] = want[i].ID
		p.native[want[i].ID] = got[i].ID
	}
}

// pick returns the nth of all, counted from the last one and round again.
func pick[T any](all []T, n int) (t T, ok bool) {
	if len(all) == 0 {
		return t, false
	}
	return all[len(all)-1-n%len(all)], true
}
