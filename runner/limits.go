package runner

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// live calls f for the queue of every job that a worker runs or that is to be run, and of those that a
// claim whose answer was lost may have got. It is for the fetcher.
func (r *run) live(f func(n jobqueue.Name)) {
	counted := map[*job]bool{}
	count := func(j *job) {
		if !counted[j] {
			counted[j] = true
			f(j.claim.Name)
		}
	}
	for _, s := range r.stores {
		if s.again != nil {
			for _, w := range s.again.wants {
				for range w.Max {
					f(w.Name)
				}
			}
		}
		for _, b := range s.beaters {
			b.each(func(j *job) {
				if j.unsettled() {
					count(j)
				}
			})
		}
	}
	// Behind the beaters: what leaves one of these and goes on running is with its worker by then.
	for _, w := range r.workers {
		for _, at := range []*atomic.Pointer[job]{&w.early, &w.current} {
			if j := at.Load(); j != nil {
				count(j)
			}
		}
	}
}

// limits keep workers for some types.
type limits struct {
	groups  []schedule.Group
	plan    schedule.Plan
	classes int
	most    []int // how many workers may have jobs of each class or less urgent ones; nil: all
	jobs    int   // how many there are
	byGroup []int
	byClass []int

	workers int // of the run
	taken   func(group string) int
	allowed []int // how many jobs of each group there may be
	all     int   // how many jobs there may be, if others have workers; else math.MaxInt
}

func newLimits(o *Options) *limits {
	l := &limits{groups: o.Groups, plan: o.Plan, classes: max(len(o.Plan.Shares), 1), workers: o.Workers, taken: o.Taken, all: math.MaxInt}
	if slices.ContainsFunc(l.groups, func(g schedule.Group) bool { return len(g.Low) > 0 }) {
		l.classes++
	}
	if len(o.Reserved) > 0 {
		left := o.Workers
		for class := range l.classes {
			l.most = append(l.most, max(left, 1))
			if class < len(o.Reserved) {
				left -= o.Reserved[class]
			}
		}
	}
	return l
}

// dealt returns the plan of the dealer: that of the options, for each group by itself. Where the run has fewer
// workers than the groups together, each gets its part of them.
func (l *limits) dealt() schedule.Plan {
	if len(l.groups) == 0 {
		return l.plan
	}
	shares := slices.Clone(l.plan.Shares)
	if len(shares) == 0 {
		shares = []float64{1}
	}
	if l.classes > len(shares) {
		sum := 0.0
		for _, s := range shares {
			sum += max(s, 0)
		}
		shares = append(shares, sum/9)
	}
	var all []float64
	for _, g := range l.groups {
		for _, share := range shares {
			all = append(all, max(share, 0)*float64(max(g.Workers, 1)))
		}
	}
	return schedule.Plan{
		Shares: all,
		Class:  func(typ string) int { return max(l.group(typ), 0)*l.classes + l.class(typ) },
		Weight: l.plan.Weight,
	}
}

// class returns the class of a type. The low types of a group are in the last one.
func (l *limits) class(typ string) int {
	if i := l.group(typ); i >= 0 && slices.Contains(l.groups[i].Low, typ) {
		return l.classes - 1
	}
	if l.plan.Class == nil {
		return 0
	}
	return min(max(l.plan.Class(typ), 0), max(len(l.plan.Shares), 1)-1)
}

// any reports whether there is anything to count.
func (l *limits) any() bool { return len(l.groups) > 0 || len(l.most) > 0 || l.restricted() }

// count asks how many jobs there may be, and counts those that there are.
func (l *limits) count(r *run) {
	l.allow()
	if !l.any() {
		return
	}
	l.jobs, l.byGroup, l.byClass = 0, make([]int, len(l.groups)), make([]int, len(l.most))
	r.live(l.add)
}

// allow notes how many jobs there may be.
func (l *limits) allow() {
	l.allowed, l.all = l.allowed[:0], math.MaxInt
	others := 0 // that have a worker which jobs here could have
	for _, g := range l.groups {
		taken := 0
		if l.taken != nil {
			taken = l.taken(g.Name)
		}
		l.allowed = append(l.allowed, g.Workers-taken)
		others += min(taken, max(g.Workers, 0))
	}
	if l.taken != nil {
		others += l.taken("")
	}
	if others > 0 {
		l.all = l.workers - others
	}
}

// changed reports whether there may be more or fewer jobs than a moment ago.
func (l *limits) changed() bool {
	allowed, all := slices.Clone(l.allowed), l.all
	l.allow()
	return l.all != all || !slices.Equal(l.allowed, allowed)
}

// restricted reports whether there may be fewer jobs than workers.
func (l *limits) restricted() bool { return l.all < math.MaxInt }

func (l *limits) add(n jobqueue.Name) {
	if !l.any() {
		return
	}
	l.jobs++
	if i := l.group(n.Type); i >= 0 {
		l.byGroup[i]++
	}
	if len(l.most) > 0 {
		l.byClass[l.class(n.Type)]++
	}
}

// group returns the first group that runs a type, or -1.
func (l *limits) group(typ string) int {
	return slices.IndexFunc(l.groups, func(g schedule.Group) bool { return g.Covers(typ) })
}

// covers reports whether a group runs a type here, or there are none.
func (l *limits) covers(typ string) bool {
	i := l.group(typ)
	return len(l.groups) == 0 || i >= 0 && l.groups[i].Workers > 0
}

// elsewhere reports whether a type is of a group that has no workers here.
func (l *limits) elsewhere(typ string) bool {
	i := l.group(typ)
	return i >= 0 && l.groups[i].Workers <= 0
}

// room reports whether there is a worker for one more job of a type.
func (l *limits) room(typ string) bool {
	if i := l.group(typ); l.jobs >= l.all || i >= 0 && l.byGroup[i] >= l.allowed[i] {
		return false
	}
	if len(l.most) == 0 {
		return true
	}
	sum := 0
	for class := len(l.most) - 1; class >= 0; class-- {
		sum += l.byClass[class]
		if class <= l.class(typ) && sum >= l.most[class] {
			return false
		}
	}
	return true
}
