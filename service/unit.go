package service

import (
	"container/heap"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A unit is a service, for one domain if it is for each. Until it is called it costs no goroutine and no timer.
type unit struct {
	service  *Service
	domain   string
	due      time.Time // when to call it
	grid     time.Time // that without its jitter, if it is called now and then
	since    time.Time
	calls    int
	failures int
	row      int // failures without success between them
	err      string
	failedAt time.Time
	told     string // the failure that the log was told of
	over     bool

	ctx    context.Context
	cancel context.CancelCauseFunc // while it is called
	gone   bool                    // its domain is, and it is to end
	back   bool                    // the domain is there again

	place int // in the queue; -1: not there
}

func (u *unit) state() State {
	st := State{
		Name: u.service.Name, Domain: u.domain, Status: Waiting, Since: u.since,
		Calls: u.calls, Failures: u.failures, Error: u.err, FailedAt: u.failedAt,
	}
	switch {
	case u.cancel != nil && u.ctx.Err() != nil:
		st.Status = Ending
	case u.cancel != nil:
		st.Status = Running
	case u.over:
		st.Status = Over
	default:
		st.Next = u.due
	}
	return st
}

// A queue has units in the order in which they are due.
type queue []*unit

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, k int) bool { return q[i].due.Before(q[k].due) }
func (q queue) Swap(i, k int) {
	q[i], q[k] = q[k], q[i]
	q[i].place, q[k].place = i, k
}

func (q *queue) Push(x any) {
	u := x.(*unit)
	u.place = len(*q)
	*q = append(*q, u)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	u := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	u.place = -1
	return u
}

func (q *queue) put(u *unit) { heap.Push(q, u) }

func (q *queue) remove(u *unit) {
	if u.place >= 0 {
		heap.Remove(q, u.place)
	}
}

// panicked returns the error of a panic that was recovered, with where it happened.
func panicked(p any) error {
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for panics, more := false, true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panics = true // what is before it recovers
		case panics && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Errorf("panic: %v (at %s %s:%d)", p, f.Function, filepath.Base(f.File), f.Line)
		}
	}
	return fmt.Errorf("panic: %v", p)
}

// printable returns s with what would break a line, or command a terminal, escaped.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
