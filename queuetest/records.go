package queuetest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/wikifarm/jobqueue"
)

// job returns a record that is known by its number.
func job(n int) jobqueue.Record {
	return jobqueue.Record{Params: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
}

// jobs returns the records first to last.
func jobs(first, last int) (records []jobqueue.Record) {
	for n := first; n <= last; n++ {
		records = append(records, job(n))
	}
	return records
}

// unique makes r a duplicate of every record with the same key.
func unique(r jobqueue.Record, key string) jobqueue.Record {
	r.Digest = jobqueue.KeyDigest(key)
	return r
}

func delayed(r jobqueue.Record, d time.Duration) jobqueue.Record {
	r.Delay = d
	return r
}

func rooted(r jobqueue.Record, key string, at time.Time) jobqueue.Record {
	r.Root = jobqueue.Root{Key: key, Time: at}
	return r
}

func typed(r jobqueue.Record, typ string) jobqueue.Record {
	r.Type = typ
	return r
}

// day returns the nth day of a month long gone, at a time of day to the microsecond.
func day(n int) time.Time { return time.Date(2020, 1, n, 12, 34, 56, 789012000, time.UTC) }

func numberOf(params json.RawMessage) int {
	var p struct{ N int }
	if json.Unmarshal(params, &p) != nil {
		return -1
	}
	return p.N
}

func numbersOf(claims []*jobqueue.Claim) []int {
	numbers := make([]int, len(claims))
	for i, c := range claims {
		numbers[i] = numberOf(c.Params)
	}
	return numbers
}

func listed(entries []jobqueue.Entry) []int {
	numbers := make([]int, len(entries))
	for i, e := range entries {
		numbers[i] = numberOf(e.Params)
	}
	return numbers
}

func ids(pushed jobqueue.Pushed) []string {
	all := make([]string, len(pushed))
	for i, p := range pushed {
		all[i] = p.ID
	}
	return all
}

// each makes one outcome of every claim.
func each(claims []*jobqueue.Claim, o jobqueue.Outcome) []jobqueue.Outcome {
	outcomes := make([]jobqueue.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = o
		outcomes[i].Claim = c
	}
	return outcomes
}

func done(c *jobqueue.Claim) jobqueue.Outcome {
	return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionDone}
}

func retry(c *jobqueue.Claim, d time.Duration) jobqueue.Outcome {
	return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionRetry, Delay: d, Err: "failed"}
}

func giveBack(c *jobqueue.Claim, d time.Duration) jobqueue.Outcome {
	return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionGiveBack, Delay: d}
}

func abandon(c *jobqueue.Claim, keep time.Duration) jobqueue.Outcome {
	return jobqueue.Outcome{Claim: c, Do: jobqueue.ActionAbandon, Keep: keep, Err: "hopeless"}
}

// numbered returns n types.
func numbered(prefix string, n int) []string {
	types := make([]string, n)
	for i := range types {
		types[i] = prefix + strconv.Itoa(i)
	}
	return types
}
