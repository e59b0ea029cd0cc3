package monitor

import (
	"errors"
	"iter"

	"github.com/wikifarm/jobqueue"
)

// recorded yields the outcomes that took effect.
func recorded(outcomes []jobqueue.Outcome, lost []*jobqueue.Claim, err error) iter.Seq[*jobqueue.Outcome] {
	return func(yield func(*jobqueue.Outcome) bool) {
		part, partly := errors.AsType[*jobqueue.PartError](err)
		if err != nil && !partly {
			return
		}
		apart := map[*jobqueue.Claim]bool{}
		for _, c := range lost {
			apart[c] = true
		}
		if partly {
			for _, c := range part.Claims {
				apart[c] = true
			}
		}
		for i := range outcomes {
			if !apart[outcomes[i].Claim] && !yield(&outcomes[i]) {
				return
			}
		}
	}
}
