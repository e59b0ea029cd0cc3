package queuedb

import (
	"encoding/binary"
	"errors"
	"slices"
)

// runs is a list of job numbers. Those of one claim mostly follow each other,
// so it is kept as ranges.
type runs []run

type run struct{ first, last int64 }

var errRuns = errors.New("set of job numbers is damaged")

// mostRun is how many numbers are believed to follow each other.
const mostRun = 1 << 20

// runsOf returns the ids in their order.
func runsOf(ids []int64) (r runs) {
	for _, id := range ids {
		if n := len(r); n > 0 && r[n-1].last == id-1 {
			r[n-1].last = id
		} else {
			r = append(r, run{id, id})
		}
	}
	return r
}

// numbers is the reverse of runsOf.
func (r runs) numbers() Numbers {
	n := 0
	for _, s := range r {
		n += int(s.last - s.first + 1)
	}
	ids := make(Numbers, 0, n)
	for _, s := range r {
		for id := s.first; id <= s.last; id++ {
			ids = append(ids, id)
		}
	}
	return ids
}

// columns returns the first and the last number of each range.
func (r runs) columns() (firsts, lasts []int64) {
	firsts, lasts = make([]int64, len(r)), make([]int64, len(r))
	for i, s := range r {
		firsts[i], lasts[i] = s.first, s.last
	}
	return firsts, lasts
}

// has reports whether id is in r, which must be in order.
func (r runs) has(id int64) bool {
	i, found := slices.BinarySearchFunc(r, id, func(s run, id int64) int {
		switch {
		case s.last < id:
			return -1
		case s.first > id:
			return 1
		}
		return 0
	})
	return found && r[i].first <= id
}

// with returns r, which must be in order, and the ids together in order. It sorts ids.
func (r runs) with(ids []int64) runs {
	slices.Sort(ids)
	var sum runs
	add := func(s run) {
		if n := len(sum); n > 0 && s.first <= sum[n-1].last+1 {
			sum[n-1].last = max(sum[n-1].last, s.last)
		} else {
			sum = append(sum, s)
		}
	}
	for len(r) > 0 || len(ids) > 0 {
		if len(ids) == 0 || len(r) > 0 && r[0].first <= ids[0] {
			add(r[0])
			r = r[1:]
		} else {
			add(run{ids[0], ids[0]})
			ids = ids[1:]
		}
	}
	return sum
}

// encode packs r as pairs of varints: the gap before a range, which is negative when it goes back, and its length less one.
func (r runs) encode() []byte {
	b := make([]byte, 0, 4*len(r)+8)
	last := int64(0)
	for _, s := range r {
		b = binary.AppendVarint(b, s.first-last)
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		last = s.last
	}
	return b
}

func decodeRuns(b []byte) (r runs, err error) {
	last := int64(0)
	for len(b) > 0 {
		gap, n := binary.Varint(b)
		if n <= 0 {
			return nil, errRuns
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length >= mostRun {
			return nil, errRuns
		}
		b = b[n+m:]
		s := run{first: last + gap}
		s.last = s.first + int64(length)
		r = append(r, s)
		last = s.last
	}
	return r, nil
}
