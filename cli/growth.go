package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/wikifarm/jobqueue"
)

const (
	growthPrefix = "check/abandoned/" // of the keys in a Control of how many there were
	growthTime   = time.Hour          // how long they are kept
	growthStep   = growthTime / 12    // between two of them
	noteTime     = 10 * time.Second   // for keeping one
)

// abandoned looks at how many jobs are abandoned, and whether they become more.
func (k *check) abandoned(ctx context.Context, w *watched) {
	n, all := 0, true
	for _, st := range w.stores {
		counts := st.counts.Last()
		if err := unread(counts); err != nil {
			all = false // The number would be too low.
			if unread(st.ready.Last()) == nil {
				k.unasked(st.Name, err)
			}
		}
		for _, c := range counts.Value {
			n += c.Abandoned
		}
	}
	if !all {
		return
	}
	limit := ""
	if k.maxAbandoned >= 0 {
		limit = strconv.Itoa(k.maxAbandoned)
		if n > k.maxAbandoned {
			k.add(warning, "%d abandoned jobs, more than %d", n, k.maxAbandoned)
		}
	}
	k.measure("abandoned", "", float64(n), limit, "")
	k.unasked(w.control(), k.growth(ctx, w.s, n))
}

// growth compares the number of abandoned jobs with those of the last hour, and notes it for later.
// It compares with the least, as some may have been requeued or pruned meanwhile.
func (k *check) growth(ctx context.Context, s *session, n int) error {
	if s.Control == nil {
		return nil
	}
	before, err := s.Control.Values(ctx, growthPrefix)
	if err != nil {
		return err
	}
	least, since, last := n, time.Duration(0), growthTime
	for _, v := range before {
		m, err := strconv.Atoi(string(v.Data))
		if err != nil {
			continue // of another version
		}
		if m < least || m == least && v.Age < since {
			least, since = m, v.Age
		}
		last = min(last, v.Age)
	}
	if n-least > k.maxGrowth {
		k.add(warning, "%d more abandoned jobs than %v ago, over %d", n-least, since.Round(time.Second), k.maxGrowth)
	}
	k.measure("growth", "", float64(n-least), strconv.Itoa(k.maxGrowth), "")
	if last < growthStep || s.ReadOnly != "" {
		return nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	note := jobqueue.Value{Key: growthPrefix + id.String(), Data: []byte(strconv.Itoa(n)), TTL: growthTime}
	// Where nobody can write, monitoring is to hear of it, and soon.
	wait := noteTime
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)/2) // so as to be able to say it
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if _, _, err := s.Control.SetValue(ctx, note); err != nil {
		k.add(critical, "the default backend cannot be written to: %s", escape(err.Error()))
	}
	return nil
}
