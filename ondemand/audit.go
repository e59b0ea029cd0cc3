package ondemand

import (
	"errors"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue/lease"
)

// A Report is what the histories of leases say of the runs of domains.
type Report struct {
	Domains  int
	Runs     int
	Crashed  int           // runs that were taken over without an end
	Overlaps int           // runs that went on when the next had begun
	Lost     int           // domains that somebody was on deck for, or at work, that died, without a run since
	MinGap   time.Duration // between two beginnings in a domain, at least; 0 if none had two. Resets do not count
	MaxWait  time.Duration // from when a run was wanted to when it began, without what the one before took beyond the interval
}

// Audit reads the histories of domains. It knows the last Rules.Keep runs of each, and nothing of
// runs without a lease.
func Audit(records map[string]lease.Record, u lease.Rules) Report {
	u = u.WithDefaults()
	r := Report{Domains: len(records)}
	for _, now := range records {
		for i, p := range now.Past {
			r.Runs++
			switch waited := p.Waited; {
			case i > 0:
				r.MaxWait = max(r.MaxWait, waited-max(0, now.Past[i-1].Took-u.Interval))
			case p.Gap == 0: // else the one before it is forgotten, which may have taken long
				r.MaxWait = max(r.MaxWait, waited)
			}
			if p.Outcome == lease.Crashed {
				r.Crashed++
			}
			if i == 0 {
				continue
			}
			before := now.Past[i-1]
			if p.Gap > 0 && before.Took > p.Gap {
				r.Overlaps++
			}
			if p.Gap > 0 && (r.MinGap == 0 || p.Gap < r.MinGap) {
				r.MinGap = p.Gap
			}
		}
		late := now.Next.ID != "" && now.NextExpires < -u.TTL
		silent := now.Current.ID != "" && !now.Over && now.Beat < -(u.TTL+u.Interval)
		if late || silent {
			r.Lost++
		}
	}
	return r
}

// Broken returns an error that names each rule which does not hold, nil if all do: no overlaps and nothing lost; no gap below the interval;
// no wait above the interval, the TTL and 1 s.
func (r Report) Broken(u lease.Rules) error {
	u = u.WithDefaults()
	var errs []error
	if r.Overlaps > 0 {
		errs = append(errs, fmt.Errorf("%d runs went on when the next had begun", r.Overlaps))
	}
	if r.MinGap > 0 && r.MinGap < u.Interval {
		errs = append(errs, fmt.Errorf("two runs began within %v, less than the interval of %v", r.MinGap, u.Interval))
	}
	if most := u.Interval + u.TTL + time.Second; r.MaxWait > most {
		errs = append(errs, fmt.Errorf("a run was waited for for %v, more than %v", r.MaxWait, most))
	}
	if r.Lost > 0 {
		errs = append(errs, fmt.Errorf("%d domains wait for somebody who has died", r.Lost))
	}
	return errors.Join(errs...)
}

func (r Report) String() string {
	return fmt.Sprintf("domains=%d runs=%d crashed=%d overlaps=%d min_gap=%v max_wait=%v lost=%d",
		r.Domains, r.Runs, r.Crashed, r.Overlaps, r.MinGap.Round(time.Millisecond), r.MaxWait.Round(time.Millisecond), r.Lost)
}
