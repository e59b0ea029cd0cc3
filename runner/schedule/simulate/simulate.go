package simulate

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/runner/schedule"
)

// Options say what runs the jobs.
type Options struct {
	Seed     uint64
	Workers  int           // of all runners together
	Runners  int           // that share them, each by itself; 0 is one. Only Fair cares
	Duration time.Duration // when to stop; 0: when all jobs have run
	Plan     schedule.Plan // of Fair
}

const (
	lookTime   = 100 * time.Millisecond // between two looks at what is ready, and at jobs that run for long
	bucketTime = 10 * time.Second       // windows begin so often
	buckets    = 6                      // in a window
)

// Window is the length of the windows of [Report.Jain]. One begins every ten seconds.
const Window = buckets * bucketTime

// A domain is what is noted of one.
type domain struct {
	name    string
	weight  float64
	jobs    int
	started int
	waits   time.Duration // sum
	longest time.Duration
	used    time.Duration // of workers
	waiting int
	since   time.Duration          // since when it has had jobs that wait, if it has
	recent  [buckets]time.Duration // used, by bucket
	place   schedule.Place         // the last that it got
}

// running is a job on a worker.
type running struct {
	job     Job
	domain  *domain
	runner  int
	place   schedule.Place
	ends    time.Duration
	noted   time.Duration // up to when its domain has been noted to use the worker
	charged time.Duration
}

// A simulation is one run of a load.
type simulation struct {
	o       Options
	picker  picker
	now     time.Duration
	queues  map[jobqueue.Name]*queue
	all     []*queue
	domains map[string]*domain
	order   []*domain
	free    []int // workers, by runner
	slots   []*running
	waits   []wait
	fair    fairness
	bucket  int
}

type wait struct {
	d       time.Duration
	class   int
	started bool
}

func (s *simulation) Len() int { return len(s.slots) }
func (s *simulation) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(s.slots[i].ends, s.slots[j].ends), cmp.Compare(s.slots[i].runner, s.slots[j].runner)) < 0
}
func (s *simulation) Swap(i, j int) { s.slots[i], s.slots[j] = s.slots[j], s.slots[i] }
func (s *simulation) Push(r any)    { s.slots = append(s.slots, r.(*running)) }
func (s *simulation) Pop() any {
	last := len(s.slots) - 1
	r := s.slots[last]
	s.slots = s.slots[:last]
	return r
}

// Run runs jobs, which must be in the order of their arrival, in the order of a policy.
func Run(jobs []Job, p Policy, o Options) *Report {
	o.Workers = max(o.Workers, 1)
	o.Runners = min(max(o.Runners, 1), o.Workers)
	s := &simulation{o: o, picker: newPicker(p, &o), queues: map[jobqueue.Name]*queue{}, domains: map[string]*domain{}}
	s.free = make([]int, o.Runners)
	for i := range o.Workers {
		s.free[i%o.Runners]++
	}
	look, tick := lookTime, bucketTime
	for next := 0; next < len(jobs) || len(s.slots) > 0; {
		at := min(look, tick)
		if next < len(jobs) {
			at = min(at, jobs[next].At)
		}
		if len(s.slots) > 0 {
			at = min(at, s.slots[0].ends)
		}
		if o.Duration > 0 && at > o.Duration {
			break
		}
		s.now = at
		for len(s.slots) > 0 && s.slots[0].ends == at {
			s.end(heap.Pop(s).(*running))
		}
		if at == tick {
			s.note()
			tick += bucketTime
		}
		for ; next < len(jobs) && jobs[next].At == at; next++ {
			s.arrive(jobs[next])
		}
		if at == look {
			s.look()
			look += lookTime
		}
		s.start()
	}
	if o.Duration > 0 {
		s.now = o.Duration
	}
	for _, r := range s.slots {
		s.use(r)
	}
	return s.report(p)
}

func (s *simulation) arrive(j Job) {
	q := s.queues[j.Name]
	if q == nil {
		d := s.domains[j.Domain]
		if d == nil {
			d = &domain{name: j.Domain, weight: 1}
			if f := s.o.Plan.Weight; f != nil && f(j.Domain) > 0 {
				d.weight = f(j.Domain)
			}
			s.domains[j.Domain] = d
			s.order = append(s.order, d)
		}
		q = &queue{Name: j.Name, domain: d}
		s.queues[j.Name] = q
		s.all = append(s.all, q)
	}
	q.jobs = append(q.jobs, j)
	q.domain.jobs++
	if q.domain.waiting++; q.domain.waiting == 1 {
		q.domain.since = s.now
	}
	if len(q.jobs) == 1 {
		s.picker.add(s.now, q)
	}
}

// start gives every free worker a job, runner after runner.
func (s *simulation) start() {
	for any := true; any; {
		any = false
		for i := range s.free {
			if s.free[i] == 0 {
				continue
			}
			q := s.picker.next(s.now, i)
			if q == nil {
				continue
			}
			any = true
			s.free[i]--
			j := q.jobs[0]
			q.jobs = q.jobs[1:]
			s.picker.took(s.now, q)
			d := q.domain
			d.waiting--
			d.started++
			s.waited(d, j, true)
			heap.Push(s, &running{job: j, domain: d, runner: i, ends: s.now + j.Run, noted: s.now, place: d.place, charged: d.place.Cost})
		}
	}
}

func (s *simulation) waited(d *domain, j Job, started bool) {
	w := s.now - j.At
	d.waits += w
	d.longest = max(d.longest, w)
	class := 0
	if s.o.Plan.Class != nil {
		class = s.o.Plan.Class(j.Type)
	}
	s.waits = append(s.waits, wait{w, class, started})
}

func (s *simulation) end(r *running) {
	s.use(r)
	s.free[r.runner]++
	s.picker.charge(r, max(r.job.Run, schedule.MinCost)-r.charged)
	s.picker.ended(s.now, r)
}

// use notes how long the domain of a job has used a worker since that was noted last.
func (s *simulation) use(r *running) {
	more := s.now - r.noted
	r.noted = s.now
	r.domain.used += more
	r.domain.recent[s.bucket] += more
}

// look does what runners do now and then: they charge what jobs have run for beyond what they were
// expected to, and ask what is ready.
func (s *simulation) look() {
	for _, r := range s.slots {
		if ran := s.now - (r.ends - r.job.Run); ran > r.charged {
			s.picker.charge(r, ran-r.charged)
			r.charged = ran
		}
	}
	s.picker.look(s.now, s.all)
}

// note ends a bucket, and with it a window.
func (s *simulation) note() {
	for _, r := range s.slots {
		s.use(r)
	}
	if s.now >= Window {
		s.fair.window(s.order, s.now-Window)
	}
	s.bucket = (s.bucket + 1) % buckets
	for _, d := range s.order {
		d.recent[s.bucket] = 0
	}
}
