// Package queuetest tests implementations of [jobqueue.Backend].
//
// The test file of a backend is a constructor and three functions:
//
//	func open(t testing.TB) jobqueue.Backend { … }
//
//	func TestBackend(t *testing.T)      { queuetest.TestBackend(t, open) }
//	func FuzzBackend(f *testing.F)      { queuetest.FuzzBackend(f, open) }
//	func BenchmarkBackend(b *testing.B) { queuetest.BenchmarkBackend(b, open) }
//
// [Faulty] makes any backend fail on demand, for tests of what is built above it.
package queuetest

import (
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A Clock is what a backend under test is besides. Its methods are about what this
// backend does from now on, not about others that use the same store.
type Clock interface {
	// Shift adds d to the store's clock. d may be negative.
	Shift(d time.Duration)

	// StopClock makes the clock stand: wherever the backend would ask for the store's time,
	// for jobs, leases and sweeps as for values and rates, it takes at instead, and
	// adds to it what Shift does. at is a whole millisecond. It is called once, before anything else.
	StopClock(at time.Time)
}

// Spread is implemented by a backend under test that keeps one queue in several stores, and promises no order: only
// that nothing is passed over for ever. Where a rule is about order the suite then tests that instead, and
// wherever else it looks at several jobs of one queue they may come in any order. A Pop may then open a claim in
// each store, under a token of its own. Every other rule is tested as it is.
type Spread interface {
	// Spread does nothing.
	Spread()
}

// Split is implemented by a backend under test that keeps the queues of a domain together in one of several stores. A Pop may
// then open a claim in each store, under a token of its own. Every other rule is tested as it is.
type Split interface {
	// Split does nothing.
	Split()
}

// A testCase tests one rule of the documentation of [jobqueue.Backend] or [jobqueue.Group].
type testCase struct {
	name string
	rule string // what the backend violates when the test fails
	run  func(t *tester)
}

var subjects = []struct {
	name  string
	rules []testCase
}{
	{"push", pushRules},
	{"dedupe", dedupeRules},
	{"roots", rootRules},
	{"pop", popRules},
	{"repeat", repeatRules},
	{"order", orderRules},
	{"settle", settleRules},
	{"lease", leaseRules},
	{"clock", clockRules},
	{"counts", countRules},
	{"list", listRules},
	{"delete", deleteRules},
	{"requeue", requeueRules},
	{"maintain", maintainRules},
	{"kept", keptRules},
	{"bounds", boundRules},
	{"names", nameRules},
	{"params", paramRules},
	{"concurrent", concurrentRules},
	{"group", groupRules},
	{"control", controlRules},
	{"limiter", limiterRules},
	{"pause", pauseRules},
	{"fan-out", fanoutRules},
	{"lost answers", lostRules},
	{"hold", holdRules},
}

// TestBackend tests that a backend keeps every rule. A failure quotes the rule.
//
// It calls open for each rule, several at once. What open returns must be a
// [Clock] and keep a store of its own, because the tests stop the clock and move it, so that
// however slow the machine is no lease ends by itself;
// open registers its cleanup with the given TB and reports failure there.
func TestBackend(t *testing.T, open func(testing.TB) jobqueue.Backend) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range s.rules {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newTester(t, c.rule, open))
				})
			}
		})
	}
}
