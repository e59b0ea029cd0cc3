package queuememory

import (
	"iter"
	"strconv"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// newKey returns the ID of a job: its number in decimal.
func newKey(id uint64) string { return strconv.FormatUint(id, 10) }

// newKeys returns the IDs of many jobs behind a prefix. They share one string.
func newKeys(prefix string, ids []uint64) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		var all strings.Builder
		var digits [20]byte
		for i, id := range ids {
			key := strconv.AppendUint(digits[:0], id, 10)
			if i == 0 {
				all.Grow((len(prefix) + len(key) + 1) * len(ids))
			}
			from := all.Len()
			all.WriteString(prefix)
			all.Write(key)
			if !yield(i, all.String()[from:]) {
				return
			}
		}
	}
}

// number returns the number of the job with an ID behind a prefix; 0 if no job has it.
func number(prefix, key string) uint64 {
	key, ok := strings.CutPrefix(key, prefix)
	if !ok || key == "" || key[0] == '0' || key[0] == '+' {
		return 0
	}
	id, err := strconv.ParseUint(key, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// numbers returns the numbers of the claimed jobs.
func numbers(prefix string, outcomes []jobqueue.Outcome) []uint64 {
	ids := make([]uint64, len(outcomes))
	for i := range outcomes {
		ids[i] = number(prefix, outcomes[i].Claim.ID)
	}
	return ids
}
