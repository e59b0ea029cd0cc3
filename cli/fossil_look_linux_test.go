package cli_test

import (
	"fmt"
	"time"
)

// A look is the lease as it was seen at a time.
type look struct {
	at           time.Time
	holder, turn int64
	since        string // how the turn stands to when the holder began
	text         string
}

// note notes the lease, after something.
func (s *leaser) note(after string) {
	s.Helper()
	s.last = s.look()
	s.steps = append(s.steps, after+": "+s.last.text)
}

// numbers returns the lease.
func (s *leaser) numbers() (current, turn, next, expires int64) {
	s.Helper()
	text := s.must(s.show...)
	if _, err := fmt.Sscan(text, &current, &turn, &next, &expires); err != nil {
		s.Fatalf("the lease is %q: %v", text, err)
	}
	return current, turn, next, expires
}

// state returns the lease with names and relative times.
func (s *leaser) state() string {
	s.Helper()
	return s.look().text
}

// look looks at the lease. The turn of the next is so many seconds after the current holder began, which it did since the lease was
// noted last if it is another one since; or it is over. Who is on deck is waited for so many seconds from that turn.
func (s *leaser) look() look {
	s.Helper()
	l := look{at: time.Now()}
	current, turn, next, expires := s.numbers()
	now := time.Now().Unix()
	name := func(pid int64) string {
		if n, ok := s.who[pid]; ok {
			return n
		}
		return "another"
	}
	l.holder, l.turn, l.text = current, turn, "nobody"
	over := turn < now
	// Times are true to a second, as ours were rounded and Fossil's cut.
	if begun := turn - 60; current != 0 {
		switch {
		case over:
			l.since = "over"
		case current == s.last.holder && turn-1 <= s.last.turn && s.last.turn <= turn+1:
			l.since, l.turn = s.last.since, s.last.turn
		case s.last.at.Unix()-1 <= begun && begun <= now+1:
			l.since = "+60"
		default:
			l.since = fmt.Sprintf("%d from now", turn-now)
		}
		l.text = name(current) + " " + l.since
	}
	switch {
	case next == 0:
		l.text += ", nobody"
	case over && expires < now:
		l.text += ", " + name(next) + " late"
	case over:
		l.text += ", " + name(next) + " in time"
	default:
		l.text += fmt.Sprintf(", %s %+d", name(next), expires-turn)
	}
	return l
}
