package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/lease"
	"github.com/wikifarm/jobqueue/ondemand"
)

// mostOverdue is how long a run on demand may go on beyond the interval; then the web server warns, too.
const mostOverdue = 30 * time.Second

// overruns returns what there is to say of each run on demand that goes on for longer than it should.
func (s *session) overruns(ctx context.Context) ([]string, error) {
	leases, records, err := s.records(ctx, nil)
	if errors.Is(err, jobqueue.ErrInvalid) {
		return nil, nil // without leases there are no such runs
	}
	if err != nil {
		return nil, err
	}
	return overdue(records, leases.Rules, time.Now()), nil
}

func overdue(records map[string]lease.Record, u lease.Rules, now time.Time) (texts []string) {
	for _, d := range slices.Sorted(maps.Keys(records)) {
		if st := ondemand.Explain(d, records[d], ondemand.Switch{}, u, now); st.Overdue >= mostOverdue {
			texts = append(texts, fmt.Sprintf("the run on demand of %s: %s", jobqueue.EscapeName(d), escape(st.Why)))
		}
	}
	return texts
}

// overran notes the runs on demand that go on for longer than they should.
func (k *check) overran(w *watched) {
	found := w.overruns.Last()
	if err := unread(found); err != nil {
		if w.crew.Last().OK() { // else that has been said
			k.unasked("", err)
		}
		return
	}
	k.overruns = len(found.Value)
	const most = 3
	for i, text := range found.Value {
		if i == most {
			k.add(warning, "%d more runs on demand that take too long", len(found.Value)-most)
			break
		}
		k.add(warning, "%s", text)
	}
}
