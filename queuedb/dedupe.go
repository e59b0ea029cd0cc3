package queuedb

import (
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

// dedupe finds the duplicates and lets the jobs that wait take over from them.
func (p *pushing) dedupe() error {
	if err := p.findTwins(); err != nil || p.waiting == nil {
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

// findTwins takes the digests of the new jobs, and reads the jobs that have them already.
func (p *pushing) findTwins() error {
	var places []int
	var queues, ids []int64
	var digests [][]byte
	for i := range p.records {
		if d := &p.records[i].Digest; *d != (jobqueue.Digest{}) {
			places, queues = append(places, i), append(queues, p.queue[i])
			digests, ids = append(digests, d[:]), append(ids, p.first+int64(i))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var older Numbers
	k := 0
	err := p.QueryEach("dedupe_take", func(scan Scan) error {
		var holder int64
		if err := scan(&holder); err != nil {
			return err
		}
		if holder != ids[k] {
			p.twin[places[k]] = holder
			if holder < p.first {
				older = append(older, holder)
			}
			if p.waiting == nil {
				p.waiting = map[int64]*state{}
			}
		}
		k++
		return nil
	}, queues, digests, ids)
	if err != nil || len(older) == 0 {
		return err
	}
	slices.Sort(older)
	err = p.Query("twin_read", func(scan Scan) error {
		var id int64
		s := new(state)
		err := scan(&id, &s.release, &s.root.key, &s.root.time)
		p.waiting[id] = s
		return err
	}, slices.Compact(older))
	if err != nil {
		return err
	}
	return p.succeed(places)
}

// succeed gives the digests of jobs that are gone, though nothing but damage
// leaves them behind, to the first of this push.
func (p *pushing) succeed(places []int) error {
	heir := map[int64]int64{}
	var queues, ids []int64
	var digests [][]byte
	for _, i := range places {
		holder := p.twin[i]
		if holder == 0 || holder >= p.first || p.waiting[holder] != nil {
			continue
		}
		p.twin[i] = heir[holder]
		if heir[holder] == 0 {
			heir[holder] = p.first + int64(i)
			queues, digests, ids = append(queues, p.queue[i]), append(digests, p.records[i].Digest[:]), append(ids, heir[holder])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return p.ExecEach("dedupe_move", queues, digests, ids)
}

func (p *pushing) writeWaiting() error {
	var ready, positions, since, delayed, releases, rooted, times []int64
	var keys []string
	for id, s := range p.waiting {
		switch {
		case s.moved && s.release == 0:
			ready, positions = append(ready, id), append(positions, s.position)
			since = append(since, min(s.due, p.now)) // It may have been due already.
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
		if err := p.ExecEach("later_put", releases, delayed); err != nil {
			return err
		}
	}
	if len(ready) == 0 {
		return nil
	}
	if _, err := p.Exec("later_delete", Numbers(ready)); err != nil {
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
	return p.ExecEach("ready_put", since, ids)
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
	return t.ExecEach("ready_put", since, ids)
}

// positions returns n positions at the back.
func (t tx) positions(n int) ([]int64, error) {
	first, err := t.reserve(n)
	positions := make([]int64, n)
	for i := range positions {
		positions[i] = first + int64(i)
	}
	return positions, err
}
