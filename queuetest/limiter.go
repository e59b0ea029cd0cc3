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

// nextWaits wants a charge of no items to wait for d.
func (t *tester) nextWaits(d time.Duration) {
	t.Helper()
	if got := t.charge(1, 0)[0]; got != d {
		t.Fatalf("the next charge has to wait for %v, want %v", got, d)
	}
}

func testChargeSpacing(t *tester) {
	t.waits(t.charge(4, 1, 2, 0.5, 1), 0, 250, 750, 875)
	t.nextWaits(1125 * time.Millisecond)
}

func testChargeRefused(t *tester) {
	t.waits(t.charge(4, 1, 3, 1, 0.5, 100), 0, 250, 1000, 1000, 1000)
	t.nextWaits(time.Second)
}

func testChargeClock(t *tester) {
	t.waits(t.charge(1, 10), 0)
	t.nextWaits(10 * time.Second)
	t.jump(4 * time.Second)
	t.nextWaits(6 * time.Second)
	t.jump(5500 * time.Millisecond)
	t.waits(t.charge(1, 10), 500)
	t.nextWaits(10500 * time.Millisecond)
}

func testChargeLarge(t *tester) {
	t.waits(t.charge(10, 36000), 0)
	t.nextWaits(time.Hour)
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
	t.waits(t.charge(1, 60), 0)
	t.jump(50 * time.Second)
	t.maintain()
	t.nextWaits(10 * time.Second)
	t.jump(time.Hour)
	t.maintain()
	t.waits(t.charge(1, 1), 0)
}

func testChargeConcurrent(t *tester) {
	l, one := t.limiter(), jobqueue.Charge{Key: t.key("rate"), Items: 1, PerSecond: 100}
	t.together(workers, func(int) error {
		return repeat(10, func() error {
			_, err := l.Charge(t.Context(), one)
			return err
		})
	})
	t.nextWaits(workers * 100 * time.Millisecond)
}
