package runner

import (
	"time"

	"github.com/wikifarm/jobqueue"
)

// manyNames is up to how many names a store is asked about one by one.
const manyNames = 1000

// wanted finds out which domains to serve, and returns all names if these are known and few.
func (f *fetcher) wanted() []jobqueue.Name {
	if f.r.o.Domains == nil {
		return nil
	}
	served := f.r.serve()
	f.served = time.Now()
	types := f.r.o.Types
	// No type has an empty name; only a fallback takes it.
	if len(types) == 0 && !f.r.reg.Has("") {
		types = f.r.reg.Types()
	}
	domains := make(map[string]bool, len(served))
	for _, d := range served {
		domains[d] = true
	}
	f.moved(domains)
	if len(served)*len(types) > manyNames {
		return nil
	}
	var names []jobqueue.Name
	for _, d := range served {
		for _, t := range types {
			if n := (jobqueue.Name{Domain: d, Type: t}); serves(f.only, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// moved notes which domains to serve now. What waits in hand of those that are gone is given back: it is others' now, or nobody's.
func (f *fetcher) moved(domains map[string]bool) {
	gone := false
	for d := range f.domains {
		gone = gone || !domains[d]
	}
	f.domains = domains
	if !gone {
		return
	}
	f.keep(f.r.pool.remove(func(j *job) bool { return !f.here(j.claim.Domain) }))
	held := f.held[:0]
	for _, h := range f.held {
		if len(f.keep([]*job{h.job})) > 0 {
			held = append(held, h)
		}
	}
	clear(f.held[len(held):])
	f.held = held
}

// here reports whether a domain is one of those to serve.
func (f *fetcher) here(domain string) bool { return f.r.o.Domains == nil || f.domains[domain] }

// keep returns the jobs of domains to serve, and gives back the others.
func (f *fetcher) keep(jobs []*job) []*job {
	if f.r.o.Domains == nil {
		return jobs
	}
	kept := jobs[:0:0]
	for _, j := range jobs {
		if f.here(j.claim.Domain) {
			kept = append(kept, j)
		} else {
			f.r.giveBack(f.box(), j, 0)
		}
	}
	return kept
}
