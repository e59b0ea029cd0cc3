package queuememory

import (
	"iter"
	"strconv"

	"github.com/wikifarm/jobqueue"
)

// newKey returns the ID of a job: its number in decimal.
func newKey(id uint64) string { return strconv.FormatUint(id, 10) }

// newKeys returns the IDs of many jobs, which share one string.
func newKeys(ids []uint64) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		ends := make([]int, len(ids))
		all := make([]byte, 0, 8*len(ids))
		for i, id := range ids {
			all = strconv.AppendUint(all, id, 10)
			ends[i] = len(all)
		}
		keys, from := string(all), 0
		for i, to := range ends {
			if !yield(i, keys[from:to]) {
				return
			}
			from = to
		}
	}
}

// number returns the number of the job with an ID; 0 if no job has it.
func number(key string) uint64 {
	if key == "" || key[0] == '0' || key[0] == '+' {
		return 0
	}
	id, err := strconv.ParseUint(key, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// numbers returns the numbers of the claimed jobs.
func numbers(outcomes []jobqueue.Outcome) []uint64 {
	ids := make([]uint64, len(outcomes))
	for i := range outcomes {
		ids[i] = number(outcomes[i].Claim.ID)
	}
	return ids
}
