package jobqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Why a job runs inline, in the process that pushes it; see [Group.Push].
const (
	NotAsync    = "not_async"   // [Routes.Async] says so, or there is no backend
	PushFailed  = "push_failed" // it could not be stored, and [Routes.Fallback] says so
	Synchronous = "synchronous" // its context is one of [WithSynchronous]
)

type synchronousKey struct{}

// WithSynchronous returns a context with which [Group.Push] runs every job inline that is not
// delayed, and so do the jobs that these push. It is for tests and imports.
func WithSynchronous(ctx context.Context) context.Context {
	return context.WithValue(ctx, synchronousKey{}, true)
}

// An inlineJob is one that is ready to run where it is pushed.
type inlineJob struct {
	claim *Claim
	run   func(context.Context) error
	place int // in its push
}

// inline returns those of the records that run here, by place. Whether they can is found out
// before anything is stored.
func (g *Group) inline(ctx context.Context, records []Record) (map[int]*inlineJob, error) {
	forced := ctx.Value(synchronousKey{}) != nil
	switch {
	case g.Inline == nil && forced:
		return nil, fmt.Errorf("%w: a synchronous push needs Routes.Inline", ErrInvalid)
	case g.Async == nil && !forced && len(g.backends) > 0:
		return nil, nil
	}
	jobs := map[int]*inlineJob{}
	var held *paused
	for i := range records {
		why, err := g.whyInline(&records[i], forced)
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", i, err)
		}
		if why == "" {
			continue
		}
		if held == nil {
			held = g.held(ctx)
		}
		// What is paused waits, as long as there is where.
		if held.covers(records[i].Name) {
			if len(g.backends) == 0 {
				return nil, fmt.Errorf("job %d: %w: %v is paused", i, ErrUnavailable, records[i].Name)
			}
			continue
		}
		j, err := g.prepare(&records[i], i, why)
		switch {
		case err != nil:
			return nil, fmt.Errorf("job %d of %v, whose jobs run where they are pushed: %w", i, records[i].Name, err)
		case j != nil:
			jobs[i] = j
		case len(g.backends) == 0:
			return nil, fmt.Errorf("job %d of %v: %w: it is not for this process, and there is no backend", i, records[i].Name, ErrInvalid)
		}
	}
	return jobs, nil
}

// whyInline returns why a job is to run here; "" if it is to be stored.
func (g *Group) whyInline(r *Record, forced bool) (string, error) {
	none := len(g.backends) == 0
	switch {
	case r.delayed() && none:
		return "", fmt.Errorf("%w: it is delayed, and there is no backend to keep it", ErrInvalid)
	case r.delayed():
		return "", nil
	case forced:
		return Synchronous, nil
	case !none && (g.Async == nil || g.Async(r.Name)):
		return "", nil
	case g.Policy(r.Type).NeverInline:
		return "", fmt.Errorf("%w: jobs of %v are not stored, and never run where they are pushed", ErrInvalid, r.Name)
	}
	return NotAsync, nil
}

func (r *Record) delayed() bool { return r.Delay > 0 || time.Until(r.ReleaseAt) > 0 }

// heldTime is how long a push waits to be told what is paused.
const heldTime = time.Second

// held returns what is paused or, if that cannot be asked, what was last known to be.
func (g *Group) held(ctx context.Context) *paused {
	ctx, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	held, err := g.paused(ctx)
	if err != nil {
		held = g.pauses.known.Load()
	}
	if held == nil {
		held = &paused{}
	}
	return held
}

// prepare makes a job ready to run here; nil if it is not for this process.
func (g *Group) prepare(r *Record, place int, why string) (*inlineJob, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	c := &Claim{Record: *r, ID: id.String(), Token: id, Attempt: 1, QueuedAt: time.Now(), Inline: why}
	c.MaxTries, c.Delay, c.ReleaseAt, c.Digest = 1, 0, time.Time{}, Digest{}
	if c.Root.Key != "" && c.Root.Time.IsZero() {
		c.Root.Time = c.QueuedAt.UTC().Truncate(time.Microsecond)
	}
	run, err := g.Inline(g, c)
	if run == nil || err != nil {
		return nil, err
	}
	return &inlineJob{c, run, place}, nil
}

