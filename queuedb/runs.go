package queuedb

import (
	"encoding/binary"
	"slices"
)

// Runs is a list of job numbers. Those of one claim mostly follow each other,
// so it is kept as ranges.
type Runs []Run

// A Run is a range of numbers.
type Run struct{ First, Last int64 }

// mostRun is how many numbers are believed to follow each other.
const mostRun = 1 << 20

// RunsOf returns the ids in their order.
func RunsOf(ids []int64) (r Runs) {
	for _, id := range ids {
		if n := len(r); n > 0 && r[n-1].Last == id-1 {
			r[n-1].Last = id
		} else {
			r = append(r, Run{id, id})
		}
	}
	return r
}

// Numbers is the reverse of RunsOf.
func (r Runs) Numbers() Numbers {
	n := 0
	for _, s := range r {
		n += int(s.Last - s.First + 1)
	}
	ids := make(Numbers, 0, n)
	for _, s := range r {
		for id := s.First; id <= s.Last; id++ {
			ids = append(ids, id)
		}
	}
	return ids
}

// has reports whether id is in r, which must be in order.
func (r Runs) has(id int64) bool {
	i, found := slices.BinarySearchFunc(r, id, func(s Run, id int64) int {
		switch {
		case s.Last < id:
			return -1
		case s.First > id:
			return 1
		}
		return 0
	})
	return found && r[i].First <= id
}

// with returns r, which must be in order, and the ids together in order. It sorts ids.
func (r Runs) with(ids []int64) Runs {
	slices.Sort(ids)
	var sum Runs
	add := func(s Run) {
		if n := len(sum); n > 0 && s.First <= sum[n-1].Last+1 {
			sum[n-1].Last = max(sum[n-1].Last, s.Last)
		} else {
			sum = append(sum, s)
		}
	}
	for len(r) > 0 || len(ids) > 0 {
		if len(ids) == 0 || len(r) > 0 && r[0].First <= ids[0] {
			add(r[0])
			r = r[1:]
		} else {
			add(Run{ids[0], ids[0]})
			ids = ids[1:]
		}
	}
	return sum
}

// AppendPacked appends r, for dialects without arrays, as pairs of varints: the gap before a range, which
// is negative when it goes back, and its length less one.
func (r Runs) AppendPacked(b []byte) []byte {
	last := int64(0)
	for _, s := range r {
		b = binary.AppendVarint(b, s.First-last)
		b = binary.AppendUvarint(b, uint64(s.Last-s.First))
		last = s.Last
	}
	return b
}

// ParseRuns reads what AppendPacked wrote, and reports whether it is that.
func ParseRuns(b []byte) (r Runs, ok bool) {
	last := int64(0)
	for len(b) > 0 {
		gap, n := binary.Varint(b)
		if n <= 0 {
			return nil, false
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length >= mostRun {
			return nil, false
		}
		b = b[n+m:]
		s := Run{First: last + gap}
		s.Last = s.First + int64(length)
		r = append(r, s)
		last = s.Last
	}
	return r, true
}
