package queuedb

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/wikifarm/jobqueue"
)

// A state is what a waiting job may take over from its duplicates.
type state struct {
	release  int64 // 0: it is ready
	position int64 // where it has become ready, if it has
	due      int64 // when it would have been otherwise, then
	root     root
	moved    bool // release has changed
	rooted   bool // root has changed
}

// takeOver lets s stand for a record that is dropped, and reports whether it
// took over the root. The number that the record does not need is its place in line.
func (s *state) takeOver(release int64, r root, number int64) (taken bool) {
	if s.release != 0 && release < s.release {
		if release == 0 {
			s.position, s.due = number, s.release
		}
		s.release, s.moved = release, true
	}
	switch {
	case s.root.key == "":
		// A job without a root is never superseded, so it does everybody's work.
	case s.root.key != r.key:
		// Superseded by either root's successor, it would leave the other's work undone.
		s.root, s.rooted = root{}, true
	case r.time > s.root.time:
		s.root, s.rooted, taken = r, true, true
	}
	return taken
}

// changes reports whether s would take over anything.
func (s *state) changes(release int64, r root) bool {
	return s.release != 0 && release < s.release ||
		s.root.key != "" && (s.root.key != r.key || r.time > s.root.time)
}

// dedupe finds the duplicates and lets the jobs that wait take over from them.
func (p *pushing) dedupe() error {
	if err := p.findTwins(); err != nil || p.waiting == nil {
		return err
	}
	if err := p.holdTwins(); err != nil {
		return err
	}
	for i := range p.records {
		if p.twin[i] == 0 {
			continue
		}
		place := int(p.twin[i] - p.first)
		s := p.waiting[p.twin[i]]
		if s == nil {
			// Its twin comes first in this very push and is not written yet. Its own mark moves all the same.
			p.mark(place)
			s = &state{release: p.release[place], root: p.root[place]}
			if s.takeOver(p.release[i], p.root[i], p.first+int64(i)) {
				p.mark(i)
			}
			p.release[place], p.root[place] = s.release, s.root
			if s.position != 0 {
				p.late, p.lateAt = append(p.late, p.twin[i]), append(p.lateAt, s.position)
			}
		} else if s.takeOver(p.release[i], p.root[i], p.first+int64(i)) {
			p.mark(i)
		}
	}
	return p.writeWaiting()
}

// A digestKey is what no two waiting jobs have in common.
type digestKey struct {
	queue  int64
	digest jobqueue.Digest
}

func (a digestKey) compare(b digestKey) int {
	return cmp.Or(cmp.Compare(a.queue, b.queue), bytes.Compare(a.digest[:], b.digest[:]))
}

