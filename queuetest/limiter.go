package queuetest

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wikifarm/jobqueue"
)

var limiterRules = []testCase{
	{"spacing", "Charge books the charges one after the other, and returns for each how long until it may start", testChargeSpacing},
	{"refused", "a charge that would have to wait for MaxWait or longer is not booked", testChargeRefused},
	{"clock", "how long until a charge may start is by the store's clock", testChargeClock},
	{"large", "there is no bound on the items of one charge: it moves those behind it back accordingly", testChargeLarge},
	{"nothing saved", "nothing is saved up while nobody charges", testChargeNothingSaved},
	{"keys", "a charge is booked behind what is booked under its key, and under no other", testChargeKeys},
	{"invalid", "a charge that is invalid is an error, and then nothing is booked", testChargeInvalid},
	{"nothing", "a charge of no items waits like any other and books nothing", testChargeNothing},
	{"apart", "the key of a charge is independent of values", testChargeApart},
	{"maintain", "Maintain forgets no booking that is not over", testChargeMaintain},
	{"concurrent", "charges that are made at once are booked one after the other", testChargeConcurrent},
}

// charge charges each of so many items at a rate under the tester's key.
func (t *tester) charge(perSecond float64, items ...float64) []time.Duration {
	t.Helper()
	charges := make([]jobqueue.Charge, len(items))
	for i, n := range items {
		charges[i] = jobqueue.Charge{Key: t.key("rate"), Items: n, PerSecond: perSecond}
	}
	return t.charges(charges...)
}

func (t *tester) charges(charges ...jobqueue.Charge) []time.Duration {
	t.Helper()
	waits, err := t.limiter().Charge(t.Context(), charges...)
	t.ok(err, "Charge")
	if len(waits) != len(charges) {
		t.Fatalf("Charge of %d charges returns %d waits", len(charges), len(waits))
	}
	return waits
}

func (t *tester) limiter() jobqueue.Limiter {
	t.Helper()
	l, ok := t.b.(jobqueue.Limiter)
	if !ok {
		t.Skip("the backend is no Limiter")
	}
	return l
}

// waits wants these waits, in milliseconds.
func (t *tester) waits(got []time.Duration, want ...float64) {
	t.Helper()
	var ms []float64
	for _, w := range got {
		ms = append(ms, float64(w)/float64(time.Millisecond))
	}
	if !slices.Equal(ms, want) {
		t.Fatalf("Charge = %v ms, want %v ms", ms, want)
	}
}

// A since knows how long ago something was by the store's clock, as nearly as can be told from here.
type since struct {
	t           *tester
	early, late time.Time // it was between these
	shifted     time.Duration
}

// at runs f and returns when that was.
func (t *tester) at(f func()) *since {
	s := &since{t: t, early: time.Now()}
	f()
	s.late = time.Now()
	return s
}

func (s *since) jump(d time.Duration) {
	s.t.jump(d)
	s.shifted += d
}

// waits wants a charge of no items to wait until d after s.
func (s *since) waits(d time.Duration) {
	s.t.Helper()
	// The store's clock may be a coarse one.
	const coarse = 2 * time.Millisecond
	least := d - s.shifted
	before := time.Now()
	got := s.t.charge(1, 0)[0]
	most := max(0, least-before.Sub(s.late)+coarse)
	least -= time.Since(s.early) + coarse
	if got < least || got > most {
		s.t.Fatalf("the next charge has to wait for %v, want %v to %v", got, least, most)
	}
}

func testChargeSpacing(t *tester) {
	s := t.at(func() { t.waits(t.charge(4, 1, 2, 0.5, 1), 0, 250, 750, 875) })
	s.waits(1125 * time.Millisecond)
}

func testChargeRefused(t *tester) {
	s := t.at(func() { t.waits(t.charge(4, 1, 3, 1, 0.5, 100), 0, 250, 1000, 1000, 1000) })
	s.waits(time.Second)
}

func testChargeClock(t *tester) {
	s := t.at(func() { t.waits(t.charge(1, 10), 0) })
	s.waits(10 * time.Second)
	s.jump(4 * time.Second)
	s.waits(10 * time.Second)
	s.jump(5500 * time.Millisecond)
	s.waits(10 * time.Second)
	if w := t.charge(1, 10)[0]; w >= jobqueue.MaxWait {
		t.Fatalf("a charge waits for %v, want less than %v", w, jobqueue.MaxWait)
	}
	s.waits(20 * time.Second)
}

