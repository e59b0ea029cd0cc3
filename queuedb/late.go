package queuedb

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/wikifarm/jobqueue"
)

// A job whose transaction commits late stands behind positions that have been claimed, where
// looks do not go. So such transactions note where their jobs stand: those of callers
// as a part of them, and those of this package that took long when they are over. Claimers read what was noted since they last did.
// Delayed jobs whose time has passed by then are noted with it.
const (
	lateEvery  = 250 * time.Millisecond // between two times that a Pop reads what was noted; Ready always does
	lateKeep   = time.Minute            // how long what was read is remembered, and at least that it stays stored
	lateSpans  = 50_000                 // that are remembered
	everything = math.MaxInt64          // as a position
)

// lates are the spans of positions that were read.
type lates struct {
	mu    sync.Mutex
	at    time.Time // when they were read
	seen  string    // the snapshot of then; "" at first
	n     int
	spans map[int64][]span // by queue

	mid, old string // snapshots: one that is not yet lateKeep old, and the one before
	midAt    time.Time
}

// A span is where jobs of one transaction stand.
type span struct {
	first, last int64
	read        time.Time
}

// due reports whether it is time to read, and since which snapshot. Nobody else is told so for a while.
func (l *lates) due(now time.Time) (since string, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.at) < lateEvery {
		return "", false
	}
	l.at = now
	return l.seen, true
}

// A reading collects what was noted.
type reading struct {
	snapshot string
	queues   []int64
	spans    []span
}

func (r *reading) row(scan Scan) error {
	var queue int64
	var snapshot string
	s := span{}
	err := scan(&queue, &s.first, &s.last, &snapshot)
	if snapshot != "" {
		r.snapshot = snapshot
	} else {
		r.queues, r.spans = append(r.queues, queue), append(r.spans, s)
	}
	return err
}

// read remembers what was noted, for so long that no look is under way which began before.
func (l *lates) read(r *reading) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.seen = now, r.snapshot
	if now.Sub(l.midAt) > lateKeep {
		l.old, l.mid, l.midAt = l.mid, r.snapshot, now
		for q, spans := range l.spans {
			l.put(q, slices.DeleteFunc(spans, func(s span) bool { return now.Sub(s.read) > lateKeep }))
		}
	}
	if l.spans == nil {
		l.spans = map[int64][]span{}
	}
	for i, s := range r.spans {
		if l.n < lateSpans {
			s.read = now
			l.spans[r.queues[i]] = append(l.spans[r.queues[i]], s)
			l.n++
		}
	}
}

// put replaces the spans of a queue by some of them.
func (l *lates) put(queue int64, spans []span) {
	l.n -= len(l.spans[queue]) - len(spans)
	if l.spans[queue] = spans; len(spans) == 0 {
		delete(l.spans, queue)
	}
}

// before returns the spans of a queue up to a position, the first ones first. They do not overlap.
func (l *lates) before(queue, position int64) (spans []span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []span
	for _, s := range l.spans[queue] {
		if s.first <= position {
			s.last = min(s.last, position)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, s := range all {
		if n := len(spans); n > 0 {
			s.first = max(s.first, spans[n-1].last+1)
		}
		if s.first <= s.last {
			spans = append(spans, s)
		}
	}
	return spans
}

// firsts returns the first position of each queue, other than delayed, that has spans.
func (l *lates) firsts() map[int64]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	firsts := make(map[int64]int64, len(l.spans))
	for q, spans := range l.spans {
		if q == delayed {
			continue
		}
		firsts[q] = slices.MinFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) }).first
	}
	return firsts
}

// back returns the position to look behind, so that no span is left out.
func (l *lates) back(queue, after int64) int64 {
	if after == stored && l.any(queue) {
		return 0
	}
	if spans := l.before(queue, after); len(spans) > 0 {
		return spans[0].first - 1
	}
	return after
}

// any reports whether a queue has spans.
func (l *lates) any(queue int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.spans[queue]) > 0
}

// looked forgets what a look went over, which began then, behind one position and up to another.
func (l *lates) looked(queue, after, to int64, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spans := l.spans[queue]
	if len(spans) == 0 || after < 0 {
		return
	}
	left := make([]span, 0, len(spans))
	for _, s := range spans {
		if s.read.After(began) {
			left = append(left, s)
			continue
		}
		if s.first <= after {
			left = append(left, span{s.first, min(s.last, after), s.read})
		}
		if s.last > to {
			left = append(left, span{max(s.first, to+1), s.last, s.read})
		}
	}
	l.put(queue, left)
}

// forgettable returns a snapshot before which what was noted is of no use to anybody, or "".
func (l *lates) forgettable() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.old
}

// readLate reads what was noted, where the store has anything to note.
func (t tx) readLate() error {
	if t.Exclusive() {
		return nil
	}
	l := &t.b.late
	l.mu.Lock()
	seen := l.seen
	l.mu.Unlock()
	var r reading
	err := t.Query("late_find", r.row, since(seen))
	if err == nil {
		l.read(&r)
	}
	return err
}

// readLateIfDue is readLate for a Pop.
func (b *Backend) readLateIfDue(ctx context.Context, store Direct) error {
	seen, due := b.late.due(time.Now())
	if !due {
		return nil
	}
	var r reading
	err := store.Direct(ctx, Call{"late_find", []any{since(seen)}, r.row})
	if err == nil {
		b.late.read(&r)
	}
	return err
}

// since is the argument of late_find.
func since(snapshot string) any {
	if snapshot == "" {
		return nil
	}
	return snapshot
}

// A lining notes which jobs a transaction of this package gives places, or keeps from being claimed.
type lining struct {
	ids     Numbers
	began   time.Time
	since   time.Time // when the jobs had them
	release int64     // when the first of those that it delays is ready, or 0
	due     int64     // when the last of those that it makes ready was due, or 0
	looks   []dueLook

	names    []jobqueue.Name // queues that got ready jobs
	anywhere bool            // others did, too
}

func (l *lining) begin() {
	if l.since.IsZero() {
		l.since = time.Now()
	}
}

func (l *lining) add(ids []int64) { l.ids = append(l.ids, ids...) }

// noteLate notes where the jobs stand, if their transaction took so long that looks may have gone by them. It
// reports whether it did.
func (b *Backend) noteLate(ctx context.Context, l *lining) bool {
	since := l.since
	if l.release != 0 {
		since = l.began // The time was read then.
	}
	if len(l.ids) == 0 || time.Since(since) < reachTrail {
		return false
	}
	// Without it full looks find them.
	b.store.Write(ctx, false, func(t Tx) error {
		if t.Exclusive() {
			return nil
		}
		return t.Exec("late_note", l.ids)
	})
	return true
}
