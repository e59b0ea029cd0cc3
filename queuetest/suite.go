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

// A Clock is what a backend under test is besides: Shift adds d to the store's
// clock in everything this backend does from now on. d may be negative.
type Clock interface{ Shift(d time.Duration) }

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
}

// TestBackend tests that a backend keeps every rule. A failure quotes the rule.
//
// It calls open for each rule, several at once. What open returns must be a
// [Clock] and keep a store of its own, because the tests move the clock;
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