func testChargeLarge(t *tester) {
	s := t.at(func() { t.waits(t.charge(10, 36000), 0) })
	s.waits(time.Hour)
	other := jobqueue.Charge{Key: t.key("other"), Items: math.MaxFloat64, PerSecond: math.SmallestNonzeroFloat64}
	t.waits(t.charges(other), 0)
	t.jump(10 * 365 * 24 * time.Hour)
	if w := t.charges(other)[0]; w < jobqueue.MaxWait {
		t.Fatalf("behind what takes a century, a charge waits for %v after ten years", w)
	}
}

func testChargeNothingSaved(t *tester) {
	t.waits(t.charge(2, 1), 0)
	t.jump(time.Hour)
	t.waits(t.charge(2, 1, 1, 1, 1), 0, 500, 1000, 1000)
}

func testChargeKeys(t *tester) {
	a := jobqueue.Charge{Key: t.key("a"), Items: 1, PerSecond: 4}
	b := jobqueue.Charge{Key: t.key("b"), Items: 1, PerSecond: 2}
	c := jobqueue.Charge{Key: t.key("A"), Items: 1, PerSecond: 10}
	t.waits(t.charges(a, b, a, b, b, c, a, c), 0, 0, 250, 500, 1000, 0, 500, 100)
}

func testChargeInvalid(t *tester) {
	good := jobqueue.Charge{Key: t.key("rate"), Items: 1, PerSecond: 1}
	for _, bad := range []jobqueue.Charge{
		{Key: "", Items: 1, PerSecond: 1},
		{Key: t.key("\n"), Items: 1, PerSecond: 1},
		{Key: t.key("\xff"), Items: 1, PerSecond: 1},
		{Key: strings.Repeat("k", jobqueue.MaxKey+1), Items: 1, PerSecond: 1},
		{Key: t.key("k"), Items: 1},
		{Key: t.key("k"), Items: 1, PerSecond: -1},
		{Key: t.key("k"), Items: 1, PerSecond: math.NaN()},
		{Key: t.key("k"), Items: 1, PerSecond: math.Inf(1)},
		{Key: t.key("k"), Items: -1, PerSecond: 1},
		{Key: t.key("k"), Items: math.NaN(), PerSecond: 1},
		{Key: t.key("k"), Items: math.Inf(1), PerSecond: 1},
	} {
		if _, err := t.limiter().Charge(t.Context(), good, bad); !errors.Is(err, jobqueue.ErrInvalid) {
			t.Fatalf("Charge of %+v = %v, want %v", bad, err, jobqueue.ErrInvalid)
		}
	}
	t.waits(t.charges(good), 0)
}

func testChargeNothing(t *tester) {
	t.waits(t.charge(4, 0, 0, 1, 0, 0, 2, 0), 0, 0, 0, 250, 250, 250, 750)
	t.charges()
}

func testChargeApart(t *tester) {
	t.control()
	t.sets("rate", "data", 0, 0)
	t.waits(t.charge(4, 1, 1), 0, 250)
	t.keeps("rate", "data")
	t.set("rate", nil, jobqueue.AnyVersion, 0)
	if w := t.charge(4, 1)[0]; w == 0 {
		t.Fatalf("a charge does not wait after the value of the same key was deleted")
	}
}

func testChargeMaintain(t *tester) {
	s := t.at(func() { t.waits(t.charge(1, 60), 0) })
	s.jump(50 * time.Second)
	t.maintain()
	s.waits(60 * time.Second)
	t.jump(time.Hour)
	t.maintain()
	t.waits(t.charge(1, 1), 0)
}

func testChargeConcurrent(t *tester) {
	const each, base = 10, 300 * time.Millisecond
	took := 600 * time.Millisecond / (workers * each)
	one := jobqueue.Charge{Key: t.key("rate"), Items: 1, PerSecond: float64(time.Second) / float64(took)}
	first := one
	first.Items = float64(base) / float64(took)
	s := t.at(func() { t.waits(t.charges(first), 0) })
	t.together(workers, func(int) error {
		return repeat(each, func() error {
			_, err := t.limiter().Charge(t.Context(), one)
			return err
		})
	})
	// Later than that there may have been nothing booked for a moment.
	if time.Since(s.early) < base {
		s.waits(base + workers*each*took)
	}
}
