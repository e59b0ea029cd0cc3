package queuedb

import (
	"slices"
	"sync"
	"time"
)

// Positions only grow, so a queue is looked at from where it was claimed last: what was deleted
// before costs nothing, even while the store cannot clean it up. A job may still come to
// stand there, when its transaction commits late or the one that held it gives it up. So looks go on from a claimed
// position only once one from before it has begun so much later than the claim that it saw what was committed in between; transactions
// that take longer are noted. Now and then, and before a Pop answers short, a look is a full one, as often as it is cheap.
//
// The same holds for delayed jobs of all queues together, whose positions are the times at which they are ready: all that
// were due by then are ready.
const (
	reachTrail  = 30 * time.Millisecond // between a claim and a look that sees what was committed in time
	reachStep   = 10 * time.Millisecond // between two positions that are remembered
	reachKeep   = time.Second           // between two times that positions are stored
	cheapLook   = 2 * time.Millisecond  // a full look that is always allowed
	lookShare   = 20                    // a dearer one is not, for so many times as long
	lookSoonest = time.Second           // after one, a full look
	lookLatest  = 30 * time.Second
	stored      = -1 // the position that the store has
	delayed     = 0  // instead of a queue
)

// reaches are up to where each queue was claimed last.
type reaches struct {
	mu     sync.Mutex
	queues map[int64]*reach
	kept   time.Time // when positions were stored
}

type reach struct {
	base  int64  // looks go from behind it
	marks []mark // later ones, the newest last
	moved int64  // the last one at which there was a job
	kept  int64  // the one that was stored
	full  time.Time
	took  time.Duration // that look
	short bool          // the last claim came up short
}

// A mark is a position that was claimed, and when.
type mark struct {
	position int64
	at       time.Time
}

// after returns the positions to look behind, 0 for a full look, and whether all looks are full ones or may not be.
func (c *reaches) after(queues []int64, now time.Time) (after []int64, final bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	after, final = make([]int64, len(queues)), true
	for i, q := range queues {
		k := c.queues[q]
		if k == nil {
			after[i] = stored
			final = false
			continue
		}
		if now.Sub(k.full) >= min(max(lookSoonest, lookShare*k.took), lookLatest) {
			continue
		}
		after[i] = k.base
		final = final && (after[i] == 0 || !k.mayLook(now))
	}
	return after, final
}

// willBeShort reports whether a claim is likely to come up short, as the last one of each queue did, and
// the full looks that it may then make are cheap.
func (c *reaches) willBeShort(queues []int64, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range queues {
		k := c.queues[q]
		if k == nil || q != delayed && !k.short || k.took >= cheapLook && k.mayLook(now) {
			return false
		}
	}
	return true
}

// cameShort notes whether a claim of a queue came up short.
func (c *reaches) cameShort(queue int64, short bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(queue).short = short
}

// full returns the positions to look behind when the answer would be short.
func (c *reaches) full(queues []int64, now time.Time) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := make([]int64, len(queues))
	for i, q := range queues {
		if k := c.queues[q]; k != nil && !k.mayLook(now) {
			after[i] = k.base
		}
	}
	return after
}

// behind returns the positions that Ready is to look behind when it makes no full look.
func (c *reaches) behind(queues []int64) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := make([]int64, len(queues))
	for i, q := range queues {
		if after[i] = stored; c.queues[q] != nil {
			after[i] = c.queues[q].base
		}
	}
	return after
}

func (k *reach) mayLook(now time.Time) bool {
	return k.took < cheapLook || now.Sub(k.full) >= min(lookShare*k.took, lookLatest)
}

// looked notes how long a look took that was full for some.
func (c *reaches) looked(queues, after []int64, began time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, q := range queues {
		if after[i] == 0 {
			k := c.at(q)
			k.full, k.took = now, now.Sub(began)
		} else if k := c.at(q); after[i] == stored && k.full.IsZero() {
			k.full = now
		}
	}
}

func (c *reaches) at(queue int64) *reach {
	if c.queues == nil {
		c.queues = map[int64]*reach{}
	}
	k := c.queues[queue]
	if k == nil {
		k = &reach{base: stored}
		c.queues[queue] = k
	}
	return k
}

// past notes that a look, which began then, went over a queue up to a position.
func (c *reaches) past(queue, to int64, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.queues[queue]
	if k == nil {
		return
	}
	n := 0
	for n < len(k.marks) && k.marks[n].position <= to && began.Sub(k.marks[n].at) >= reachTrail {
		k.base = k.marks[n].position
		n++
	}
	k.marks = slices.Delete(k.marks, 0, n)
}

// claimed notes the last position that was claimed of a queue.
func (c *reaches) claimed(queue, position int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.at(queue)
	k.add(position, now)
	k.moved = max(k.moved, position)
}

// lookedUntil notes until when delayed jobs have been made ready.
func (c *reaches) lookedUntil(release int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at(delayed).add(release, now)
}

// released notes when the last of some delayed jobs was due that have been made ready.
func (c *reaches) released(last int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.at(delayed)
	k.moved = max(k.moved, last)
}

// A dueLook is a look for delayed jobs of any queue, which makes ready those it finds.
type dueLook struct {
	from, until int64 // release times
	last        int64 // the latest it found
	most, found int
	began       time.Time
}

// noteDue notes how far a look went that is over.
func (b *Backend) noteDue(l dueLook) {
	until, to := l.last, l.last-1
	if l.found < l.most {
		until, to = l.until, everything // What is due later is not late.
	}
	b.reached.past(delayed, to, l.began)
	b.reached.lookedUntil(until, time.Now())
	b.late.looked(delayed, max(l.from-1, 0), to, l.began)
}

// noteReleased notes when the last of some delayed jobs was due that have been made ready. The next Pops look for more.
func (b *Backend) noteReleased(last int64) {
	b.due.Store(time.Now().UnixNano())
	b.reached.released(last)
}

// lower has delayed jobs that are ready from then on looked at, unless it is 0.
func (c *reaches) lower(release int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.queues[delayed]
	if k == nil || release == 0 {
		return
	}
	k.marks = slices.DeleteFunc(k.marks, func(m mark) bool { return m.position >= release })
	k.base = min(k.base, release-1)
}

// add adds a mark, unless it is before another.
func (k *reach) add(position int64, now time.Time) {
	n := len(k.marks)
	switch {
	case position <= k.base || n > 0 && position <= k.marks[n-1].position: // It was found behind.
	case n > 1 && now.Sub(k.marks[n-2].at) < reachStep:
		k.marks[n-1] = mark{position, now}
	default:
		k.marks = append(k.marks, mark{position, now})
	}
}

// keep returns the positions that are to be stored, if it is time for that.
func (c *reaches) keep(now time.Time) (queues, positions []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.kept) < reachKeep {
		return nil, nil
	}
	c.kept = now
	for q, k := range c.queues {
		if p := k.base; k.kept < k.moved && p > k.kept {
			k.kept = p
			queues, positions = append(queues, q), append(positions, p)
		}
	}
	return queues, positions
}
