package jobqueue_test

import (
	"math"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

func TestPolicyDefaults(t *testing.T) {
	p := jobqueue.Policy{}.WithDefaults()
	if p.MaxTries != 3 || p.Lease != 10*time.Second || p.ClaimTTL != time.Hour || p.Timeout != time.Hour ||
		p.Keep != 7*24*time.Hour || p.MaxSnooze != 7*24*time.Hour || p.Backoff == nil || p.AtMostOnce || p.Dedupe || p.Rate != 0 {
		t.Errorf("the defaults are %+v", p)
	}
	if first := p.Backoff(1); first > time.Second || first < time.Second*2/3 {
		t.Errorf("the first back-off is %v, want about 1s", first)
	}
	if last := p.Backoff(1000); last > time.Hour || last < 40*time.Minute {
		t.Errorf("the last back-off is %v, want about 1h", last)
	}
}

func TestPolicyKeepsWhatIsSet(t *testing.T) {
	set := jobqueue.Policy{
		MaxTries: 1, Lease: 2, ClaimTTL: 3, Timeout: jobqueue.NoLimit, Keep: jobqueue.NoLimit, MaxSnooze: jobqueue.NoLimit,
		Backoff: func(int) time.Duration { return 42 }, AtMostOnce: true, Dedupe: true, Rate: 5,
	}
	p := set.WithDefaults()
	if p.Backoff(1) != 42 {
		t.Errorf("the back-off was replaced")
	}
	if p.MaxTries != 1 || p.Lease != 2 || p.ClaimTTL != 3 || p.Timeout >= 0 || p.Keep >= 0 || p.MaxSnooze >= 0 || !p.AtMostOnce || !p.Dedupe || p.Rate != 5 {
		t.Errorf("WithDefaults made %+v of %+v", p, set)
	}
}

func TestExponentialBackoff(t *testing.T) {
	for _, limit := range []struct{ first, most time.Duration }{
		{time.Second, time.Hour}, {time.Second, time.Second}, {time.Minute, time.Second}, {1, 1<<62 - 1},
		{math.MaxInt64, math.MaxInt64}, {0, time.Hour}, {0, 0}, {3 * time.Second, 100 * time.Second},
	} {
		b := jobqueue.ExponentialBackoff(limit.first, limit.most)
		want := min(limit.first, limit.most)
		for attempt := 1; attempt <= 10_000; attempt++ {
			if got := b(attempt); got > want || got < want-want/3 {
				t.Fatalf("ExponentialBackoff(%v, %v)(%d) = %v, want %v or up to a third less", limit.first, limit.most, attempt, got, want)
			}
			if want <= limit.most/2 {
				want *= 2
			} else if limit.first > 0 {
				want = limit.most
			}
		}
		for _, odd := range []int{0, -1, math.MinInt} {
			if got := b(odd); got < 0 || got > min(limit.first, limit.most) {
				t.Errorf("ExponentialBackoff(%v, %v)(%d) = %v", limit.first, limit.most, odd, got)
			}
		}
		if got := b(math.MaxInt); got < 0 || got > limit.most {
			t.Errorf("ExponentialBackoff(%v, %v)(MaxInt) = %v", limit.first, limit.most, got)
		}
	}
}

func TestExponentialBackoffSpreads(t *testing.T) {
	b := jobqueue.ExponentialBackoff(time.Second, time.Hour)
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[b(5)] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 back-offs have %d different lengths, so that jobs which failed together come back together", len(seen))
	}
}
