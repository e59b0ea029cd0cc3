package simulate

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// A Policy is an order in which queues are served.
type Policy string

const (
	FIFO       Policy = "fifo"        // the oldest job of all
	Random     Policy = "random"      // a ready queue by chance, each equally likely
	RoundRobin Policy = "round-robin" // one domain after the other, and there one type after the other
	Fair       Policy = "fair"        // package schedule
)

// Policies returns all of them.
func Policies() []Policy { return []Policy{FIFO, Random, RoundRobin, Fair} }

// A queue is jobs of one name that wait.
type queue struct {
	jobqueue.Name
	domain *domain
	jobs   []Job
	pos    int // where the policy keeps it; -1: nowhere
}

// A picker is a policy at work. A queue is added when it gets its first job.
type picker interface {
	add(now time.Duration, q *queue)
	next(now time.Duration, runner int) *queue // one that has jobs; nil: there is none
	took(now time.Duration, q *queue)          // the job that was picked is gone from the queue
	charge(r *running, more time.Duration)
	ended(now time.Duration, r *running)
	look(now time.Duration, all []*queue)
}

func newPicker(p Policy, o *Options) picker {
	switch p {
	case FIFO:
		return &fifo{}
	case Random:
		return &random{rand: rand.New(rand.NewPCG(o.Seed, 2))}
	case RoundRobin:
		return &ring{domains: map[string]*seat{}}
	case Fair:
		return newFair(o)
	}
	panic(fmt.Sprintf("simulate: unknown policy %q", p))
}

// indifferent is a picker that does not care how long jobs run.
type indifferent struct{}

func (indifferent) charge(*running, time.Duration) {}
func (indifferent) ended(time.Duration, *running)  {}
func (indifferent) look(time.Duration, []*queue)   {}

// fifo is a heap of queues by their oldest job.
type fifo struct {
	indifferent
	queues []*queue
}

func (f *fifo) Len() int           { return len(f.queues) }
func (f *fifo) Less(i, j int) bool { return f.queues[i].jobs[0].At < f.queues[j].jobs[0].At }
func (f *fifo) Push(q any)         { f.queues = append(f.queues, q.(*queue)) }
func (f *fifo) Pop() any           { panic("not used") }
func (f *fifo) Swap(i, j int)      { f.queues[i], f.queues[j] = f.queues[j], f.queues[i] }

func (f *fifo) add(_ time.Duration, q *queue) { heap.Push(f, q) }

func (f *fifo) next(time.Duration, int) *queue {
	if len(f.queues) == 0 {
		return nil
	}
	return f.queues[0]
}

func (f *fifo) took(_ time.Duration, q *queue) {
	if len(q.jobs) == 0 {
		last := len(f.queues) - 1
		f.queues[0] = f.queues[last]
		f.queues = f.queues[:last]
	}
	if len(f.queues) > 0 {
		heap.Fix(f, 0)
	}
}

type random struct {
	indifferent
	rand   *rand.Rand
	queues []*queue
}

func (r *random) add(_ time.Duration, q *queue) {
	q.pos = len(r.queues)
	r.queues = append(r.queues, q)
}

func (r *random) next(time.Duration, int) *queue {
	if len(r.queues) == 0 {
		return nil
	}
	return r.queues[r.rand.IntN(len(r.queues))]
}

func (r *random) took(_ time.Duration, q *queue) {
	if len(q.jobs) > 0 {
		return
	}
	last := len(r.queues) - 1
	r.queues[q.pos] = r.queues[last]
	r.queues[q.pos].pos = q.pos
	r.queues = r.queues[:last]
}

// ring is domains in the order of their turns.
type ring struct {
	indifferent
	domains map[string]*seat
	turns   []*seat
}

type seat struct {
	queues []*queue
	seated bool
}

func (r *ring) add(_ time.Duration, q *queue) {
	s := r.domains[q.Domain]
	if s == nil {
		s = &seat{}
		r.domains[q.Domain] = s
	}
	s.queues = append(s.queues, q)
	if !s.seated {
		s.seated = true
		r.turns = append(r.turns, s)
	}
}

func (r *ring) next(time.Duration, int) *queue {
	if len(r.turns) == 0 {
		return nil
	}
	return r.turns[0].queues[0]
}

func (r *ring) took(_ time.Duration, q *queue) {
	s := r.turns[0]
	r.turns = r.turns[1:]
	s.queues = s.queues[1:]
	if len(q.jobs) > 0 {
		s.queues = append(s.queues, q)
	}
	if s.seated = len(s.queues) > 0; s.seated {
		r.turns = append(r.turns, s)
	}
}

// fair is runners that each share out their workers by themselves.
type fair struct {
	dealers []*schedule.Dealer
	queues  map[jobqueue.Name]*queue
}

func newFair(o *Options) *fair {
	f := &fair{queues: map[jobqueue.Name]*queue{}}
	for i := range o.Runners {
		f.dealers = append(f.dealers, schedule.New(o.Seed+uint64(i), o.Plan))
	}
	return f
}

func instant(now time.Duration) time.Time { return time.Unix(0, 0).UTC().Add(now) }

func (f *fair) add(now time.Duration, q *queue) {
	f.queues[q.Name] = q
	for _, s := range f.dealers {
		s.Add(instant(now), 0, q.Name)
	}
}

func admit(schedule.Place) schedule.Answer { return schedule.Admit }

func (f *fair) next(now time.Duration, runner int) *queue {
	s := f.dealers[runner]
	for {
		places := s.Deal(instant(now), 1, admit)
		if len(places) == 0 {
			return nil
		}
		p := places[0]
		if q := f.queues[p.Name]; len(q.jobs) > 0 {
			s.Begun(p)
			s.Caught(instant(now))
			q.domain.place = p
			return q
		}
		// Another runner has taken the last one.
		s.Refund(p)
		s.Remove(p.Name)
	}
}

func (f *fair) took(time.Duration, *queue) {}

func (f *fair) charge(r *running, more time.Duration) { r.place.Charge(more) }

func (f *fair) ended(now time.Duration, r *running) {
	f.dealers[r.runner].Learn(instant(now), r.job.Name, r.job.Run)
}

// look is what runners do now and then: they ask what is ready.
func (f *fair) look(now time.Duration, all []*queue) {
	var ready []jobqueue.Backlog
	for _, q := range all {
		if len(q.jobs) > 0 {
			ready = append(ready, jobqueue.Backlog{Name: q.Name, Age: now - q.jobs[0].At})
		}
	}
	for _, s := range f.dealers {
		s.Replace(instant(now), 0, slices.Clone(ready))
	}
}
