//go:build linux

package chaos_test

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wikifarm/jobqueue"
)

// checkLost finds jobs whose push was confirmed and that are gone, though nobody can have settled them for good.
func (c *checker) checkLost() {
	for _, p := range c.pushes {
		if p.done == nil {
			continue
		}
		for _, x := range p.done.Jobs {
			if !x.Dup && !c.settled(c.jobs[x.ID]) {
				c.bad("job %s (%s), pushed and confirmed at %v, is lost", x.ID, x.Number, c.at(p.done.End))
			}
		}
	}
	for _, j := range c.jobs {
		if len(j.claims) > 0 && !c.settled(j) {
			c.bad("job %s (%s), which was handed out %d times, is lost", j.id, j.number, len(j.claims))
		}
	}
}

// settled reports whether somebody may have settled a job for good.
func (c *checker) settled(j *job) bool {
	return slices.ContainsFunc(j.claims, func(k *claim) bool {
		return !k.lost && slices.ContainsFunc(k.tried, func(a jobqueue.Action) bool { return a == jobqueue.ActionDone || a == jobqueue.ActionAbandon })
	})
}

// checkNumbers finds jobs that were pushed once and are there twice.
func (c *checker) checkNumbers() {
	ids := map[string]map[string]bool{}
	see := func(number, id string) {
		if ids[number] == nil {
			ids[number] = map[string]bool{}
		}
		ids[number][id] = true
	}
	for _, j := range c.jobs {
		if j.number != "" {
			see(j.number, j.id)
		}
	}
	for number, of := range ids {
		if len(of) > 1 {
			parts := map[string]bool{}
			for id := range of {
				parts[part(id)] = true
			}
			if c.parts && len(parts) == len(of) {
				c.noted["jobs that are in two parts"]++
				continue
			}
			c.bad("job %s was pushed once and is there %d times: %v", number, len(of), of)
		}
	}
}

// part returns of which part of a store an id is.
func part(id string) string {
	p, _, found := strings.Cut(id, ":")
	if !found {
		return ""
	}
	return p
}

// A stay is how long a job has surely waited, never claimed.
type stay struct {
	*job
	from, to int64
}

// checkWaiting finds jobs with one digest that waited at the same time.
func (c *checker) checkWaiting() {
	stays := map[string][]stay{}
	for _, j := range c.jobs {
		// One that was claimed before, by whom nobody knows, may have been so at any time.
		if j.in == nil || j.digest == "" || len(j.claims) == 0 || !j.claims[0].Fresh {
			continue
		}
		first := j.claims[0].called
		for _, k := range j.claims {
			first = min(first, k.called)
		}
		if j.in.End < first {
			stays[j.digest] = append(stays[j.digest], stay{j, j.in.End, first})
		}
	}
	for digest, all := range stays {
		slices.SortFunc(all, func(a, b stay) int { return cmp.Compare(a.from, b.from) })
		for i := range all {
			for _, b := range all[i+1:] {
				a := all[i]
				if b.from >= a.to {
					break
				}
				if c.parts && part(a.id) != part(b.id) {
					c.noted["duplicates that waited in two parts"]++
					continue
				}
				c.bad("jobs %s and %s with the digest %s both waited from %v to %v", a.id, b.id, digest, c.at(b.from), c.at(min(a.to, b.to)))
			}
		}
	}
}

// checkDrops finds jobs that were dropped as duplicates of one that did not wait, and whose work was so lost.
func (c *checker) checkDrops() {
	for _, j := range c.jobs {
		for _, p := range j.drops {
			if j.in == nil && len(j.claims) == 0 && c.over {
				c.bad("push %s was a duplicate of job %s, which nobody has seen", p.ID, j.id)
				continue
			}
			after := false
			for _, k := range j.claims {
				if k.from < p.Begin {
					c.bad("push %s of %v was a duplicate of job %s (%s), which %s had by %v", p.ID, c.at(p.Begin), j.id, j.number, k.by, c.at(k.from))
				}
				after = after || k.from > p.Begin
			}
			if c.over && !after {
				c.bad("push %s of %v was a duplicate of job %s (%s), which was not handed out after that", p.ID, c.at(p.Begin), j.id, j.number)
			}
		}
	}
}

// checkOverlaps finds jobs that two held at the same time, both within leases that were confirmed to them.
func (c *checker) checkOverlaps() {
	for _, j := range c.jobs {
		slices.SortFunc(j.claims, func(a, b *claim) int { return cmp.Compare(a.from, b.from) })
		for i, a := range j.claims {
			for _, b := range j.claims[i+1:] {
				if end := a.end(); b.from < end && b.from < b.end() {
					c.bad("job %s (%s) was held by %s from %v to %v and by %s from %v to %v", j.id, j.number, a.by, c.at(a.from), c.at(end), b.by, c.at(b.from), c.at(b.end()))
				}
			}
		}
	}
}

// end returns until when the claim was surely held.
func (k *claim) end() int64 {
	if k.done > 0 {
		return min(k.done, k.ends)
	}
	return k.ends
}

// checkOnce finds jobs that ran more than once though they must not.
func (c *checker) checkOnce() {
	for _, j := range c.jobs {
		if j.starts > 1 && strings.Contains(j.queue, onceType) {
			c.bad("job %s (%s) ran %d times, it must at most once", j.id, j.number, j.starts)
		}
	}
}

// checkLate finds runs that began after the end of their lease, unless the process was stopped then and could not know.
func (c *checker) checkLate() {
	for _, l := range c.late {
		stopped := slices.ContainsFunc(c.faults, func(f *event) bool {
			return f.What == string(stopOne) && strings.HasPrefix(l.event.By, f.Target+".") && f.Begin < l.event.Begin && f.End > l.ended-lease.Microseconds()
		})
		if !stopped {
			c.bad("%s runs job %s (%s) at %v, %v after its lease", l.event.By, l.job.id, l.job.number, c.at(l.event.Begin), span(l.event.Begin-l.ended))
		}
	}
}
