package supervisor

import "time"

const (
	firstDelay = time.Second      // before a child that has died is started again
	maxDelay   = 30 * time.Second // of these, as it doubles
	soonTime   = 10 * time.Second // a child that has lived for less has died soon
	loopDeaths = 3                // so many soon deaths in a row are a crash loop
)

// A backoff says when a child that has ended is to be started again.
type backoff struct {
	soon  int       // deaths in a row
	first time.Time // of these
}

// after notes an end, and returns for how long to wait. Announced says that the child said before that it
// would end because a limit was reached.
func (b *backoff) after(now time.Time, lived time.Duration, clean, announced bool) time.Duration {
	switch {
	case announced:
		// Limits that are reached at once still cost a process each.
		*b = backoff{}
		return max(0, firstDelay-lived)
	case lived >= soonTime:
		*b = backoff{}
		if clean {
			return 0
		}
		return firstDelay
	}
	if b.soon == 0 {
		b.first = now
	}
	b.soon++
	return min(maxDelay, firstDelay<<min(b.soon-1, 10))
}

// looping reports whether the child is in a crash loop.
func (b *backoff) looping() bool { return b.soon >= loopDeaths }
