package queuedb

import (
	"encoding/binary"
	"errors"
	"slices"
)

// runs is a set of job numbers. Those of one claim mostly follow each other,
// so it is kept as ranges.
type runs []run

type run struct{ first, last int64 }

var errRuns = errors.New("set of job numbers is damaged")

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

// with returns r and the ids together. It sorts ids.
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

// encode packs r as pairs of varints: the gap before a range, and its length less one.
func (r runs) encode() []byte {
	b := make([]byte, 0, 4*len(r)+8)
	last := int64(0)
	for _, s := range r {
		b = binary.AppendUvarint(b, uint64(s.first-last))
		b = binary.AppendUvarint(b, uint64(s.last-s.first))
		last = s.last
	}
	return b
}

func decodeRuns(b []byte) (r runs, err error) {
	last := int64(0)
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errRuns
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return nil, errRuns
		}
		b = b[n+m:]
		s := run{first: last + int64(gap)}
		s.last = s.first + int64(length)
		r = append(r, s)
		last = s.last
	}
	return r, nil
}