// findTwins takes the digests of the new jobs, and reads the jobs that have them already.
func (p *pushing) findTwins() error {
	firsts := map[digestKey]int64{} // the first job of this push, then the holder
	var keys []digestKey
	for i := range p.records {
		d := &p.records[i].Digest
		if *d == (jobqueue.Digest{}) {
			continue
		}
		k := digestKey{p.queue[i], *d}
		if _, again := firsts[k]; !again {
			firsts[k] = p.first + int64(i)
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	holders, err := p.takeDigests(keys, firsts)
	if err != nil {
		return err
	}
	var older Numbers
	for i := range p.records {
		d := &p.records[i].Digest
		if *d == (jobqueue.Digest{}) {
			continue
		}
		holder := holders[digestKey{p.queue[i], *d}]
		if holder == p.first+int64(i) {
			continue
		}
		p.twin[i] = holder
		if !p.own(holder) {
			older = append(older, holder)
		}
		if p.waiting == nil {
			p.waiting = map[int64]*state{}
		}
	}
	if len(older) == 0 {
		return nil
	}
	slices.Sort(older)
	if err := p.readTwins(slices.Compact(older)); err != nil {
		return err
	}
	return p.succeed()
}

// own reports whether a job is one of this push.
func (p *pushing) own(id int64) bool { return id >= p.first && id < p.first+int64(len(p.records)) }

// takeDigests gives the digests to the jobs, and returns who holds them.
func (p *pushing) takeDigests(keys []digestKey, jobs map[digestKey]int64) (holders map[digestKey]int64, err error) {
	slices.SortFunc(keys, digestKey.compare)
	queues, digests, ids := make([]int64, len(keys)), make([][]byte, len(keys)), make([]int64, len(keys))
	for i := range keys {
		queues[i], digests[i], ids[i] = keys[i].queue, keys[i].digest[:], jobs[keys[i]]
	}
	holders = make(map[digestKey]int64, len(keys))
	err = p.QueryEach("dedupe_take", func(scan Scan) error {
		var k digestKey
		var digest []byte
		var holder int64
		err := scan(&k.queue, &digest, &holder)
		copy(k.digest[:], digest)
		// One that was given up meanwhile is told of twice.
		if holders[k] != jobs[k] {
			holders[k] = holder
		}
		return err
	}, queues, digests, ids)
	if err == nil && len(holders) < len(keys) {
		err = ErrAgain
	}
	return holders, err
}

// readTwins reads what waiting jobs may take over.
func (p *pushing) readTwins(ids Numbers) error {
	return p.Query("twin_read", func(scan Scan) error {
		var id int64
		s := new(state)
		err := scan(&id, &s.release, &s.root.key, &s.root.time)
		p.waiting[id] = s
		return err
	}, ids)
}

// holdTwins keeps the waiting jobs that take something over from being claimed
// meanwhile, or all that have duplicates here.
func (p *pushing) holdTwins() error {
	if p.Exclusive() {
		return nil
	}
	var ids Numbers
	for i, id := range p.twin {
		if s := p.waiting[id]; s != nil && (p.keeps || s.changes(p.release[i], p.root[i])) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	p.lines.begin()
	p.lines.add(ids)
	held, err := p.numbers("place_hold", ids, false)
	if err != nil {
		return err
	}
	for _, id := range ids {
		delete(p.waiting, id)
	}
	if err := p.readTwins(ids); err != nil {
		return err
	}
	slices.Sort(held)
	for _, id := range ids {
		if p.waiting[id] == nil || !has(held, id) {
			return ErrAgain
		}
	}
	return nil
}

// succeed gives the digests of jobs that are gone, though nothing but damage
// leaves them behind, to the first of this push.
func (p *pushing) succeed() error {
	heir := map[int64]int64{}
	var queues, ids, holders []int64
	var digests [][]byte
	for i, holder := range p.twin {
		if holder == 0 || p.own(holder) || p.waiting[holder] != nil {
			continue
		}
		p.twin[i] = heir[holder]
		if heir[holder] == 0 {
			heir[holder] = p.first + int64(i)
			queues, digests = append(queues, p.queue[i]), append(digests, p.records[i].Digest[:])
			ids, holders = append(ids, heir[holder]), append(holders, holder)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	given := 0
	err := p.QueryEach("dedupe_move", func(Scan) error {
		given++
		return nil
	}, queues, digests, ids, holders)
	if err == nil && given < len(ids) {
		err = ErrAgain // They are not gone, but have been claimed since.
	}
	return err
}

func (p *pushing) writeWaiting() error {
	var ready, positions, since, delayed, releases, rooted, times []int64
	var keys []string
	for id, s := range p.waiting {
		switch {
		case s.moved && s.release == 0:
			ready, positions = append(ready, id), append(positions, s.position)
			since = append(since, min(s.due, p.now())) // It may have been due already.
		case s.moved:
			delayed, releases = append(delayed, id), append(releases, s.release)
		}
		if s.rooted {
			rooted, keys, times = append(rooted, id), append(keys, s.root.key), append(times, s.root.time)
		}
	}
	if len(rooted) > 0 {
		if err := p.ExecEach("job_root", keys, times, rooted); err != nil {
			return err
		}
	}
	if len(delayed) > 0 {
		if err := p.delay(releases, delayed); err != nil {
			return err
		}
	}
	if len(ready) == 0 {
		return nil
	}
	if err := p.Exec("later_delete", Numbers(ready)); err != nil {
		return err
	}
	return p.lineUp(positions, ready, since)
}

// lineUp makes jobs ready, which are nowhere, at positions.
func (p *pushing) lineUp(positions, ids, since []int64) error {
	n := len(ids)
	zeros := make([]int64, n)
	if err := p.ExecEach("job_change", zeros, zeros, make([]string, n), positions, ids); err != nil {
		return err
	}
	return p.putReady(ids, since)
}

// putBack makes jobs ready, which are nowhere, at the back of their queues.
func (t tx) putBack(ids, since []int64) error {
	if len(ids) == 0 {
		return nil
	}
	zeros := make([]int64, len(ids))
	return t.putBackWith(zeros, zeros, make([]string, len(ids)), ids, since)
}

// putBackWith is putBack for attempts that ended, with what they add to the counters and why.
func (t tx) putBackWith(failures, expiries []int64, reasons []string, ids, since []int64) error {
	positions, err := t.positions(len(ids))
	if err != nil {
		return err
	}
	if err := t.ExecEach("job_change", failures, expiries, reasons, positions, ids); err != nil {
		return err
	}
	return t.putReady(ids, since)
}

// putReady makes jobs ready at the positions that they have.
func (t tx) putReady(ids, since []int64) error {
	t.lines.add(ids)
	return t.ExecEach("ready_put", since, ids)
}

// delay has jobs, which are nowhere or delayed, wait until some time each.
func (t tx) delay(releases, ids []int64) error {
	t.lines.add(ids)
	if first := slices.Min(releases); t.lines.release == 0 || first < t.lines.release {
		t.lines.release = first
	}
	return t.ExecEach("later_put", releases, ids)
}

// positions returns n positions at the back.
func (t tx) positions(n int) ([]int64, error) {
	positions := make([]int64, 0, n)
	t.lines.anywhere = true
	err := t.reserve(n, func(first, n int64) {
		for i := range n {
			positions = append(positions, first+i)
		}
	})
	return positions, err
}
