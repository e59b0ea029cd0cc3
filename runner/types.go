package runner

import (
	"time"

	"github.com/wikifarm/jobqueue"
)

const (
	typeMemory = 10 * time.Minute // after how long without work a type is forgotten that only the fallback runs
	manyTypes  = 1000             // that are looked through no sooner than there are twice as many
)

// minLease is the shortest lease: a heartbeat needs time to get there.
const minLease = time.Second

// jobType returns what is known about a type. Its policy is asked for once, until it is forgotten.
func (f *fetcher) jobType(s *store, typ string) *jobType {
	t := f.types[typ]
	if t == nil {
		f.forgetTypes()
		t = &jobType{name: typ, store: s, policy: s.group.Policy(typ)}
		t.policy.Lease = max(t.policy.Lease, minLease)
		if t.policy.Rate > 0 && !f.r.o.NoThrottle {
			t.gate = &gate{rate: t.policy.Rate, key: rateKey(typ, t.policy.Rate)}
			f.limit()
		}
		f.types[typ] = t
	}
	t.seen = time.Now()
	return t
}

// forgetTypes forgets types that had no work for long, where there may be ever new ones.
func (f *fetcher) forgetTypes() {
	if len(f.types) < f.manyTypes || !f.r.reg.Has("") {
		return
	}
	now, used := time.Now(), map[string]bool{}
	for typ := range f.dealer.Ready() {
		used[typ] = true
	}
	f.r.live(func(n jobqueue.Name) { used[n.Type] = true })
	for typ, t := range f.types {
		trouble, _, _ := t.rest.state(now)
		if now.Sub(t.seen) > typeMemory && !used[typ] && !trouble && t.gate.closedUntil(now).IsZero() {
			delete(f.types, typ)
		}
	}
	f.manyTypes = max(2*len(f.types), manyTypes)
}
