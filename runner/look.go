package runner

import (
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A look is what is ready and may be run.
type look struct {
	queues    []jobqueue.Name
	stores    []*store // of each queue
	throttled bool     // some types were left out because they must wait
	faulty    bool     // some types were left out because their handlers are at fault
	hope      bool     // and one of these worked a moment ago
	vain      int      // queues that were found and cannot be run
	took      time.Duration
}

// look asks the stores which queues are ready, or uses what they said a moment ago.
func (f *fetcher) look() (l look) {
	now := time.Now()
	f.looked = now
	var domains map[string]bool
	var names []jobqueue.Name
	broken := 0 // queues whose handler is not known to work
	hinted := f.hint(now)
	for _, s := range f.r.stores {
		if s.again != nil || s.err != nil && now.Before(s.retryAt) || s.settler.failing() || s.inHand.Load() >= maxInHand {
			continue
		}
		if !hinted && (len(s.ready) == 0 || now.Sub(s.looked) > readyTime) {
			if domains == nil {
				domains, names = f.wanted()
			}
			f.ask(s, domains, names)
		}
		l.vain += s.foreign
		for _, n := range s.ready {
			t := f.jobType(s, n.Type)
			trouble, alone, hope := t.rest.state(now)
			if alone {
				l.faulty, l.hope = true, l.hope || hope
				l.vain++
				continue
			}
			if !t.gate.closedUntil(now).IsZero() {
				l.throttled = true
				l.vain++
				continue
			}
			if trouble && !hope {
				broken++
			}
			l.queues = append(l.queues, n)
			l.stores = append(l.stores, s)
		}
	}
	if broken > 0 && broken == len(l.queues) && !l.hope && !f.r.o.Wait && f.r.pool.load().busy == 0 {
		// Nothing else is left: whether the run ends must not depend on how long it took to get here.
		l.queues, l.stores, l.faulty = nil, nil, true
	}
	l.took = time.Since(now)
	return l
}

// manyNames is up to how many names a store is asked about one by one.
const manyNames = 1000

// wanted returns the domains to serve, empty for all, and all names if these are known and few.
func (f *fetcher) wanted() (map[string]bool, []jobqueue.Name) {
	domains := map[string]bool{}
	if f.r.o.Domains == nil {
		return domains, nil
	}
	types := f.r.o.Types
	// No type has an empty name; only a fallback takes it.
	if len(types) == 0 && !f.r.reg.Has("") {
		types = f.r.reg.Types()
	}
	var names []jobqueue.Name
	for _, d := range f.r.serve() {
		domains[d] = true
		for _, t := range types {
			names = append(names, jobqueue.Name{Domain: d, Type: t})
		}
	}
	if len(domains) == 0 {
		domains[""] = true // no domain at all is not every domain
	}
	if len(names) > manyNames {
		names = nil
	}
	return domains, names
}

// ask asks one store which of the wanted queues are ready.
func (f *fetcher) ask(s *store, domains map[string]bool, names []jobqueue.Name) {
	if f.r.readOnly != nil {
		s.heard(f.r.readOnly)
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	var ready []jobqueue.Name
	s.foreign = 0
	for b, err := range s.group.Ready(ctx, names...) {
		if err != nil {
			s.heard(err)
			return
		}
		if f.serves(domains, b.Name) && f.r.group.Backend(b.Type) == s.backend {
			ready = append(ready, b.Name)
		} else {
			s.foreign++
		}
	}
	slices.SortFunc(ready, schedule.Compare)
	s.ready, s.looked = ready, time.Now()
	if s.err == nil || len(ready) == 0 {
		s.heard(nil)
	}
}

// hopeless returns why no store will ever let this program claim anything; nil if one may. One
// that refuses results is asked: what it keeps may have got a format that the program does not know.
func (f *fetcher) hopeless() error {
	for _, s := range f.r.stores {
		if s.settler.refuses.Swap(false) {
			domains, names := f.wanted()
			f.ask(s, domains, names)
		}
		if !final(s.err) {
			return nil
		}
	}
	return f.r.stores[0].err
}

// runs reports whether jobs of a type are to be run.
func (f *fetcher) runs(typ string) bool {
	if f.asked != nil {
		return f.asked[typ] && f.r.reg.Has(typ)
	}
	return f.r.reg.Has(typ) && !f.r.group.Excluded(typ)
}

// minLease is the shortest lease: a heartbeat needs time to get there.
const minLease = time.Second

// jobType returns what is known about a type. Its policy is asked for once.
func (f *fetcher) jobType(s *store, typ string) *jobType {
	t := f.types[typ]
	if t == nil {
		t = &jobType{name: typ, policy: s.group.Policy(typ)}
		t.policy.Lease = max(t.policy.Lease, minLease)
		if t.policy.Rate > 0 && !f.r.o.NoThrottle {
			t.gate = &gate{rate: t.policy.Rate, key: rateKey(typ, t.policy.Rate)}
			f.limit()
		}
		f.types[typ] = t
	}
	return t
}