// fallBack adds to jobs those that could not be stored and may run here instead.
func (g *Group) fallBack(ctx context.Context, records []Record, pushed Pushed, jobs map[int]*inlineJob) map[int]*inlineJob {
	for i := range pushed {
		r, err := &records[i], pushed[i].Err
		if err == nil || r.delayed() || ctx.Err() != nil || !g.Fallback(r.Type) {
			continue
		}
		if p := g.Policy(r.Type); p.NeverInline || p.AtMostOnce {
			continue // Of the latter some may be in, be it in a part of the backend.
		}
		if held := g.pauses.known.Load(); held != nil && held.covers(r.Name) {
			continue
		}
		if j, err := g.prepare(r, i, PushFailed); err == nil && j != nil {
			if jobs == nil {
				jobs = map[int]*inlineJob{}
			}
			jobs[i] = j
		}
	}
	return jobs
}

// runInline runs the jobs of a push that are not stored, and says in pushed what became of them. The errors
// are those of the jobs, and of the jobs that they pushed.
func (g *Group) runInline(ctx context.Context, records []Record, jobs map[int]*inlineJob, pushed Pushed) []error {
	if len(jobs) == 0 {
		return nil
	}
	type equal struct {
		Name
		Digest
	}
	seen := map[equal]string{}
	var list []*inlineJob
	for i := range records {
		j := jobs[i]
		if j == nil {
			continue
		}
		j.claim.Headers = records[i].Headers // A hook may have given it others.
		pushed[i] = PushedJob{ID: j.claim.ID, Inline: true}
		if d := records[i].Digest; d != (Digest{}) {
			if id, ok := seen[equal{records[i].Name, d}]; ok {
				pushed[i] = PushedJob{ID: id, Duplicate: true}
				continue
			}
			seen[equal{records[i].Name, d}] = j.claim.ID
		}
		list = append(list, j)
	}
	if l, ok := ctx.Value(lineKey{}).(*line); ok && l.add(g, list) {
		return nil
	}
	l := &line{}
	l.ctx = context.WithValue(ctx, lineKey{}, l)
	l.add(g, list)
	return l.run(list, pushed)
}

type lineKey struct{}

// A line is jobs that run one after the other: those of the push that made it, and behind them those that they
// push, so that however long a chain of jobs is, none runs within another.
type line struct {
	ctx  context.Context // of the push; what a job's own context has ends with the job
	mu   sync.Mutex
	next []inLine
	over bool
}

type inLine struct {
	g *Group
	*inlineJob
}

// add puts jobs behind the others; it reports false if nobody runs them any more.
func (l *line) add(g *Group, jobs []*inlineJob) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range jobs {
		l.next = append(l.next, inLine{g, j})
	}
	return !l.over
}

// take returns the next job; false at the end, after which none is added.
func (l *line) take() (inLine, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.next) == 0 {
		l.over = true
		return inLine{}, false
	}
	first := l.next[0]
	l.next = l.next[1:]
	return first, true
}

// run runs all jobs. Those that are listed have their place in pushed.
func (l *line) run(list []*inlineJob, pushed Pushed) (errs []error) {
	defer l.end() // also if a job panics
	for j, ok := l.take(); ok; j, ok = l.take() {
		err := j.g.runOne(l.ctx, j.inlineJob)
		if err != nil {
			errs = append(errs, err)
		}
		if len(list) > 0 && list[0] == j.inlineJob {
			pushed[j.place].Err = err
			list = list[1:]
		}
	}
	return errs
}

func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// runOne runs one job.
func (g *Group) runOne(ctx context.Context, j *inlineJob) error {
	c := j.claim
	if ctx.Err() != nil {
		return &Error{"run inline", c.Name, fmt.Errorf("not begun: %w", context.Cause(ctx))}
	}
	if c.Inline == Synchronous {
		ctx = WithSynchronous(ctx)
	}
	begin := time.Now()
	err := j.run(NewContext(ctx, c))
	if g.Trace.Inline != nil {
		g.Trace.Inline(ctx, c, c.Inline, time.Since(begin), err)
	}
	if err != nil {
		return &Error{"run inline", c.Name, &ownError{err}}
	}
	return nil
}

// An ownError is that of a job that ran inline. What it says to whoever settles the job, or what a job's own calls
// of this package said, must not be taken for what the push says, or the job that pushed it.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// Is is that of the job's error, but for the errors of this package.
func (e *ownError) Is(target error) bool {
	ours := []error{ErrNotClaimed, ErrReadOnly, ErrUnavailable, ErrUnknownType, ErrUnknownEvent, ErrInvalid, ErrTooLarge, ErrFault}
	return !slices.Contains(ours, target) && errors.Is(e.err, target)
}

// As is that of the job's error, but for the errors of this package.
func (e *ownError) As(target any) bool {
	switch target.(type) {
	case **verdict, **Error, **LostError, **PartError:
		return false
	}
	return errors.As(e.err, target)
}
